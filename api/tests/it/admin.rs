//! The operators' desk: what is made and changed, what is written down about it, and holding a line.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor;

use crate::kit::{Answer, Shop, send};
use crate::worker::{Worker, yes};

async fn post(shop: &Shop, path: &str, body: Value) -> Answer {
    send(shop.as_admin(Method::POST, path).json(&body)).await
}

async fn patch(shop: &Shop, path: &str, body: Value) -> Answer {
    send(shop.as_admin(Method::PATCH, path).json(&body)).await
}

/// The audit log, oldest first: action, subject, before, after.
async fn log(shop: &Shop) -> Vec<(String, String, Value, Value)> {
    let answer = send(shop.as_admin(Method::GET, "/api/admin/audit-log?limit=100")).await;
    let entry = |entry: &Value| {
        let text = |name: &str| entry[name].as_str().unwrap().to_owned();
        assert_eq!(entry["actor"], "admin");
        (text("action"), text("subject"), entry["before"].clone(), entry["after"].clone())
    };
    answer.body["entries"].as_array().unwrap().iter().rev().map(entry).collect()
}

#[tokio::test]
async fn products_are_made_changed_and_restocked() {
    let shop = Shop::open().await;
    let made =
        post(&shop, "/api/admin/products", json!({"productId": "P1", "name": "노트북", "price": 900, "stock": 2}))
            .await;
    assert_eq!(made.status, 201);
    let again =
        post(&shop, "/api/admin/products", json!({"productId": "P1", "name": "x", "price": 1, "stock": 1})).await;
    assert_eq!(again.problem(), (409, "X004"));
    let unnamed =
        post(&shop, "/api/admin/products", json!({"name": "y", "price": 0, "stock": 0, "description": "d"})).await;
    assert_eq!(unnamed.body["productId"].as_str().unwrap().len(), 36);

    let stock = "/api/admin/products/P1/stock";
    assert_eq!(post(&shop, stock, json!({"delta": 5})).await.body["stock"], 7);
    assert_eq!(post(&shop, stock, json!({"delta": -7})).await.body["stock"], 0);
    let below = post(&shop, stock, json!({"delta": -1})).await;
    assert_eq!((below.problem(), &below.body["errors"][0]["field"]), ((400, "V001"), &"delta".into()));
    assert_eq!(post(&shop, "/api/admin/products/P9/stock", json!({"delta": 1})).await.problem(), (404, "P001"));
    let edited = patch(&shop, "/api/admin/products/P1", json!({"price": 800})).await.body;
    assert_eq!((&edited["price"], &edited["name"], &edited["stock"]), (&800.into(), &"노트북".into(), &0.into()));

    let shown = send(shop.get("/api/products/P1")).await.body;
    assert_eq!(shown, json!({"productId": "P1", "name": "노트북", "description": "", "price": 800, "stock": 0}));
    assert_eq!(send(shop.get("/api/products/P1/stock")).await.body, json!({"productId": "P1", "stock": 0}));

    let log = log(&shop).await;
    let actions: Vec<&str> = log.iter().map(|(action, ..)| action.as_str()).collect();
    let meant = ["product.create", "product.create", "product.restock", "product.restock", "product.edit"];
    assert_eq!(actions, meant, "refused changes leave nothing");
    assert_eq!((&log[2].1[..], &log[2].2["stock"], &log[2].3["stock"]), ("product:P1", &2.into(), &7.into()));
}

#[tokio::test]
async fn what_operators_send_is_checked() {
    let shop = Shop::open().await;
    let coupon = |changed: Value| {
        let mut coupon =
            json!({"couponId": "C1", "name": "c", "discountType": "PERCENT", "discountValue": 10, "totalQuantity": 5});
        coupon.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        ("/api/admin/coupons", coupon)
    };
    let product = |changed: Value| {
        let mut product = json!({"productId": "P1", "name": "p", "price": 1, "stock": 1});
        product.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        ("/api/admin/products", product)
    };
    let rows = [
        (product(json!({"productId": "popular"})), "productId"),
        (product(json!({"productId": "P 1"})), "productId"),
        (product(json!({"name": ""})), "name"),
        (product(json!({"name": "  "})), "name"),
        (product(json!({"name": "a\u{0}b"})), "name"),
        (product(json!({"name": "n".repeat(201)})), "name"),
        (product(json!({"description": "d".repeat(4_001)})), "description"),
        (product(json!({"price": -1})), "price"),
        (product(json!({"price": 1_000_000_000_001_i64})), "price"),
        (product(json!({"stock": -1})), "stock"),
        (product(json!({"stock": "1"})), "stock"),
        (coupon(json!({"discountType": "HALF"})), "discountType"),
        (coupon(json!({"discountValue": 101})), "discountValue"),
        (coupon(json!({"discountValue": 0})), "discountValue"),
        (coupon(json!({"totalQuantity": -1})), "totalQuantity"),
        (coupon(json!({"validDays": 0})), "validDays"),
        (coupon(json!({"minOrderAmount": -1})), "minOrderAmount"),
        (coupon(json!({"startsAt": "tomorrow"})), "startsAt"),
        (coupon(json!({"startsAt": "2026-01-02T00:00:00Z", "endsAt": "2026-01-02T00:00:00Z"})), "endsAt"),
        (coupon(json!({"discountType": "FIXED", "maxDiscountAmount": 9})), "maxDiscountAmount"),
        (("/api/admin/users", json!({"userId": "u1", "balance": -1})), "balance"),
        (("/api/admin/users", json!({"userId": "u1", "name": "n".repeat(201)})), "name"),
    ];
    for ((path, body), field) in rows {
        let answer = post(&shop, path, body.clone()).await;
        assert_eq!(answer.problem(), (400, "V001"), "{body}");
        assert_eq!(answer.body["errors"][0]["field"], field, "{body}: {answer:?}");
    }
    assert_eq!(log(&shop).await.len(), 0);
    let (path, fixed) = coupon(json!({"discountType": "FIXED", "endsAt": "2020-01-01T00:00:00Z"}));
    assert_eq!(post(&shop, path, fixed).await.status, 201, "a past end is allowed");
}

#[tokio::test]
async fn a_coupon_can_only_grow() {
    let shop = Shop::open().await;
    let coupon = json!({
        "couponId": "C1", "name": "c", "discountType": "FIXED", "discountValue": 1_000, "totalQuantity": 5,
        "startsAt": "2026-01-01T00:00:00Z", "validDays": 30
    });
    let made = post(&shop, "/api/admin/coupons", coupon).await;
    assert_eq!((made.status, &made.body["remainingQuantity"]), (201, &5.into()));
    let edit = |body: Value| patch(&shop, "/api/admin/coupons/C1", body);
    assert_eq!(edit(json!({"totalQuantity": 4})).await.problem(), (400, "V001"));
    assert_eq!(edit(json!({"totalQuantity": 9})).await.body["totalQuantity"], 9);
    assert_eq!(edit(json!({"endsAt": "2025-12-31T00:00:00Z"})).await.problem(), (400, "V001"));
    let moved = edit(json!({"endsAt": "2099-12-31T00:00:00Z"})).await.body;
    assert_eq!((&moved["endsAt"], &moved["totalQuantity"]), (&"2099-12-31T00:00:00Z".into(), &9.into()));
    assert_eq!(edit(json!({"endsAt": null})).await.body["endsAt"], Value::Null);
    assert_eq!(edit(json!({})).await.body["totalQuantity"], 9);
    assert_eq!(patch(&shop, "/api/admin/coupons/C9", json!({})).await.problem(), (404, "C002"));
    let offered = send(shop.get("/api/coupons")).await.body;
    assert_eq!(offered["coupons"][0]["couponId"], "C1");
    edit(json!({"endsAt": "2026-01-02T00:00:00Z"})).await;
    assert_eq!(send(shop.get("/api/coupons")).await.body["coupons"], json!([]), "what is over is not offered");
}

#[tokio::test]
async fn a_balance_is_its_ledger_from_the_beginning() {
    let shop = Shop::open().await;
    let made = post(&shop, "/api/admin/users", json!({"userId": "user1", "balance": 10_000})).await;
    assert_eq!((made.status, &made.body["balance"]), (201, &10_000.into()));
    assert_eq!(post(&shop, "/api/admin/users", json!({"userId": "user1"})).await.problem(), (409, "X004"));
    post(&shop, "/api/admin/users", json!({"userId": "user2"})).await;
    let ledger: Vec<(String, String, i64, i64)> =
        sqlx::query_as("select user_id, kind, amount, balance_after from ledger").fetch_all(&shop.pool).await.unwrap();
    assert_eq!(ledger, [("user1".to_owned(), "OPENING".to_owned(), 10_000, 10_000)]);
    for (user, balance) in [("user1", 10_000), ("user2", 0), ("never-seen", 0)] {
        let answer = send(shop.get(&format!("/api/users/balance?userId={user}"))).await;
        assert_eq!(answer.body, json!({"userId": user, "balance": balance}));
    }
    let users = send(shop.as_admin(Method::GET, "/api/admin/users")).await.body;
    assert_eq!(users["users"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let shop = Shop::open().await;
    for i in 0..7 {
        let product = json!({"productId": format!("P{i}"), "name": format!("100% Tea_{i}"), "price": i, "stock": i});
        post(&shop, "/api/admin/products", product).await;
    }
    for path in ["/api/products", "/api/admin/products"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page =
                send(shop.get(&format!("{path}?limit=3{cursor}")).bearer_auth(crate::kit::ADMIN_TOKEN)).await.body;
            let ids =
                page["products"].as_array().unwrap().iter().map(|row| row["productId"].as_str().unwrap().to_owned());
            seen.extend(ids);
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, ["P0", "P1", "P2", "P3", "P4", "P5", "P6"], "{path}");
    }
    for (search, found) in [("tea_3", 1), ("TEA", 7), ("%25", 7), ("_3", 1), ("coffee", 0), ("", 7)] {
        let page = send(shop.get(&format!("/api/products?q={search}"))).await.body;
        assert_eq!(page["products"].as_array().unwrap().len(), found, "{search}");
    }
    let (mut pages, mut cursor) = (0, String::new());
    loop {
        let page = send(shop.as_admin(Method::GET, &format!("/api/admin/audit-log?limit=3{cursor}"))).await.body;
        pages += 1;
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(pages, 3);
}

#[tokio::test]
async fn a_held_lane_keeps_its_line() {
    let shop = Shop::open().await;
    let worker = Worker::of(&shop, "order");
    let order = |user: &str, products: &[&str]| {
        let items: Vec<_> = products.iter().map(|id| json!({"productId": id, "quantity": 1})).collect();
        send(shop.post("/api/orders", &json!({"userId": user, "items": items})))
    };
    order("user1", &["P1", "P2"]).await;
    order("user2", &["P2"]).await;
    order("user3", &["P3"]).await;
    let held = post(&shop, "/api/admin/lanes/product:P1/pause", json!({})).await;
    // Also the one who stands behind it in the lane of P2.
    assert_eq!((held.status, &held.body), (200, &json!({"lane": "product:P1", "paused": true, "waiting": 2})));
    let batch = worker.claim().await;
    assert_eq!(batch.entries.iter().map(|entry| entry.ticket).collect::<Vec<_>>(), [3]);
    worker.ack(&batch, &crate::worker::receipts(&batch, yes), Vec::new()).await;
    assert!(worker.claim_now().await.is_none());

    let shown = send(shop.as_admin(Method::GET, "/api/admin/lanes")).await.body;
    let group = shown["groups"].as_array().unwrap().iter().find(|group| group["group"] == "order").unwrap();
    assert_eq!((&group["depth"], &group["pausedLanes"]), (&2.into(), &json!(["product:P1"])));
    assert_eq!(group["longestLanes"][0], json!({"lane": "product:P2", "depth": 2}));
    let kept: Vec<(String, String)> =
        sqlx::query_as("select lane_group, lane from paused_lanes").fetch_all(&shop.pool).await.unwrap();
    assert_eq!(kept, [("order".to_owned(), "product:P1".to_owned())]);

    let resumed = post(&shop, "/api/admin/lanes/product:P1/resume", json!({})).await;
    assert_eq!(resumed.body, json!({"lane": "product:P1", "paused": false, "wasPaused": true}));
    assert_eq!(worker.decide(yes).await.len(), 2);
    let kept: i64 = sqlx::query_scalar("select count(*) from paused_lanes").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(kept, 0);
    assert_eq!(
        log(&shop).await.iter().map(|(action, ..)| action.as_str()).collect::<Vec<_>>(),
        ["lane.pause", "lane.resume"]
    );
}

#[tokio::test]
async fn a_whole_group_can_be_held_and_nonsense_cannot() {
    let shop = Shop::open().await;
    shop.claim("C1", "user1").await;
    let held = post(&shop, "/api/admin/lanes/coupon:*/pause", json!({})).await;
    assert_eq!(held.body, json!({"lane": "coupon:*", "paused": true, "waiting": 1}));
    assert!(Worker::of(&shop, "coupon").claim_now().await.is_none());
    // As workers raise them; what is told of one group ends with that group's hold, and no sooner.
    shop.pool
        .execute(
            "insert into alerts (alert_id, kind, text, details)
             select gen_random_uuid(), 'GROUP_HELD', 'held', jsonb_build_object('group', held)
               from unnest(array['coupon', 'order']) as held",
        )
        .await
        .unwrap();
    assert_eq!(post(&shop, "/api/admin/lanes/coupon:C1/resume", json!({})).await.status, 200);
    let open =
        "select array_agg(details ->> 'group' order by details ->> 'group') from alerts where resolved_at is null";
    let open = async || sqlx::query_scalar::<_, Vec<String>>(open).fetch_one(&shop.pool).await.unwrap();
    assert_eq!(open().await, ["coupon", "order"]);
    assert_eq!(post(&shop, "/api/admin/lanes/coupon:*/resume", json!({})).await.body["wasPaused"], true);
    assert_eq!(open().await, ["order"]);
    Worker::of(&shop, "coupon").claim().await;
    for lane in ["P1", "cart:user1", "product:", "coupon-9:*", "product:P%201"] {
        let answer = post(&shop, &format!("/api/admin/lanes/{lane}/pause"), json!({})).await;
        assert_eq!(answer.problem(), (400, "V001"), "{lane}");
        assert_eq!(answer.body["errors"][0]["field"], "lane", "{lane}");
    }
}

#[tokio::test]
async fn a_pause_survives_a_redis_that_lost_its_data() {
    let mut shop = Shop::open().await;
    post(&shop, "/api/admin/lanes/coupon:C1/pause", json!({})).await;
    shop.redis.command(&["FLUSHALL"]).unwrap();
    shop.restart_api().await;
    shop.claim("C1", "user1").await;
    let behind = shop.claim("C2", "user1").await;
    let batch = Worker::of(&shop, "coupon").claim().await;
    assert_eq!(batch.entries.iter().map(|entry| entry.id.to_string()).collect::<Vec<_>>(), [behind]);
}

#[tokio::test]
async fn a_change_waits_only_shortly_for_a_row() {
    let shop = Shop::open().await;
    post(&shop, "/api/admin/products", json!({"productId": "P1", "name": "p", "price": 1, "stock": 1})).await;
    let mut holder = shop.pool.acquire().await.unwrap();
    holder.execute("begin").await.unwrap();
    holder.execute("select from products for no key update").await.unwrap();
    let refused = post(&shop, "/api/admin/products/P1/stock", json!({"delta": 1})).await;
    assert_eq!(refused.problem(), (503, "R005"));
    holder.execute("rollback").await.unwrap();
    assert_eq!(post(&shop, "/api/admin/products/P1/stock", json!({"delta": 1})).await.body["stock"], 2);
    assert_eq!(log(&shop).await.len(), 2);
}
