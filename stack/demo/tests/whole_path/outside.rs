//! The world outside as the demo has it: the workers find their way to the sandbox, and it believes their signature.

use std::collections::BTreeSet;

use reqwest::Method;
use sandbox::{Options, Sandbox, Signature};
use serde_json::{Value, json};
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

    // What the shop sends is what its document tells of.
    let document = shop.get("/openapi.json").await.1;
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let described = |schema: &str| names(&document["components"]["schemas"][schema]["properties"]);
    assert_eq!(names(&arrived.json()), described("SyncedOrder"));
    assert_eq!(names(&arrived.json()["items"][0]), described("SyncedItem"));
    let headers = document.pointer("/webhooks/orderSync/post/parameters").and_then(Value::as_array).unwrap();
    for header in headers.iter().filter_map(|parameter| parameter["name"].as_str()) {
        assert!(arrived.headers.contains_key(header), "{header} is not in {:?}", arrived.headers);
    }

    let wish = json!({"userId": "user1", "email": "me@example.com"});
    let (status, _) = shop.send(Method::POST, "/api/products/P1/restock-notification", &wish).await;
    assert_eq!(status, 201);
    shop.as_admin("/products/P1/stock", &json!({"delta": 5})).await;
    let mail = wait_for_async("the mail", DEADLINE, || async { world.arrived().mails.pop() }).await;
    assert_eq!(mail.to, ["me@example.com"]);
    assert!(format!("{} {}", mail.subject, mail.body).contains("노트북"), "{mail:?}");
}
