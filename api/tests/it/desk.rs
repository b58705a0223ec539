//! The desk for failed syncs, and the alerts, as an operator uses them. That workers bring orders here is tested with both
//! programs.

use common::Refusal;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor;

use crate::kit::{Answer, Shop, send};
use crate::worker::{Worker, archive, no};

const FAILED: &str = "019a3c5e-7f00-7abc-8def-000000001180";
const FINE: &str = "019a3c5e-7f00-7abc-8def-000000001280";

const ROWS: &str = "
    insert into orders (order_id, user_id, total_amount, discount_amount, final_amount, created_at)
    select ('019a3c5e-7f00-7abc-8def-00000000' || number || '80')::uuid, 'user1', 500, 0, 500, now()
      from generate_series(11, 12) as number;
    insert into order_syncs (order_id, attempts, last_error, failed_at, synced_at)
    values ('019a3c5e-7f00-7abc-8def-000000001180', 4, 'answered 500', now(), null),
           ('019a3c5e-7f00-7abc-8def-000000001280', 1, null, null, now());
    insert into sync_attempts (order_id, attempt, at, duration_ms, status, error, answer)
    select '019a3c5e-7f00-7abc-8def-000000001180', number, now(), 7, 500, 'answered 500', 'oh'
      from generate_series(1, 4) as number;
    insert into alerts (alert_id, kind, text, details)
    values ('019a3c5e-7f00-7abc-8def-000000005500', 'ORDER_SYNC_FAILED', 'told',
            '{\"orderId\": \"019a3c5e-7f00-7abc-8def-000000001180\"}');
    insert into alert_deliveries (alert_id, channel, attempts, last_error)
    values ('019a3c5e-7f00-7abc-8def-000000005500', 'webhook', 3, 'timed out')";

async fn open() -> Shop {
    let shop = Shop::open().await;
    shop.pool.execute(ROWS).await.unwrap();
    shop
}

async fn get(shop: &Shop, path: &str) -> Value {
    let answer = send(shop.as_admin(Method::GET, &format!("/api/admin/{path}"))).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.body
}

async fn post(shop: &Shop, path: &str, body: Value) -> Answer {
    send(shop.as_admin(Method::POST, &format!("/api/admin/sync-failures/{path}")).json(&body)).await
}

#[tokio::test]
async fn a_failure_is_shown_retried_and_resolved() {
    let shop = open().await;
    let failures = get(&shop, "sync-failures").await;
    let failure = &failures["failures"][0];
    assert_eq!((failures["failures"].as_array().unwrap().len(), &failure["orderId"]), (1, &FAILED.into()));
    assert_eq!((&failure["syncAttempts"], &failure["nextRetryAt"]), (&4.into(), &Value::Null));
    assert_eq!(failures["openCount"], 1);
    assert_eq!(get(&shop, "sync-failures?status=resolved").await["openCount"], 1, "whichever are listed");
    let last = &failure["attempts"][3];
    assert_eq!((&last["attempt"], &last["durationMs"], &last["answer"]), (&4.into(), &7.into(), &"oh".into()));
    let alert = &get(&shop, "alerts?status=open").await["alerts"][0];
    let delivery = json!([{"channel": "webhook", "attempts": 3, "deliveredAt": null, "lastError": "timed out"}]);
    assert_eq!(alert["deliveries"], delivery);

    let retried = post(&shop, &format!("{FAILED}/retry"), json!({})).await;
    assert!(retried.status == 200 && retried.body["nextRetryAt"].is_string(), "{retried:?}");
    let nothing_more = post(&shop, "retry-all", json!({})).await;
    assert_eq!(nothing_more.body, json!({"retried": 0}), "it is due already");

    let resolved = post(&shop, &format!("{FAILED}/resolve"), json!({"note": "전화로 처리"})).await;
    assert_eq!((resolved.status, &resolved.body["note"]), (200, &"전화로 처리".into()));
    assert_eq!((&resolved.body["resolvedBy"], &resolved.body["nextRetryAt"]), (&"admin".into(), &Value::Null));
    assert_eq!(get(&shop, "sync-failures").await["failures"], json!([]));
    assert_eq!(get(&shop, "sync-failures?status=resolved").await["failures"].as_array().unwrap().len(), 1);
    assert_eq!(get(&shop, "alerts?status=open").await["alerts"], json!([]));
    assert_eq!(get(&shop, "alerts?status=resolved").await["alerts"].as_array().unwrap().len(), 1);

    let log = get(&shop, "audit-log").await;
    let actions: Vec<_> = log["entries"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["sync.resolve", "sync.retry-all", "sync.retry"]);
}

#[tokio::test]
async fn an_alert_is_resolved_by_hand_once_and_with_a_note() {
    let shop = open().await;
    let path = "/api/admin/alerts/019a3c5e-7f00-7abc-8def-000000005500/resolve";
    let resolve = async |path: &str, body: Value| send(shop.as_admin(Method::POST, path).json(&body)).await;
    let refused = resolve(path, json!({"note": " "})).await;
    assert_eq!((refused.problem(), &refused.body["errors"][0]["field"]), ((400, "V001"), &"note".into()));
    let stranger = send(shop.post(path, &json!({"note": "n"}))).await;
    assert_eq!(stranger.status, 401, "{stranger:?}");
    assert_eq!(get(&shop, "alerts?status=open").await["alerts"].as_array().unwrap().len(), 1);
    let resolved = resolve(path, json!({"note": "n"})).await;
    assert!(resolved.status == 200 && resolved.body["resolvedAt"].is_string(), "{resolved:?}");
    assert_eq!(resolved.body["deliveries"].as_array().unwrap().len(), 1);
    for gone in [path, "/api/admin/alerts/nothing/resolve"] {
        assert_eq!(resolve(gone, json!({"note": "n"})).await.problem(), (404, "R001"), "{gone}");
    }
    let entry = &get(&shop, "audit-log").await["entries"][0];
    assert_eq!((&entry["action"], &entry["after"]), (&"alert.resolve".into(), &json!({"note": "n"})));
    assert_eq!(get(&shop, "sync-failures").await["openCount"], 1, "the order itself is still there");
}

#[tokio::test]
async fn what_is_not_on_the_desk_is_left_alone() {
    let shop = open().await;
    for unknown in [FINE, "019a3c5e-7f00-7abc-8def-000000009980", "order1"] {
        assert_eq!(post(&shop, &format!("{unknown}/retry"), json!({})).await.problem(), (404, "O001"), "{unknown}");
        let resolved = post(&shop, &format!("{unknown}/resolve"), json!({"note": "n"})).await;
        assert_eq!(resolved.problem(), (404, "O001"), "{unknown}");
    }
    for note in [json!({}), json!({"note": ""}), json!({"note": " "}), json!({"note": "x".repeat(1_001)})] {
        let refused = post(&shop, &format!("{FAILED}/resolve"), note).await;
        assert_eq!((refused.problem(), &refused.body["errors"][0]["field"]), ((400, "V001"), &"note".into()));
    }
    assert_eq!(post(&shop, &format!("{FAILED}/resolve"), json!({"note": "n"})).await.status, 200);
    assert_eq!(post(&shop, &format!("{FAILED}/retry"), json!({})).await.problem(), (404, "O001"), "it is settled");
    let changed: i64 = sqlx::query_scalar("select count(*) from order_syncs where next_attempt_at is not null")
        .fetch_one(&shop.pool)
        .await
        .unwrap();
    assert_eq!(changed, 0);
    for path in ["sync-failures", "alerts"] {
        let wrong = send(shop.as_admin(Method::GET, &format!("/api/admin/{path}?status=lost"))).await;
        assert_eq!((wrong.problem(), &wrong.body["errors"][0]["field"]), ((400, "V001"), &"status".into()));
    }
}

#[tokio::test]
async fn a_request_is_followed_from_the_line_to_its_batch() {
    let shop = Shop::open().await;
    let id = shop.claim("C1", "user1").await;
    let waiting = get(&shop, &format!("requests/{id}")).await;
    assert_eq!((&waiting["status"], &waiting["position"]), (&"QUEUED".into(), &0.into()));
    assert_eq!((&waiting["userId"], &waiting["lanes"]), (&"user1".into(), &json!(["coupon:C1"])));
    let worker = Worker::of(&shop, "coupon");
    let receipts = worker.decide(no(Refusal::CouponNotFound)).await;
    archive(&shop.pool, &receipts).await;
    sqlx::query(
        "insert into batches (lane_group, first_ticket, last_ticket, size, worker, claimed_at, decided_at)
         values ('coupon', 1, 1, 1, 'worker-7', now(), now())",
    )
    .execute(&shop.pool)
    .await
    .unwrap();
    let decided = get(&shop, &format!("requests/{id}")).await;
    assert_eq!((&decided["status"], &decided["outcome"]["code"]), (&"FAILED".into(), &"C002".into()));
    assert_eq!((&decided["ticket"], &decided["batch"]["worker"]), (&1.into(), &"worker-7".into()));
    assert_eq!(get(&shop, "requests?userId=user1").await["requests"], json!([decided]));
    assert_eq!(get(&shop, "requests?userId=user2").await["requests"], json!([]));
    for (path, meant) in [
        ("requests/019a3c5e-7f00-7abc-8def-000000009940", (404, "R001")),
        ("requests/nonsense", (404, "R001")),
        ("requests", (400, "V001")),
        ("requests?userId=two%20words", (400, "V001")),
    ] {
        let refused = send(shop.as_admin(Method::GET, &format!("/api/admin/{path}"))).await;
        assert_eq!(refused.problem(), meant, "{path}");
    }
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_none() {
    let shop = Shop::open().await;
    let product = json!({"productId": "P1", "name": "p", "price": 1, "stock": 1});
    let made = shop.admin_post("/api/admin/products", &product).await;
    let patch =
        send(shop.as_admin(Method::PATCH, "/api/admin/products/P1").json(&json!({"stock": 9, "price": 1}))).await;
    assert_eq!((patch.status, &patch.body), (200, &made), "stock is not changed like this");
    let none = send(shop.as_admin(Method::POST, "/api/admin/products/P1/stock").json(&json!({"delta": 0}))).await;
    assert_eq!(none.body, made);
    assert_eq!(get(&shop, "audit-log").await["entries"].as_array().unwrap().len(), 1);
}
