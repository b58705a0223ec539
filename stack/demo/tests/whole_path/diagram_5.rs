//! Diagram 5: what sold best in the last three days.

use reqwest::Method;
use serde_json::json;
use stack::{wait_for, wait_for_async};

use crate::shop::{DEADLINE, Shop};

#[tokio::test(flavor = "multi_thread")]
async fn diagram_5_popular_products() {
    let shop = Shop::open().await;
    for number in 1..=7 {
        let product =
            json!({"productId": format!("P{number}"), "name": format!("상품 {number}"), "price": 1_000, "stock": 100});
        shop.as_admin("/products", &product).await;
    }
    shop.as_admin("/users", &json!({"userId": "user1", "balance": 1_000_000})).await;
    // P3 in three orders, P5 in two, the others in one; many pieces are still one order.
    for products in [&["P3", "P5", "P1"][..], &["P3", "P5", "P2"], &["P3", "P4"], &["P6"], &["P7"]] {
        let items: Vec<_> = products.iter().map(|product| json!({"productId": product, "quantity": 9})).collect();
        let order = shop.request(Method::POST, "/api/orders").json(&json!({"userId": "user1", "items": items}));
        assert_eq!(shop.decided(order).await.0, 201);
    }

    // The schedule may have counted between two orders; then the answer is that until it counts anew.
    let (status, popular) = wait_for_async("all orders to be counted", DEADLINE, || async {
        let answer = shop.get("/api/products/popular?days=3&limit=5").await;
        (answer.1["products"][0]["orderCount"] == 3 && answer.1["products"][4].is_object()).then_some(answer)
    })
    .await;
    let ranked: Vec<_> = popular["products"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["rank"].as_i64().unwrap(), p["productId"].as_str().unwrap(), p["orderCount"].as_i64().unwrap()))
        .collect();
    assert_eq!((status, &ranked[..2]), (200, &[(1, "P3", 3), (2, "P5", 2)][..]));
    assert_eq!(ranked[2..], [(3, "P1", 1), (4, "P2", 1), (5, "P4", 1)], "of equals the one whose id sorts first");
    assert_eq!((&popular["products"][0]["name"], &popular["products"][0]["stock"]), (&"상품 3".into(), &73.into()));
    let [start, end] = ["startDate", "endDate"]
        .map(|date| popular["period"][date].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap());
    assert_eq!((&popular["period"]["days"], (end - start).num_hours()), (&3.into(), 72));

    // What the cache has is the answer, and the workers' schedule counts the usual list anew.
    let kept = "{\"kept\":true}";
    shop.redis.command(&["SET", "popular:7days:2", kept, "EX", "300"]).unwrap();
    assert_eq!(shop.get("/api/products/popular?days=7&limit=2").await, (200, json!({"kept": true})));
    shop.redis.command(&["SET", "popular:3days:5", kept, "EX", "300"]).unwrap();
    wait_for("the schedule to count anew", DEADLINE, || {
        let found = shop.redis.command(&["GET", "popular:3days:5"]).unwrap();
        (found != kept).then(|| assert!(found.contains("\"orderCount\":3"), "{found}"))
    });
    let (status, refused) = shop.get("/api/products/popular?days=31&limit=0").await;
    assert_eq!((status, refused["errors"].as_array().unwrap().len()), (400, 2));
}
