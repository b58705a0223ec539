//! The cart: what goes in, what does not, and whose it is.

use reqwest::Method;
use serde_json::{Value, json};

use crate::auth::with_tokens;
use crate::kit::{Answer, Shop, send};

async fn open() -> Shop {
    let shop = Shop::open().await;
    for (id, stock) in [("P1", 5), ("P2", 1_000_000)] {
        let product = json!({"productId": id, "name": id, "price": 1_000, "stock": stock});
        shop.admin_post("/api/admin/products", &product).await;
    }
    shop
}

async fn put(shop: &Shop, product: &str, quantity: i64) -> Answer {
    send(shop.post("/api/cart/items", &json!({"userId": "u1", "productId": product, "quantity": quantity}))).await
}

async fn change(shop: &Shop, product: &str, quantity: i64) -> Answer {
    let path = format!("/api/cart/items/{product}");
    send(shop.request(Method::PATCH, &path).json(&json!({"userId": "u1", "quantity": quantity}))).await
}

async fn take_out(shop: &Shop, product: &str) -> Answer {
    send(shop.request(Method::DELETE, &format!("/api/cart/items/{product}?userId=u1"))).await
}

/// Products and quantities, from the top.
async fn cart(shop: &Shop) -> Vec<(String, i64)> {
    let cart = send(shop.get("/api/cart?userId=u1")).await.body;
    let item = |item: &Value| (item["productId"].as_str().unwrap().to_owned(), item["quantity"].as_i64().unwrap());
    cart["items"].as_array().unwrap().iter().map(item).collect()
}

fn field(answer: &Answer) -> &str {
    assert_eq!(answer.problem(), (400, "V001"));
    answer.body["errors"][0]["field"].as_str().unwrap()
}

#[tokio::test]
async fn items_are_put_in_changed_and_taken_out() {
    let shop = open().await;
    assert_eq!(put(&shop, "P2", 1).await.status, 201);
    assert_eq!(put(&shop, "P1", 2).await.status, 201);
    assert_eq!(put(&shop, "P1", 3).await.body["quantity"], 5, "the same product again adds up");
    assert_eq!(change(&shop, "P2", 7).await.body["subtotal"], 7_000);
    assert_eq!(cart(&shop).await, [("P2".to_owned(), 7), ("P1".to_owned(), 5)], "in the order of coming");
    assert_eq!(take_out(&shop, "P2").await.status, 204);
    assert_eq!(cart(&shop).await, [("P1".to_owned(), 5)]);
    assert_eq!(send(shop.get("/api/cart?userId=somebody")).await.body["totalAmount"], 0);
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_changes_nothing() {
    let shop = open().await;
    put(&shop, "P1", 2).await;
    assert_eq!(put(&shop, "P1", 4).await.problem(), (400, "P002"));
    assert_eq!(change(&shop, "P1", 6).await.problem(), (400, "P002"));
    assert_eq!(put(&shop, "P9", 1).await.problem(), (404, "P001"));
    assert_eq!(change(&shop, "P2", 1).await.problem(), (404, "CART001"));
    assert_eq!(take_out(&shop, "P2").await.problem(), (404, "CART001"));
    for quantity in [0, -1, 100_001] {
        assert_eq!(field(&put(&shop, "P1", quantity).await), "quantity");
        assert_eq!(field(&change(&shop, "P1", quantity).await), "quantity");
    }
    put(&shop, "P2", 100_000).await;
    assert_eq!(field(&put(&shop, "P2", 1).await), "quantity", "the sum is bounded, too");
    assert_eq!(cart(&shop).await, [("P1".to_owned(), 2), ("P2".to_owned(), 100_000)]);
}

#[tokio::test]
async fn a_cart_is_bounded() {
    let shop = open().await;
    sqlx::query(
        "insert into products (product_id, name, price, stock, stocked)
         select 'X' || number, 'x', 1, 9, 9 from generate_series(1, 99) as number",
    )
    .execute(&shop.pool)
    .await
    .unwrap();
    sqlx::query("insert into cart_items (user_id, product_id, quantity) select 'u1', product_id, 1 from products")
        .execute(&shop.pool)
        .await
        .unwrap();
    assert_eq!(take_out(&shop, "P2").await.status, 204);
    assert_eq!(put(&shop, "X2", 1).await.status, 201, "what is in it may grow");
    assert_eq!(field(&put(&shop, "P2", 1).await), "productId");
    assert_eq!(take_out(&shop, "X1").await.status, 204);
    assert_eq!(put(&shop, "P2", 1).await.status, 201);
}

#[tokio::test]
async fn who_comes_twice_at_once_gets_the_sum() {
    const TIMES: i64 = 20;
    let shop = open().await;
    let puts = (0..TIMES).map(|_| put(&shop, "P2", 1));
    for answer in futures::future::join_all(puts).await {
        assert_eq!(answer.status, 201);
    }
    assert_eq!(cart(&shop).await, [("P2".to_owned(), TIMES)]);
}

#[tokio::test]
async fn a_cart_belongs_to_the_one_whom_the_token_names() {
    let (shop, token) = with_tokens().await;
    let get = |path: &str| shop.get(path).bearer_auth(&token);
    assert_eq!(send(get("/api/cart")).await.body["userId"], "user1", "who is not named is the caller");
    assert_eq!(send(get("/api/cart?userId=user2")).await.problem(), (403, "A002"));
    assert_eq!(send(shop.get("/api/cart?userId=user1")).await.problem(), (401, "A001"));
    let foreign = json!({"userId": "user2", "productId": "P1", "quantity": 1});
    let posted = shop.post("/api/cart/items", &foreign).bearer_auth(&token);
    assert_eq!(send(posted).await.problem(), (403, "A002"));
    let deleted = shop.request(Method::DELETE, "/api/cart/items/P1?userId=user2").bearer_auth(&token);
    assert_eq!(send(deleted).await.problem(), (403, "A002"));
}
