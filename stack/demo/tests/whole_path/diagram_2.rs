//! Diagram 2: ordering and paying, from the cart to the order.

use reqwest::Method;
use serde_json::{Value, json};

use crate::shop::Shop;

const NOBODYS_ORDER: &str = "019a3c5e-7f00-7abc-8def-012345678980";

#[tokio::test(flavor = "multi_thread")]
async fn diagram_2_order_and_payment() {
    let shop = Shop::open().await;
    for (id, name, price, stock) in [("P1", "노트북", 100_000, 10), ("P2", "가방", 20_000, 10)] {
        shop.as_admin("/products", &json!({"productId": id, "name": name, "price": price, "stock": stock})).await;
    }
    shop.as_admin("/users", &json!({"userId": "user1", "balance": 200_000})).await;
    let coupon = json!({"couponId": "TEN", "name": "10 %", "discountType": "PERCENT", "discountValue": 10,
                        "maxDiscountAmount": 8_000, "minOrderAmount": 50_000, "totalQuantity": 5, "validDays": 7});
    shop.as_admin("/coupons", &coupon).await;
    let (status, issued) = shop.decided(shop.claim("TEN", "user1")).await;
    assert_eq!(status, 201, "{issued}");

    // The cart, then the stock of everything in it.
    for (product, quantity) in [("P1", 1), ("P2", 1)] {
        let item = json!({"userId": "user1", "productId": product, "quantity": quantity});
        assert_eq!(shop.send(Method::POST, "/api/cart/items", &item).await.0, 201);
    }
    let (_, cart) = shop.get("/api/cart?userId=user1").await;
    assert_eq!(cart["totalAmount"], 120_000);
    for item in cart["items"].as_array().unwrap() {
        let (_, stock) = shop.get(&format!("/api/products/{}/stock", item["productId"].as_str().unwrap())).await;
        assert_eq!((&stock["stock"], &item["available"]), (&10.into(), &true.into()));
    }

    // The coupons that can be used, and what one takes off.
    let (_, wallet) = shop.get("/api/users/coupons?userId=user1&status=available").await;
    assert_eq!(wallet["coupons"][0]["userCouponId"], issued["userCouponId"]);
    let question = |amount: i64| json!({"userId": "user1", "couponId": "TEN", "orderAmount": amount});
    let (status, valid) = shop.send(Method::POST, "/api/coupons/validate", &question(120_000)).await;
    let meant = json!({"valid": true, "couponId": "TEN", "discountAmount": 8_000, "finalAmount": 112_000});
    assert_eq!((status, valid), (200, meant));
    let (status, refused) = shop.send(Method::POST, "/api/coupons/validate", &question(49_999)).await;
    assert_eq!((status, &refused["code"], &refused["reason"]), (400, &"C005".into(), &"BELOW_MIN_ORDER_AMOUNT".into()));

    // Paying: all of it in one transaction, or nothing.
    let order = |final_amount: i64| {
        shop.request(Method::POST, "/api/orders").json(&json!({
            "userId": "user1", "couponId": "TEN", "finalAmount": final_amount,
            "items": [{"productId": "P1", "quantity": 1}, {"productId": "P2", "quantity": 1}],
        }))
    };
    let (status, refused) = shop.decided(order(111_999)).await;
    assert_eq!((status, &refused["code"]), (409, &"O002".into()));
    assert_eq!((&refused["expectedAmount"], &refused["actualAmount"]), (&112_000.into(), &111_999.into()));
    let (status, placed) = shop.decided(order(112_000)).await;
    assert_eq!((status, &placed["finalAmount"], &placed["remainingBalance"]), (201, &112_000.into(), &88_000.into()));

    assert_eq!(shop.get("/api/products/P1/stock").await.1["stock"], 9);
    assert_eq!(shop.get("/api/cart?userId=user1").await.1["items"], json!([]), "what was ordered left the cart");
    let (_, wallet) = shop.get("/api/users/coupons?userId=user1&status=used").await;
    assert_eq!(wallet["coupons"].as_array().unwrap().len(), 1);
    assert_eq!(shop.get("/api/users/balance?userId=user1").await.1["balance"], 88_000);
    let (_, history) = shop.get("/api/users/balance/history?userId=user1").await;
    let entries: Vec<_> = history["entries"].as_array().unwrap().iter().map(|e| (&e["type"], &e["amount"])).collect();
    assert_eq!(entries, [(&"ORDER".into(), &(-112_000).into()), (&"OPENING".into(), &200_000.into())]);
    assert_eq!(history["entries"][0]["referenceId"], placed["orderId"]);

    // The order as it stands; to anybody else it is unknown.
    let path = format!("/api/orders/{}?userId=", placed["orderId"].as_str().unwrap());
    let (status, shown) = shop.get(&format!("{path}user1")).await;
    let items = json!([
        {"productId": "P1", "productName": "노트북", "quantity": 1, "unitPrice": 100_000, "subtotal": 100_000},
        {"productId": "P2", "productName": "가방", "quantity": 1, "unitPrice": 20_000, "subtotal": 20_000},
    ]);
    assert_eq!((status, &shown["items"], &shown["couponId"]), (200, &items, &"TEN".into()));
    assert_eq!((&shown["totalAmount"], &shown["discountAmount"]), (&120_000.into(), &8_000.into()));
    for unknown in [format!("{path}user2"), format!("/api/orders/{NOBODYS_ORDER}?userId=user1")] {
        let (status, refused) = shop.get(&unknown).await;
        assert_eq!((status, &refused["code"]), (404, &"O001".into()));
    }
    let (_, orders) = shop.get("/api/orders?userId=user1").await;
    assert_eq!(orders["orders"], Value::Array(vec![shown]));

    // Not enough money: nothing is taken.
    let (status, refused) = shop
        .decided(
            shop.request(Method::POST, "/api/orders")
                .json(&json!({"userId": "user1", "items": [{"productId": "P1", "quantity": 1}]})),
        )
        .await;
    assert_eq!((status, &refused["code"], &refused["shortfall"]), (400, &"PAY001".into(), &12_000.into()));
    assert_eq!(shop.get("/api/products/P1/stock").await.1["stock"], 9);
    assert!(audit::audit(&shop.pool).await.unwrap().ok);
}
