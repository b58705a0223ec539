//! What belongs to one shopper: coupons, orders and the ledger. Somebody else's is unknown.

use serde_json::{Value, json};
use sqlx::Executor;

use crate::auth::with_tokens;
use crate::kit::{Shop, send};

/// Three orders and three coupons of user1, one of each by user2. Ids rise with the numbers.
const ROWS: &str = "
    insert into products (product_id, name, price, stock, stocked) values ('P1', 'now', 9, 9, 9);
    insert into orders (order_id, user_id, total_amount, discount_amount, final_amount, created_at)
    select ('019a3c5e-7f00-7abc-8def-00000000' || number || '80')::uuid,
           case when number < 14 then 'user1' else 'user2' end, 500, 0, 500, now()
      from generate_series(11, 14) as number;
    insert into order_lines (order_id, line, product_id, quantity, unit_price)
    select order_id, 1, 'P1', 5, 100 from orders;
    insert into order_syncs (order_id, attempts, next_attempt_at, last_error)
    select order_id, 1, '2030-01-01T00:05:00Z', 'timed out' from orders;
    insert into coupons (coupon_id, name, discount_type, discount_value, total_quantity)
    select 'C' || number, 'c', 'FIXED', 100, 9 from generate_series(1, 4) as number;
    insert into user_coupons (user_id, coupon_id, user_coupon_id, issued_at, expires_at, used_at, order_id)
    select case when number < 4 then 'user1' else 'user2' end, 'C' || number,
           ('019a3c5e-7f00-7abc-8def-000000000' || number || '40')::uuid, now(),
           case when number = 2 then now() end, case when number = 3 then now() end,
           case when number = 3 then ('019a3c5e-7f00-7abc-8def-000000001180')::uuid end
      from generate_series(1, 4) as number;
    insert into ledger (user_id, kind, amount, balance_after, reference_id, created_at)
    select case when number < 4 then 'user1' else 'user2' end, 'OPENING', number, number,
           '019a3c5e-7f00-7abc-8def-000000001180', now()
      from generate_series(1, 4) as number";

fn texts<'a>(list: &'a Value, member: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|item| item[member].as_str().unwrap()).collect()
}

#[tokio::test]
async fn lists_are_newest_first_and_page() {
    let shop = Shop::open().await;
    shop.pool.execute(ROWS).await.unwrap();
    let (a, b, c) = (
        "019a3c5e-7f00-7abc-8def-000000001380",
        "019a3c5e-7f00-7abc-8def-000000001280",
        "019a3c5e-7f00-7abc-8def-000000001180",
    );
    let first = send(shop.get("/api/orders?userId=user1&limit=2")).await.body;
    assert_eq!((texts(&first["orders"], "orderId"), &first["nextCursor"]), (vec![a, b], &b.into()));
    let second = send(shop.get(&format!("/api/orders?userId=user1&limit=2&cursor={b}"))).await.body;
    assert_eq!((texts(&second["orders"], "orderId"), &second["nextCursor"]), (vec![c], &Value::Null));
    let order = &second["orders"][0];
    let line = json!([{"productId": "P1", "productName": "now", "quantity": 5, "unitPrice": 100, "subtotal": 500}]);
    assert_eq!(order["items"], line, "the price is that of then");
    let sync = json!({"synced": false, "syncAttempts": 1, "lastSyncError": "timed out",
                      "nextRetryAt": "2030-01-01T00:05:00Z", "syncedAt": null});
    assert_eq!(order["sync"], sync);

    let wallet = async |query: &str| send(shop.get(&format!("/api/users/coupons?userId=user1{query}"))).await;
    let all = wallet("").await.body;
    assert_eq!(texts(&all["coupons"], "couponId"), ["C3", "C2", "C1"]);
    assert_eq!(texts(&all["coupons"], "status"), ["USED", "EXPIRED", "AVAILABLE"]);
    for (status, meant) in [("used", "C3"), ("expired", "C2"), ("available", "C1")] {
        let some = wallet(&format!("&status={status}")).await.body;
        assert_eq!(texts(&some["coupons"], "couponId"), [meant]);
    }
    let unknown = wallet("&status=lost").await;
    assert_eq!((unknown.problem(), &unknown.body["errors"][0]["field"]), ((400, "V001"), &"status".into()));
    let cursor = all["coupons"][0]["userCouponId"].as_str().unwrap();
    let rest = wallet(&format!("&limit=1&cursor={cursor}")).await.body;
    assert_eq!(texts(&rest["coupons"], "couponId"), ["C2"]);

    let history = send(shop.get("/api/users/balance/history?userId=user1&limit=2")).await.body;
    let amounts = |page: &Value| -> Vec<i64> {
        page["entries"].as_array().unwrap().iter().map(|entry| entry["amount"].as_i64().unwrap()).collect()
    };
    assert_eq!(amounts(&history), [3, 2]);
    let cursor = history["nextCursor"].as_str().unwrap();
    let rest = send(shop.get(&format!("/api/users/balance/history?userId=user1&cursor={cursor}"))).await.body;
    assert_eq!((amounts(&rest), &rest["nextCursor"]), (vec![1], &Value::Null));
    for list in ["orders", "users/coupons", "users/balance/history"] {
        let wrong = send(shop.get(&format!("/api/{list}?userId=user1&cursor=x"))).await;
        assert_eq!((wrong.problem(), &wrong.body["errors"][0]["field"]), ((400, "V001"), &"cursor".into()), "{list}");
    }
}

#[tokio::test]
async fn somebody_elses_is_unknown() {
    let (shop, token) = with_tokens().await;
    shop.pool.execute(ROWS).await.unwrap();
    let get = async |path: &str| send(shop.get(path).bearer_auth(&token)).await;
    assert_eq!(get("/api/orders/019a3c5e-7f00-7abc-8def-000000001180").await.status, 200);
    for unknown in ["019a3c5e-7f00-7abc-8def-000000001480", "019a3c5e-7f00-7abc-8def-000000009980", "order1"] {
        assert_eq!(get(&format!("/api/orders/{unknown}")).await.problem(), (404, "O001"), "{unknown}");
    }
    for list in ["orders", "users/coupons", "users/balance", "users/balance/history"] {
        assert_eq!(get(&format!("/api/{list}")).await.status, 200, "{list}");
        assert_eq!(get(&format!("/api/{list}?userId=user2")).await.problem(), (403, "A002"), "{list}");
        assert_eq!(send(shop.get(&format!("/api/{list}?userId=user1"))).await.problem(), (401, "A001"), "{list}");
    }
}

#[tokio::test]
async fn validating_says_what_the_line_would() {
    let shop = Shop::open().await;
    shop.pool.execute(ROWS).await.unwrap();
    let ask = async |user: &str, coupon: &str, amount: i64| {
        let question = json!({"userId": user, "couponId": coupon, "orderAmount": amount});
        send(shop.post("/api/coupons/validate", &question)).await
    };
    let valid = ask("user1", "C1", 60).await.body;
    assert_eq!(valid, json!({"valid": true, "couponId": "C1", "discountAmount": 60, "finalAmount": 0}));
    let rows = [
        ("user1", "C9", (404, "C002"), Value::Null),
        ("user2", "C1", (400, "C005"), "NOT_OWNED".into()),
        ("user1", "C3", (400, "C005"), "ALREADY_USED".into()),
        ("user1", "C2", (400, "C003"), Value::Null),
    ];
    for (user, coupon, meant, reason) in rows {
        let refused = ask(user, coupon, 500).await;
        assert_eq!((refused.problem(), &refused.body["reason"]), (meant, &reason), "{user} {coupon}");
    }
    let wrong = ask("user1", "C1", -1).await;
    assert_eq!((wrong.problem(), &wrong.body["errors"][0]["field"]), ((400, "V001"), &"orderAmount".into()));
}
