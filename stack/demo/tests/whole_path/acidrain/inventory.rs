//! Nothing is sold that is not there, and what was sold is gone.

use reqwest::Method;
use serde_json::json;

use super::{RACERS, Start, check, check_audit, count, operator, order, order_with, product, race, rows, user};
use crate::shop::Shop;

const STOCK: &str = "select stock from products where product_id = $1";
const SOLD: &str = "select coalesce(sum(quantity), 0)::bigint from order_lines where product_id = $1";

/// A shop with a shopper for each racer.
async fn open() -> Shop {
    let shop = Shop::open().await;
    for number in 0..RACERS {
        user(&shop, &format!("u{number}"), 1_000_000).await;
    }
    shop
}

#[tokio::test(flavor = "multi_thread")]
async fn more_shoppers_than_pieces() {
    let shop = open().await;
    for start in Start::both("order") {
        let id = start.id("P");
        product(&shop, &id, 100, 5).await;
        let orders = (0..RACERS).map(|number| order(&shop, &format!("u{number}"), &[(&id, 1)])).collect();
        check(&race(&shop, start, orders).await, 201, 5, (400, "P002"));
        assert_eq!((rows(&shop, STOCK, &id).await, rows(&shop, SOLD, &id).await), (0, 5));
    }
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_products_in_either_order() {
    let shop = open().await;
    for start in Start::both("order") {
        let (many, few) = (start.id("MANY"), start.id("FEW"));
        product(&shop, &many, 100, 7).await;
        product(&shop, &few, 100, 3).await;
        let there = [(many.as_str(), 1), (few.as_str(), 1)];
        let back = [there[1], there[0]];
        let orders =
            (0..RACERS).map(|n| order(&shop, &format!("u{n}"), if n % 2 == 0 { &there } else { &back })).collect();
        check(&race(&shop, start, orders).await, 201, 3, (400, "P002"));
        // All or nothing: of the other product as many are gone.
        assert_eq!((rows(&shop, STOCK, &few).await, rows(&shop, STOCK, &many).await), (0, 4));
        assert_eq!((rows(&shop, SOLD, &few).await, rows(&shop, SOLD, &many).await), (3, 3));
    }
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_product_on_two_lines() {
    let shop = open().await;
    for start in Start::both("order") {
        let id = start.id("P");
        product(&shop, &id, 100, 5).await;
        let orders = (0..RACERS).map(|number| order(&shop, &format!("u{number}"), &[(&id, 2), (&id, 1)])).collect();
        check(&race(&shop, start, orders).await, 201, 1, (400, "P002"));
        assert_eq!((rows(&shop, STOCK, &id).await, rows(&shop, SOLD, &id).await), (2, 3));
    }
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_counts_the_shelf_anew_during_the_rush() {
    const STOCKED: i64 = 20;
    const TAKEN: usize = 8;
    let shop = open().await;
    product(&shop, "P", 100, STOCKED).await;
    let mut requests: Vec<_> = (0..RACERS).map(|number| order(&shop, &format!("u{number}"), &[("P", 1)])).collect();
    let take = json!({"delta": -1});
    requests.extend((0..TAKEN).map(|_| operator(&shop, Method::POST, "/products/P/stock", &take)));
    let answers = race(&shop, Start::Free, requests).await;
    let (orders, changes) = answers.split_at(RACERS);
    let (sold, taken) = (count(orders, 201, "") as i64, count(changes, 200, "") as i64);
    assert!(taken > 0, "the operator came in between: {changes:?}");
    assert_eq!(rows(&shop, SOLD, "P").await, sold);
    assert_eq!(rows(&shop, STOCK, "P").await, STOCKED - sold - taken);
    assert_eq!(sold + taken, STOCKED, "there was more demand than stock");
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_price_changes_between_the_cart_and_the_order() {
    const SEEN: i64 = 100;
    const NEW: i64 = 250;
    let shop = open().await;
    product(&shop, "P", SEEN, RACERS as i64).await;
    let as_seen = json!({ "finalAmount": SEEN });
    let mut requests: Vec<_> =
        (0..RACERS).map(|number| order_with(&shop, &format!("u{number}"), &[("P", 1)], as_seen.clone())).collect();
    requests.insert(RACERS / 2, operator(&shop, Method::PATCH, "/products/P", &json!({ "price": NEW })));
    let mut answers = race(&shop, Start::Free, requests).await;
    assert_eq!(answers.remove(RACERS / 2).0, 200);
    let sold = count(&answers, 201, "");
    check(&answers, 201, sold, (409, "O002"));
    let otherwise = "select count(*) from order_lines where product_id = $1 and unit_price <> 100";
    assert_eq!(rows(&shop, otherwise, "P").await, 0, "everybody pays what they saw, or nothing");
    // From now on nobody gets it for the old price.
    shop.as_admin("/products/P/stock", &json!({"delta": 1})).await;
    let late = shop.decided(order_with(&shop, "u0", &[("P", 1)], as_seen)).await;
    check(&[late], 201, 0, (409, "O002"));
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_pay_takes_no_piece() {
    const RICH: usize = RACERS / 2;
    let shop = open().await;
    for number in 0..RACERS - RICH {
        user(&shop, &format!("poor{number}"), 99).await;
    }
    for start in Start::both("order") {
        let id = start.id("P");
        product(&shop, &id, 100, RICH as i64).await;
        let shoppers = (0..RICH).flat_map(|number| [format!("poor{number}"), format!("u{number}")]);
        let answers = race(&shop, start, shoppers.map(|shopper| order(&shop, &shopper, &[(&id, 1)])).collect()).await;
        let (poor, rich): (Vec<_>, Vec<_>) =
            answers.chunks_exact(2).map(|two| (two[0].clone(), two[1].clone())).unzip();
        assert_eq!(count(&rich, 201, ""), RICH, "there was a piece for each who could pay: {rich:?}");
        assert_eq!(count(&poor, 400, "PAY001") + count(&poor, 400, "P002"), poor.len(), "{poor:?}");
        assert!(count(&poor, 400, "PAY001") > 0, "nobody was poor while there was a piece: {poor:?}");
        assert_eq!((rows(&shop, STOCK, &id).await, rows(&shop, SOLD, &id).await), (0, RICH as i64));
    }
    check_audit(&shop).await;
}
