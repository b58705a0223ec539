//! The path from the line to Postgres and back, with a real worker process.

mod support;

use common::{Outcome, Refusal, Success};
use lanes::{Appended, IdempotencyKey};
use support::{World, claim, order};

#[tokio::test(flavor = "multi_thread")]
async fn claims_and_orders_are_decided_and_committed() {
    let world = World::new().await;
    world.coupon("C1", 1).await;
    world.products(&[("P1", 500, 3)]).await;
    world.user("rich", 10_000).await;
    let _worker = world.start_worker();

    let (first, _) = world.submit(claim("u1", "C1"), None).await;
    let (second, _) = world.submit(claim("u2", "C1"), None).await;
    let (bought, _) = world.submit(order("rich", &[("P1", 2)]), None).await;
    let (short, _) = world.submit(order("rich", &[("P1", 2)]), None).await;
    let (poor, _) = world.submit(order("new", &[("P1", 1)]), None).await;

    let first_receipt = world.outcome(first).await;
    assert!(matches!(first_receipt.outcome, Outcome::Succeeded(Success::CouponIssued { user_coupon_id, .. })
        if user_coupon_id == first.as_uuid()));
    assert_eq!(world.outcome(second).await.outcome, Outcome::Failed(Refusal::CouponSoldOut));
    assert!(matches!(
        world.outcome(bought).await.outcome,
        Outcome::Succeeded(Success::OrderPlaced { final_amount: 1_000, remaining_balance: 9_000, .. })
    ));
    assert!(matches!(world.outcome(short).await.outcome, Outcome::Failed(Refusal::InsufficientStock { .. })));
    assert!(matches!(world.outcome(poor).await.outcome, Outcome::Failed(Refusal::InsufficientBalance { .. })));

    let stock: i64 = sqlx::query_scalar("select stock from products").fetch_one(&world.pool).await.unwrap();
    assert_eq!(stock, 1);
    world.drained().await;
    world.check_promises().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_redis_forgot_is_found_in_postgres() {
    let world = World::new().await;
    world.coupon("C1", 10).await;
    let _worker = world.start_worker();
    let key = |body: char| Some(IdempotencyKey { digest: "a1".repeat(32), body: body.to_string().repeat(64) });

    let (first, _) = world.submit(claim("u1", "C1"), key('b')).await;
    let first_outcome = world.outcome(first).await.outcome;
    let (_, again) = world.submit(claim("u1", "C1"), key('b')).await;
    assert_eq!(again, Appended::Repeated(first.as_uuid()), "Redis knows the key");

    world.redis(&["FLUSHALL"]);
    let (repeat, _) = world.submit(claim("u1", "C1"), key('b')).await;
    assert_eq!(world.outcome(repeat).await.outcome, first_outcome, "the first outcome is copied");
    world.redis(&["FLUSHALL"]);
    let (other_body, _) = world.submit(claim("u1", "C1"), key('c')).await;
    assert_eq!(world.outcome(other_body).await.outcome, Outcome::Failed(Refusal::IdempotencyKeyReused));
    let issued: i64 = sqlx::query_scalar("select count(*) from user_coupons").fetch_one(&world.pool).await.unwrap();
    assert_eq!(issued, 1);
    world.drained().await;
    world.check_promises().await;
}
