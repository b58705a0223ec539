//! Diagram 1: looking at products, and putting them into the cart.

use reqwest::Method;
use serde_json::{Value, json};

use crate::shop::Shop;

fn ids(page: &Value) -> Vec<&str> {
    page["products"].as_array().unwrap().iter().map(|product| product["productId"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn diagram_1_browse_and_cart() {
    let shop = Shop::open().await;
    for (id, name, price, stock) in
        [("P1", "게이밍 노트북", 1_500_000, 10), ("P2", "노트북 가방", 40_000, 3), ("P3", "Desk lamp", 15_000, 0)]
    {
        shop.as_admin("/products", &json!({"productId": id, "name": name, "price": price, "stock": stock})).await;
    }

    // The list, with price and stock, page by page.
    let (status, page) = shop.get("/api/products?limit=2").await;
    assert_eq!((status, ids(&page)), (200, vec!["P1", "P2"]));
    assert_eq!((&page["products"][1]["price"], &page["products"][1]["stock"]), (&40_000.into(), &3.into()));
    let (_, rest) = shop.get(&format!("/api/products?limit=2&cursor={}", page["nextCursor"].as_str().unwrap())).await;
    assert_eq!((ids(&rest), &rest["nextCursor"]), (vec!["P3"], &Value::Null));
    assert_eq!(ids(&shop.get("/api/products?q=%EB%85%B8%ED%8A%B8%EB%B6%81").await.1), ["P1", "P2"], "노트북");
    assert_eq!(ids(&shop.get("/api/products?q=DESK").await.1), ["P3"]);

    // One of them, and what is in stock this moment.
    let (status, product) = shop.get("/api/products/P2").await;
    assert_eq!((status, &product["name"]), (200, &"노트북 가방".into()));
    assert_eq!(shop.get("/api/products/P2/stock").await, (200, json!({"productId": "P2", "stock": 3})));

    // Enough in stock: into the cart.
    let put = |quantity: i64| json!({"userId": "user1", "productId": "P2", "quantity": quantity});
    let (status, item) = shop.send(Method::POST, "/api/cart/items", &put(2)).await;
    let meant = json!({"productId": "P2", "productName": "노트북 가방", "price": 40_000, "quantity": 2,
                       "subtotal": 80_000, "stock": 3, "available": true});
    assert_eq!((status, &item), (201, &meant));

    // Not enough: P002, and the cart is as it was.
    let (status, refused) = shop.send(Method::POST, "/api/cart/items", &put(2)).await;
    assert_eq!((status, &refused["code"], &refused["error"]), (400, &"P002".into(), &"INSUFFICIENT_STOCK".into()));
    assert_eq!(refused["message"], "재고가 부족합니다.");
    assert_eq!(
        refused["insufficientItems"],
        json!([{"productId": "P2", "productName": "노트북 가방", "requestedQuantity": 4, "availableStock": 3}])
    );
    let (_, cart) = shop.get("/api/cart?userId=user1").await;
    assert_eq!(cart, json!({"userId": "user1", "items": [meant], "totalAmount": 80_000}));

    // Somebody else buys: the cart shows it, and keeps the wish.
    shop.as_admin("/products/P2/stock", &json!({"delta": -2})).await;
    let (_, cart) = shop.get("/api/cart?userId=user1").await;
    assert_eq!((&cart["items"][0]["stock"], &cart["items"][0]["available"]), (&1.into(), &false.into()));
}
