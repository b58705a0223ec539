//! A cart is what was put in, it is bounded, and what is in it when an order is paid does not change what is paid.

use reqwest::{Method, RequestBuilder};
use serde_json::json;
use stack::wait_for_async;

use super::{RACERS, Start, check_audit, count, order, product, race, rows, user};
use crate::shop::{DEADLINE, Shop};

/// As many products as a cart may hold.
const LINES_MAX: i64 = 100;

fn put(shop: &Shop, product: &str, quantity: i64) -> RequestBuilder {
    let item = json!({"userId": "u", "productId": product, "quantity": quantity});
    shop.request(Method::POST, "/api/cart/items").json(&item)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_product_is_put_in_many_times() {
    let shop = Shop::open().await;
    product(&shop, "P", 100, 1_000).await;
    let answers = race(&shop, Start::Free, (0..RACERS).map(|_| put(&shop, "P", 2)).collect()).await;
    // They go one after another, each within its bound; on a slow machine the last of them are told to come again.
    let (put_in, come_again) = (count(&answers, 201, ""), count(&answers, 503, "R005"));
    assert_eq!(put_in + come_again, RACERS, "{answers:?}");
    assert!(put_in * 2 > RACERS, "{answers:?}");
    let quantity = "select sum(quantity)::bigint from cart_items where product_id = $1";
    assert_eq!(rows(&shop, quantity, "P").await, 2 * put_in as i64);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_places_of_a_cart_are_raced_for() {
    const FREE: usize = 3;
    /// More than there are places.
    const TOGETHER: i64 = 8;
    let shop = Shop::open().await;
    sqlx::raw_sql(
        "insert into products (product_id, name, price, stock, stocked)
         select 'X' || number, 'x', 1, 9, 9 from generate_series(1, 200) as number;
         insert into cart_items (user_id, product_id, quantity)
         select 'u', 'X' || number, 1 from generate_series(101, 197) as number",
    )
    .execute(&shop.pool)
    .await
    .unwrap();
    // Nobody gets in until several are inside their transactions, so that they count at the same moment.
    let mut door = shop.pool.acquire().await.unwrap();
    sqlx::raw_sql("begin; lock table cart_items in share mode").execute(&mut *door).await.unwrap();
    let open_the_door = async {
        wait_for_async("several to stand before the door", DEADLINE, || async {
            let waiting = "select count(*) from pg_stat_activity
                            where datname = current_database() and wait_event_type = 'Lock'";
            let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&shop.pool).await.ok()?;
            (waiting >= TOGETHER).then_some(())
        })
        .await;
        sqlx::raw_sql("rollback").execute(&mut *door).await.unwrap();
    };
    let puts = (1..=RACERS).map(|number| put(&shop, &format!("X{number}"), 1)).collect();
    let (answers, ()) = tokio::join!(race(&shop, Start::Free, puts), open_the_door);
    super::check(&answers, 201, FREE, (400, "V001"));
    assert_eq!(rows(&shop, "select count(*) from cart_items where user_id = $1", "u").await, LINES_MAX);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cart_changes_while_it_is_paid() {
    let shop = Shop::open().await;
    user(&shop, "u", 10_000_000).await;
    for id in ["CHEAP", "DEAR"] {
        product(&shop, id, if id == "CHEAP" { 10 } else { 1_000 }, 1_000).await;
    }
    shop.send(Method::POST, "/api/cart/items", &json!({"userId": "u", "productId": "CHEAP", "quantity": 1})).await;
    let mut requests: Vec<_> = (0..RACERS / 2).map(|_| order(&shop, "u", &[("CHEAP", 1)])).collect();
    requests.extend((0..RACERS / 2).map(|number| put(&shop, if number % 2 == 0 { "DEAR" } else { "CHEAP" }, 1)));
    let answers = race(&shop, Start::Free, requests).await;
    let (orders, puts) = answers.split_at(RACERS / 2);
    assert_eq!((count(orders, 201, ""), count(puts, 201, "")), (RACERS / 2, RACERS / 2), "{answers:?}");
    // Each order is what was sent, at its price: nothing slipped in, and nothing was shipped that was not paid.
    assert!(orders.iter().all(|(_, order)| order["finalAmount"] == 10), "{orders:?}");
    let odd = "select count(*) from orders
                where user_id = $1
                  and total_amount <> (select sum(quantity * unit_price) from order_lines as line
                                        where line.order_id = orders.order_id)";
    assert_eq!(rows(&shop, odd, "u").await, 0);
    assert_eq!(rows(&shop, "select count(*) from order_lines where product_id = $1", "DEAR").await, 0);
    let left = "select sum(quantity)::bigint from cart_items where product_id = $1";
    assert_eq!(rows(&shop, left, "DEAR").await, RACERS as i64 / 4, "what was not ordered is still in it");
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_checkout_is_clicked_many_times() {
    let shop = Shop::open().await;
    user(&shop, "u", 10_000_000).await;
    product(&shop, "P", 100, 1_000).await;
    let clicks = (0..RACERS).map(|_| order(&shop, "u", &[("P", 1)]).header("idempotency-key", "checkout")).collect();
    let answers = race(&shop, Start::Free, clicks).await;
    assert_eq!(count(&answers, 201, ""), RACERS, "{answers:?}");
    assert!(answers.iter().all(|(_, body)| body == &answers[0].1), "{answers:?}");
    assert_eq!(rows(&shop, "select count(*) from orders where user_id = $1", "u").await, 1);
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_pays_for_one_of_two_carts() {
    let shop = Shop::open().await;
    user(&shop, "u", 10_000_000).await;
    for (id, price) in [("CHEAP", 10), ("DEAR", 1_000)] {
        product(&shop, id, price, 1_000).await;
    }
    let sent = |number: usize| if number.is_multiple_of(2) { "CHEAP" } else { "DEAR" };
    let orders =
        (0..RACERS).map(|number| order(&shop, "u", &[(sent(number), 1)]).header("idempotency-key", "checkout"));
    let answers = race(&shop, Start::Free, orders.collect()).await;
    // Whichever came first: its repeats are answered with it, and the other cart is another wish.
    super::check(&answers, 201, RACERS / 2, (422, "R002"));
    let first = answers.iter().position(|(status, _)| *status == 201).unwrap();
    for (number, (status, body)) in answers.iter().enumerate() {
        assert_eq!(*status == 201, sent(number) == sent(first), "{number}: {body}");
        assert!(*status != 201 || body == &answers[first].1, "{number}: {body}");
    }
    assert_eq!(rows(&shop, "select count(*) from orders where user_id = $1", "u").await, 1);
    let lines = "select count(*) from order_lines where product_id = $1";
    assert_eq!(rows(&shop, lines, sent(first)).await, 1);
    assert_eq!(rows(&shop, lines, sent(first + 1)).await, 0);
    check_audit(&shop).await;
}
