//! Diagram 6.3: the order system is told of every order, and told again when that fails.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use stack::{free_port, wait_for, wait_for_async};

use crate::mail_server::MailServer;
use crate::receiver::{Answer, Received, Receiver};
use crate::shop::{DEADLINE, Shop};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

async fn open(orders: &Receiver, alerts: &Receiver) -> Shop {
    open_with(orders, alerts, &[]).await
}

async fn open_with(orders: &Receiver, alerts: &Receiver, more: &[(&str, &str)]) -> Shop {
    let told: [(&str, &str); 5] = [
        ("ORDER_SYNC_URL", &orders.url),
        ("ORDER_SYNC_SECRET", SECRET),
        ("ORDER_SYNC_TIMEOUT", "2s"),
        // As five, fifteen and forty-five minutes, but nobody wants to wait for those.
        ("ORDER_SYNC_RETRY_DELAYS", "3s,3s,4s"),
        ("ALERT_WEBHOOK_URL", &alerts.url),
    ];
    let shop = Shop::open_with(&[&told[..], more].concat()).await;
    shop.as_admin("/products", &json!({"productId": "P1", "name": "노트북", "price": 1_000, "stock": 1_000_000})).await;
    shop.as_admin("/users", &json!({"userId": "user1", "balance": 1_000_000_000})).await;
    shop
}

/// Orders two pieces, and gives the order's id.
async fn order(shop: &Shop) -> String {
    let order = json!({"userId": "user1", "items": [{"productId": "P1", "quantity": 2}]});
    let (status, placed) = shop.decided(shop.request(Method::POST, "/api/orders").json(&order)).await;
    assert_eq!(status, 201, "{placed}");
    placed["orderId"].as_str().unwrap().to_owned()
}

async fn sync_of(shop: &Shop, order: &str) -> Value {
    shop.get(&format!("/api/orders/{order}?userId=user1")).await.1["sync"].clone()
}

async fn wait_until(shop: &Shop, order: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    wait_for_async(what, DEADLINE, || async {
        let sync = sync_of(shop, order).await;
        holds(&sync).then_some(sync)
    })
    .await
}

fn is_signed(received: &Received) -> bool {
    let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap();
    let mut mac: Hmac<Sha256> = Hmac::new_from_slice(&key).unwrap();
    let (id, timestamp) = (received.header("webhook-id"), received.header("webhook-timestamp"));
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(&received.body);
    received.header("webhook-signature") == format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn diagram_6_3_sync_retry() {
    let (orders, alerts) = (Receiver::start().await, Receiver::start().await);
    let shop = open(&orders, &alerts).await;

    // The first attempt fails, and a retry is noted; the shopper has been told long before.
    orders.answer([Answer::Status(500, "out of order"), Answer::Hang]);
    let id = order(&shop).await;
    let failed = wait_until(&shop, &id, "the first failure", |sync| sync["syncAttempts"] == 1).await;
    assert_eq!((&failed["synced"], &failed["lastSyncError"]), (&false.into(), &"answered 500".into()));
    assert!(failed["nextRetryAt"].is_string(), "{failed}");

    // The second one is not answered in time, the third one succeeds.
    let failed = wait_until(&shop, &id, "the second failure", |sync| sync["syncAttempts"] == 2).await;
    assert_eq!(failed["lastSyncError"], "timed out");
    let synced = wait_until(&shop, &id, "the third attempt", |sync| sync["synced"] == true).await;
    assert_eq!((&synced["syncAttempts"], &synced["lastSyncError"]), (&3.into(), &Value::Null));
    assert!(synced["syncedAt"].is_string() && synced["nextRetryAt"].is_null(), "{synced}");

    let received = orders.received();
    assert_eq!(received.len(), 3);
    for attempt in &received {
        assert!(is_signed(attempt), "{attempt:?}");
        assert_eq!((attempt.header("webhook-id"), attempt.header("content-type")), (&*id, "application/json"));
        let mut body = attempt.json();
        assert!(body.as_object_mut().unwrap().remove("createdAt").is_some_and(|at| at.is_string()));
        let meant = json!({"orderId": id, "userId": "user1", "totalAmount": 2_000, "discountAmount": 0,
                           "finalAmount": 2_000, "couponId": null,
                           "items": [{"productId": "P1", "quantity": 2, "unitPrice": 1_000}]});
        assert_eq!(body, meant);
    }
    assert_eq!(shop.admin_get("/alerts").await["alerts"], json!([]), "nobody was alarmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_third_retry_an_admin_is_alerted_once() {
    let (orders, alerts, mails) = (Receiver::start().await, Receiver::start().await, MailServer::start().await);
    let shop = open_with(&orders, &alerts, &[("SMTP_URL", &mails.url), ("ALERT_EMAIL", "admin@example.com")]).await;
    orders.otherwise(Answer::Redirect("http://127.0.0.1:9/elsewhere"));
    alerts.answer([Answer::Status(503, "")]);
    let id = order(&shop).await;

    let failures = wait_for_async("the order to be on the desk", DEADLINE, || async {
        let failures = shop.admin_get("/sync-failures").await["failures"].clone();
        (failures.as_array().unwrap().len() == 1).then_some(failures)
    })
    .await;
    assert_eq!((&failures[0]["orderId"], &failures[0]["syncAttempts"]), (&(*id).into(), &4.into()));
    let attempts = failures[0]["attempts"].as_array().unwrap();
    let seen: Vec<_> = attempts.iter().map(|a| (&a["attempt"], &a["status"], &a["error"])).collect();
    let meant = |number: i64| (Value::from(number), Value::from(302), Value::from("answered 302"));
    let meant: Vec<_> = (1..=4).map(meant).collect();
    assert_eq!(seen, meant.iter().map(|(a, b, c)| (a, b, c)).collect::<Vec<_>>(), "redirects are not followed");

    // One alert, told though the first attempt to tell it failed.
    wait_for("the alert to come through", DEADLINE, || (alerts.received().len() >= 2).then_some(()));
    let told = alerts.received()[1].json();
    assert_eq!(
        (&told["orderId"], &told["attempts"], &told["lastError"]),
        (&(*id).into(), &4.into(), &"answered 302".into())
    );
    assert!(told["text"].as_str().unwrap().contains(&id), "{told}");
    let told = wait_for_async("the delivery to be noted", DEADLINE, || async {
        let alert = shop.admin_get("/alerts?status=open").await["alerts"][0].clone();
        let deliveries = alert["deliveries"].as_array().unwrap();
        (deliveries.len() == 2 && deliveries.iter().all(|way| way["deliveredAt"].is_string())).then_some(alert)
    })
    .await;
    let ways: Vec<_> = told["deliveries"].as_array().unwrap().iter().map(|w| (&w["channel"], &w["attempts"])).collect();
    assert_eq!(
        (&told["kind"], ways),
        (&"ORDER_SYNC_FAILED".into(), vec![(&"mail".into(), &1.into()), (&"webhook".into(), &2.into())])
    );
    let mail = &mails.received()[0];
    assert!(mail.to == "admin@example.com" && mail.head.contains(&id), "{mail:?}");

    // A retry by hand is one attempt and raises no new alert.
    let before = orders.received().len();
    shop.as_admin(&format!("/sync-failures/{id}/retry"), &json!({})).await;
    wait_until(&shop, &id, "the retry by hand", |sync| sync["syncAttempts"] == 5).await;
    assert_eq!(shop.admin_get("/sync-failures").await["failures"][0]["nextRetryAt"], Value::Null);
    assert_eq!(shop.admin_get("/alerts").await["alerts"].as_array().unwrap().len(), 1);
    assert_eq!(orders.received().len(), before + 1);

    // A later success resolves.
    orders.otherwise(Answer::Status(204, ""));
    assert_eq!(shop.as_admin("/sync-failures/retry-all", &json!({})).await, json!({"retried": 1}));
    wait_until(&shop, &id, "the success", |sync| sync["synced"] == true).await;
    assert_eq!(shop.admin_get("/sync-failures").await["failures"], json!([]));
    let resolved = shop.admin_get("/sync-failures?status=resolved").await;
    assert_eq!(resolved["failures"][0]["attempts"].as_array().unwrap().len(), 6);
    assert_eq!(shop.admin_get("/alerts?status=open").await["alerts"], json!([]));
    assert_eq!((alerts.received().len(), mails.received().len()), (2, 1), "once each");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_system_that_hangs_delays_no_order_and_no_alert() {
    const ORDERS: usize = 150;
    let (orders, alerts) = (Receiver::start().await, Receiver::start().await);
    // So many retries that none is given up while the test takes its time.
    let patient = ["2s"; 20].join(",");
    let shop = open_with(&orders, &alerts, &[("ORDER_SYNC_RETRY_DELAYS", &patient)]).await;
    orders.otherwise(Answer::Hang);
    let ids = futures::future::join_all((0..ORDERS).map(|_| order(&shop))).await;
    wait_for("sends to hang", DEADLINE, || (orders.received().len() >= 64).then_some(()));
    order(&shop).await;
    orders.otherwise(Answer::Status(200, ""));
    for id in &ids {
        wait_until(&shop, id, "every order to be synced", |sync| sync["synced"] == true).await;
    }
    assert_eq!(shop.admin_get("/alerts").await["alerts"], json!([]));
}

/// A counter of the workers, whose metrics are at this port.
async fn counted(port: u16, name: &str) -> f64 {
    let metrics = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await.unwrap().text().await.unwrap();
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("{name} is not in {metrics}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_announced_within_bounds_and_nothing_depends_on_it() {
    const ANNOUNCED: &str = "droplane_sync_announced_total";
    let (orders, alerts, port) = (Receiver::start().await, Receiver::start().await, free_port());
    let shop = open_with(&orders, &alerts, &[("METRICS_ADDR", &format!("127.0.0.1:{port}"))]).await;
    let redis = |command: &[&str]| shop.redis.command(command).unwrap();
    let place_and_sync = async || {
        let id = order(&shop).await;
        wait_until(&shop, &id, "the order to be synced", |sync| sync["synced"] == true).await;
    };
    // Some are found by the sweep first.
    wait_for_async("an announced order to be sent", DEADLINE, || async {
        place_and_sync().await;
        (counted(port, ANNOUNCED).await > 0.0).then_some(())
    })
    .await;
    // What is done is not kept.
    let kept = || {
        redis(&["HLEN", "{core:apalis:queues:list}:order_sync:data"]) == "0"
            && redis(&["SCARD", "{core:apalis:queues:list}:order_sync:done"]) == "0"
    };
    wait_for("what is done to be deleted", DEADLINE, || kept().then_some(()));

    // A queue that is lost costs nothing but a moment, and comes back by itself.
    redis(&["FLUSHALL"]);
    let before = counted(port, ANNOUNCED).await;
    wait_for_async("an announced order to be sent again", DEADLINE, || async {
        place_and_sync().await;
        (counted(port, ANNOUNCED).await > before).then_some(())
    })
    .await;

    // A thousand wait, and no more are pushed.
    let waiting: Vec<_> = (0..1_000).flat_map(|n| ["9999999999".to_owned(), format!("later{n}")]).collect();
    let command = ["ZADD", "{core:apalis:queues:list}:order_sync:scheduled"]
        .into_iter()
        .chain(waiting.iter().map(String::as_str));
    redis(&command.collect::<Vec<_>>());
    let before = counted(port, ANNOUNCED).await;
    for _ in 0..5 {
        place_and_sync().await;
    }
    assert_eq!(redis(&["ZCARD", "{core:apalis:queues:list}:order_sync:scheduled"]), "1000");
    assert_eq!(counted(port, ANNOUNCED).await, before, "the sweep found them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_dies_leaves_its_orders_to_the_next() {
    let (orders, alerts) = (Receiver::start().await, Receiver::start().await);
    let mut shop = open(&orders, &alerts).await;
    orders.otherwise(Answer::Hang);
    let id = order(&shop).await;
    wait_for("the order to be sent", DEADLINE, || (!orders.received().is_empty()).then_some(()));
    shop.workers.kill9();
    orders.otherwise(Answer::Status(200, ""));
    shop.workers = shop.launch_workers.spawn().unwrap();
    // Its claim runs out, and the attempt that nobody noted is made again under the same id.
    wait_until(&shop, &id, "the order to be synced", |sync| sync["synced"] == true).await;
    let ids: Vec<_> = orders.received().iter().map(|received| received.header("webhook-id").to_owned()).collect();
    assert!(ids.len() >= 2 && ids.iter().all(|sent| *sent == id), "{ids:?}");
}
