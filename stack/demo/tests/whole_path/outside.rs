//! The world outside as the demo has it: the workers find their way to the sandbox, and it believes their signature.

use reqwest::Method;
use sandbox::{Options, Sandbox, Signature};
use serde_json::json;
use stack::wait_for_async;

use crate::shop::{DEADLINE, Shop};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::test(flavor = "multi_thread")]
async fn an_order_and_a_restock_arrive_in_the_sandbox() {
    let world = Sandbox::start(Options { sync_secret: SECRET.parse().unwrap(), ..Options::default() }).await.unwrap();
    let (orders, smtp) = (format!("{}/orders", world.url()), world.smtp_url());
    let told = [("ORDER_SYNC_URL", &*orders), ("ORDER_SYNC_SECRET", SECRET), ("SMTP_URL", &smtp)];
    let shop = Shop::open_with(&told).await;
    shop.as_admin("/products", &json!({"productId": "P1", "name": "노트북", "price": 1_000, "stock": 1})).await;
    shop.as_admin("/users", &json!({"userId": "user1", "balance": 1_000})).await;
    let order = json!({"userId": "user1", "items": [{"productId": "P1", "quantity": 1}]});
    let (status, placed) = shop.decided(shop.request(Method::POST, "/api/orders").json(&order)).await;
    assert_eq!(status, 201, "{placed}");

    let arrived = wait_for_async("the order to be told of", DEADLINE, || async { world.arrived().orders.pop() }).await;
    assert_eq!((arrived.signature, &arrived.json()["orderId"]), (Signature::Good, &placed["orderId"]));

    let wish = json!({"userId": "user1", "email": "me@example.com"});
    let (status, _) = shop.send(Method::POST, "/api/products/P1/restock-notification", &wish).await;
    assert_eq!(status, 201);
    shop.as_admin("/products/P1/stock", &json!({"delta": 5})).await;
    let mail = wait_for_async("the mail", DEADLINE, || async { world.arrived().mails.pop() }).await;
    assert_eq!(mail.to, ["me@example.com"]);
    assert!(format!("{} {}", mail.subject, mail.body).contains("노트북"), "{mail:?}");
}
