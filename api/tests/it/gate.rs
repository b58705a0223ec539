//! The certain no before the line: the answer that the line would give, with nothing stored.

use common::Refusal;
use lanes::Gate;
use reqwest::Method;
use serde_json::json;
use stack::Shutdown;

use crate::kit::{Answer, Plan, Shop, send};
use crate::worker::{Worker, no, receipts, yes};

/// A coupon with one unit, which user1 gets; the gate is closed afterwards.
async fn sell_out(shop: &Shop) -> Worker {
    let coupon =
        json!({"couponId": "C1", "name": "one", "discountType": "FIXED", "discountValue": 1, "totalQuantity": 1});
    shop.admin_post("/api/admin/coupons", &coupon).await;
    let worker = Worker::of(shop, "coupon");
    shop.claim("C1", "user1").await;
    let batch = worker.claim().await;
    sqlx::query("update coupons set issued_quantity = 1").execute(&shop.pool).await.unwrap();
    sqlx::query(
        "insert into user_coupons (user_id, coupon_id, user_coupon_id, issued_at) values ('user1', 'C1', $1, now())",
    )
    .bind(batch.entries[0].id)
    .execute(&shop.pool)
    .await
    .unwrap();
    let gate = Gate { lane: "coupon:C1".parse().unwrap(), used: 1, limit: 1 };
    worker.ack(&batch, &receipts(&batch, yes), vec![gate]).await;
    worker
}

async fn claim(shop: &Shop, user: &str) -> Answer {
    send(shop.post("/api/coupons/C1/issue", &json!({"userId": user}))).await
}

#[tokio::test]
async fn a_closed_gate_answers_as_the_line_would() {
    let shop = Shop::open().await;
    let worker = sell_out(&shop).await;
    let with_key = || shop.post("/api/coupons/C1/issue", &json!({"userId": "user2"})).header("idempotency-key", "k1");
    assert_eq!(claim(&shop, "user2").await.problem(), (409, "C001"));
    assert_eq!(send(with_key()).await.problem(), (409, "C001"));
    assert_eq!(claim(&shop, "user1").await.problem(), (409, "C004"));
    sqlx::query("update coupons set ends_at = now() - interval '1 second'").execute(&shop.pool).await.unwrap();
    assert_eq!(claim(&shop, "user2").await.problem(), (400, "C003"));
    assert_eq!(claim(&shop, "user1").await.problem(), (409, "C004"));
    assert_eq!(worker.lanes.depth(1).await.unwrap().waiting, 0, "nothing entered the line");
    assert_eq!(shop.metric("droplane_refused_total{group=\"coupon\",reason=\"sold_out\"}").await, 5.0);

    // No key was bound by the refusal: the same key with another body is a request of its own.
    let open_again = json!({"totalQuantity": 2, "endsAt": null});
    send(shop.as_admin(Method::PATCH, "/api/admin/coupons/C1").json(&open_again)).await;
    assert_eq!(send(with_key()).await.status, 202);
}

#[tokio::test]
async fn raising_the_total_opens_the_gate() {
    let shop = Shop::open().await;
    sell_out(&shop).await;
    let raised = send(shop.as_admin(Method::PATCH, "/api/admin/coupons/C1").json(&json!({"totalQuantity": 2}))).await;
    assert_eq!((raised.status, &raised.body["totalQuantity"]), (200, &2.into()));
    assert_eq!(gate(&shop), (1, 2));
    assert_eq!(claim(&shop, "user2").await.status, 202);
}

/// An operator raises the total while a worker has committed the last unit and not told the gate yet: whichever message
/// comes first, the gate ends open.
#[tokio::test]
async fn messages_that_cross_leave_the_gate_open() {
    let shop = Shop::open().await;
    let worker = sell_out(&shop).await;
    let raise = async |total: i64| {
        let raised = json!({"totalQuantity": total});
        send(shop.as_admin(Method::PATCH, "/api/admin/coupons/C1").json(&raised)).await
    };
    assert_eq!(raise(2).await.status, 200);
    shop.claim("C1", "user2").await;
    let batch = worker.claim().await;
    // Raised once more between the worker's commit, which saw 2 of 2, and its ack.
    sqlx::query("update coupons set issued_quantity = 2").execute(&shop.pool).await.unwrap();
    assert_eq!(raise(3).await.status, 200);
    assert_eq!(gate(&shop), (2, 3));
    let late = Gate { lane: "coupon:C1".parse().unwrap(), used: 2, limit: 2 };
    worker.ack(&batch, &receipts(&batch, yes), vec![late]).await;
    assert_eq!(gate(&shop), (2, 3));
    assert_eq!(claim(&shop, "user3").await.status, 202);
}

#[tokio::test]
async fn a_gate_that_was_not_told_is_told_by_the_next_claim() {
    let shop = Shop::open().await;
    sell_out(&shop).await;
    // As if the process had died between the commit and telling the gate.
    sqlx::query("update coupons set total_quantity = 3").execute(&shop.pool).await.unwrap();
    assert_eq!(gate(&shop), (1, 1));
    assert_eq!(claim(&shop, "user2").await.status, 202);
    assert_eq!(gate(&shop), (1, 3));
}

#[tokio::test]
async fn without_postgres_the_line_decides() {
    let mut shop = Plan::default().own_postgres().open().await;
    let worker = sell_out(&shop).await;
    shop.postgres.as_mut().unwrap().stop(Shutdown::Immediate);
    let answer = claim(&shop, "user2").await;
    assert_eq!((answer.status, &answer.body["status"]), (202, &"QUEUED".into()));
    let receipts = worker.decide(no(Refusal::CouponSoldOut)).await;
    assert_eq!(answer.body["requestId"], receipts[0].request_id.to_string());
}

#[tokio::test]
async fn many_sold_out_answers_share_few_questions() {
    const SHOPPERS: usize = 500;
    let shop = Shop::open().await;
    sell_out(&shop).await;
    let claims = (0..SHOPPERS).map(|i| {
        // Every tenth is the holder, so that answers given to the wrong one would be seen.
        let user = if i % 10 == 0 { "user1".to_owned() } else { format!("shopper{i}") };
        let request = shop.post("/api/coupons/C1/issue", &json!({"userId": user}));
        tokio::spawn(async move { send(request).await })
    });
    for (i, claim) in claims.collect::<Vec<_>>().into_iter().enumerate() {
        let meant = if i % 10 == 0 { (409, "C004") } else { (409, "C001") };
        assert_eq!(claim.await.unwrap().problem(), meant, "shopper {i}");
    }
}

/// Used and limit.
fn gate(shop: &Shop) -> (u64, u64) {
    let numbers = shop.redis.command(&["HMGET", "{coupon}:gate:coupon:C1", "used", "limit"]).unwrap();
    let mut numbers = numbers.lines().map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}
