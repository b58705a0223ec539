//! A voucher is issued once to a shopper, never more often than there are units, and is used once.

use reqwest::Method;
use serde_json::json;

use super::{RACERS, Start, check, check_audit, count, operator, order_with, product, race, rows, user};
use crate::shop::Shop;

const ISSUED: &str = "select count(*) from user_coupons where coupon_id = $1";
const COUNTED: &str = "select issued_quantity from coupons where coupon_id = $1";

#[tokio::test(flavor = "multi_thread")]
async fn one_shopper_claims_a_voucher_many_times() {
    let shop = Shop::open().await;
    for start in Start::both("coupon") {
        let id = start.id("C");
        shop.coupon(&id, RACERS as i64).await;
        let answers = race(&shop, start, (0..RACERS).map(|_| shop.claim(&id, "greedy")).collect()).await;
        check(&answers, 201, 1, (409, "C004"));
        assert_eq!((rows(&shop, ISSUED, &id).await, rows(&shop, COUNTED, &id).await), (1, 1));
    }
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_shoppers_than_units() {
    const UNITS: usize = 5;
    let shop = Shop::open().await;
    for start in Start::both("coupon") {
        let id = start.id("C");
        shop.coupon(&id, UNITS as i64).await;
        let claims = (0..RACERS).map(|number| shop.claim(&id, &format!("u{number}"))).collect();
        check(&race(&shop, start, claims).await, 201, UNITS, (409, "C001"));
        let units = UNITS as i64;
        assert_eq!((rows(&shop, ISSUED, &id).await, rows(&shop, COUNTED, &id).await), (units, units));
    }
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_claim_is_repeated_with_its_key() {
    let shop = Shop::open().await;
    for start in [Start::Free] {
        let id = start.id("C");
        shop.coupon(&id, RACERS as i64).await;
        let claims = (0..RACERS).map(|_| shop.claim(&id, "u").header("idempotency-key", "one")).collect();
        let answers = race(&shop, start, claims).await;
        assert_eq!(count(&answers, 201, ""), RACERS, "{answers:?}");
        assert!(answers.iter().all(|(_, body)| body == &answers[0].1), "{answers:?}");
        assert_eq!(rows(&shop, ISSUED, &id).await, 1);
    }
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_voucher_is_used_in_many_orders() {
    let shop = Shop::open().await;
    user(&shop, "greedy", 10_000_000).await;
    for start in Start::both("order") {
        let (coupon, goods) = (start.id("C"), start.id("P"));
        shop.coupon(&coupon, 5).await;
        product(&shop, &goods, 5_000, RACERS as i64).await;
        assert_eq!(shop.decided(shop.claim(&coupon, "greedy")).await.0, 201);
        let with_coupon = json!({ "couponId": coupon });
        let orders = (0..RACERS).map(|_| order_with(&shop, "greedy", &[(&goods, 1)], with_coupon.clone())).collect();
        check(&race(&shop, start, orders).await, 201, 1, (400, "C005"));
        assert_eq!(rows(&shop, "select count(*) from orders where coupon_id = $1", &coupon).await, 1);
        let used = "select count(*) from user_coupons where coupon_id = $1 and used_at is not null";
        assert_eq!(rows(&shop, used, &coupon).await, 1);
    }
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_raises_the_units_during_the_rush() {
    const BEFORE: i64 = 5;
    const AFTER: i64 = 9;
    let shop = Shop::open().await;
    shop.coupon("C", BEFORE).await;
    let mut requests: Vec<_> = (0..RACERS).map(|number| shop.claim("C", &format!("u{number}"))).collect();
    let raise = json!({ "totalQuantity": AFTER });
    requests.insert(RACERS / 2, operator(&shop, Method::PATCH, "/coupons/C", &raise));
    let answers = race(&shop, Start::Free, requests).await;
    let won = count(&answers, 201, "") as i64;
    assert!((BEFORE..=AFTER).contains(&won), "{won}: {answers:?}");
    assert_eq!((rows(&shop, ISSUED, "C").await, rows(&shop, COUNTED, "C").await), (won, won));
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voucher_is_used_while_it_is_claimed() {
    let shop = Shop::open().await;
    user(&shop, "greedy", 10_000_000).await;
    product(&shop, "P", 5_000, 2 * RACERS as i64).await;
    shop.coupon("C", RACERS as i64).await;
    let with_coupon = || order_with(&shop, "greedy", &[("P", 1)], json!({"couponId": "C"}));
    // Claims and orders stand in different lines, and meet at the wallet.
    let mut requests: Vec<_> = (0..RACERS / 2).map(|_| shop.claim("C", "greedy")).collect();
    requests.extend((0..RACERS / 2).map(|_| with_coupon()));
    let answers = race(&shop, Start::Free, requests).await;
    let (claims, orders) = answers.split_at(RACERS / 2);
    check(claims, 201, 1, (409, "C004"));
    let used = count(orders, 201, "");
    check(orders, 201, used, (400, "C005"));
    // Whether or not somebody was quick enough, it is good for one order.
    check(&[shop.decided(with_coupon()).await], 201, usize::from(used == 0), (400, "C005"));
    check(&[shop.decided(with_coupon()).await], 201, 0, (400, "C005"));
    assert_eq!(
        rows(&shop, "select sum(discount_amount)::bigint from orders where user_id = $1", "greedy").await,
        1_000
    );
    assert_eq!((rows(&shop, ISSUED, "C").await, rows(&shop, COUNTED, "C").await), (1, 1));
    check_audit(&shop).await;
}
