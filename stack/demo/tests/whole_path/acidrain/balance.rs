//! A balance is spent once, and is the sum of its entries.

use reqwest::Method;
use sandbox::{Options, Sandbox};
use serde_json::json;

use super::{RACERS, Start, check, check_audit, count, operator, order, order_with, product, race, rows, user};
use crate::diagram_4::open as with_gateway;
use crate::shop::Shop;

const BALANCE: &str = "select balance from users where user_id = $1";
const LEDGER: &str = "select coalesce(sum(amount), 0)::bigint from ledger where user_id = $1";

#[tokio::test(flavor = "multi_thread")]
async fn one_balance_is_spent_on_many_products() {
    let shop = Shop::open().await;
    // They share no product, so that only the shopper's own lane stands between them.
    for number in 0..RACERS {
        product(&shop, &format!("P{number}"), 100, 10).await;
    }
    for start in Start::both("order") {
        let id = start.id("u");
        user(&shop, &id, 350).await;
        let orders = (0..RACERS).map(|number| order(&shop, &id, &[(&format!("P{number}"), 1)])).collect();
        check(&race(&shop, start, orders).await, 201, 3, (400, "PAY001"));
        assert_eq!((rows(&shop, BALANCE, &id).await, rows(&shop, LEDGER, &id).await), (50, 50));
    }
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_is_charged_while_it_is_spent() {
    const CHARGED: i64 = 100;
    let gateway = Sandbox::start(Options::default()).await.unwrap();
    let shop = with_gateway(&gateway).await;
    product(&shop, "P", CHARGED, 1_000).await;
    let charge = || {
        let body = json!({"userId": "u", "amount": CHARGED});
        shop.request(Method::POST, "/api/users/balance/charge").json(&body)
    };
    let mut requests: Vec<_> = (0..RACERS / 2).map(|_| charge()).collect();
    requests.extend((0..RACERS / 2).map(|_| order(&shop, "u", &[("P", 1)])));
    let answers = race(&shop, Start::Free, requests).await;
    let (charges, orders) = answers.split_at(RACERS / 2);
    assert_eq!(count(charges, 200, ""), RACERS / 2, "{charges:?}");
    let bought = count(orders, 201, "");
    check(orders, 201, bought, (400, "PAY001"));
    let left = CHARGED * (RACERS as i64 / 2 - bought as i64);
    assert_eq!((rows(&shop, BALANCE, "u").await, rows(&shop, LEDGER, "u").await), (left, left));
    assert_eq!(gateway.arrived().ledger.len(), RACERS / 2);
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_charge_is_clicked_many_times() {
    let gateway = Sandbox::start(Options::default()).await.unwrap();
    let shop = with_gateway(&gateway).await;
    let charge = json!({"userId": "u", "amount": 100});
    let charges = (0..RACERS).map(|_| {
        let request = shop.request(Method::POST, "/api/users/balance/charge").json(&charge);
        request.header("idempotency-key", "click")
    });
    let answers = race(&shop, Start::Free, charges.collect()).await;
    assert_eq!(count(&answers, 200, ""), RACERS, "{answers:?}");
    assert_eq!((rows(&shop, BALANCE, "u").await, rows(&shop, LEDGER, "u").await), (100, 100));
    assert_eq!(gateway.arrived().ledger.len(), 1, "the card was charged once");
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opening_balance_is_given_once() {
    let shop = Shop::open().await;
    let opening = json!({"userId": "u", "balance": 100});
    let requests = (0..RACERS).map(|_| operator(&shop, Method::POST, "/users", &opening)).collect();
    check(&race(&shop, Start::Free, requests).await, 201, 1, (409, "X004"));
    assert_eq!((rows(&shop, BALANCE, "u").await, rows(&shop, LEDGER, "u").await), (100, 100));
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_for_one_order_is_spent_with_two_vouchers() {
    let shop = Shop::open().await;
    for start in Start::both("order") {
        let (id, goods) = (start.id("u"), start.id("P"));
        let vouchers = [start.id("A"), start.id("B")];
        // With a voucher of 1,000 there is enough for one.
        user(&shop, &id, 4_500).await;
        product(&shop, &goods, 5_000, RACERS as i64).await;
        for voucher in &vouchers {
            shop.coupon(voucher, 1).await;
            assert_eq!(shop.decided(shop.claim(voucher, &id)).await.0, 201);
        }
        let with_voucher = |number: usize| json!({"couponId": vouchers[number % 2]});
        let orders = (0..RACERS).map(|number| order_with(&shop, &id, &[(&goods, 1)], with_voucher(number)));
        let answers = race(&shop, start, orders.collect()).await;
        assert_eq!(count(&answers, 201, ""), 1, "{answers:?}");
        // The same voucher once more, or the other one without the money.
        assert_eq!(count(&answers, 400, "C005"), RACERS / 2 - 1, "{answers:?}");
        assert_eq!(count(&answers, 400, "PAY001"), RACERS / 2, "{answers:?}");
        let used = "select count(*) from user_coupons where user_id = $1 and used_at is not null";
        assert_eq!(rows(&shop, used, &id).await, 1, "an order that was refused uses no voucher");
        assert_eq!((rows(&shop, BALANCE, &id).await, rows(&shop, LEDGER, &id).await), (500, 500));
    }
    check_audit(&shop).await;
}
