//! Diagrams 6.1 and 6.2: short stock with the wish to be told, and a short balance.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;
use stack::{wait_for, wait_for_async};

use crate::mail_server::MailServer;
use crate::shop::{DEADLINE, Shop};

async fn open(mails: &MailServer) -> Shop {
    let shop = Shop::open_with(&[("SMTP_URL", &mails.url), ("MAIL_FROM", "Shop <shop@example.com>")]).await;
    shop.as_admin("/products", &json!({"productId": "P001", "name": "노트북", "price": 10_000, "stock": 2})).await;
    shop.as_admin("/users", &json!({"userId": "user1", "balance": 30_000})).await;
    shop
}

async fn register(shop: &Shop, product: &str, email: &str) -> (u16, serde_json::Value) {
    let path = format!("/api/products/{product}/restock-notification");
    shop.send(Method::POST, &path, &json!({"userId": "user1", "email": email})).await
}

async fn restock(shop: &Shop, delta: i64) {
    shop.as_admin("/products/P001/stock", &json!({"delta": delta})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn diagram_6_1_short_stock_and_restock_notification() {
    let mails = MailServer::start().await;
    let shop = open(&mails).await;
    let order = json!({"userId": "user1", "items": [{"productId": "P001", "quantity": 5}]});
    let (status, refused) = shop.decided(shop.request(Method::POST, "/api/orders").json(&order)).await;
    assert_eq!((status, &refused["error"]), (400, &"INSUFFICIENT_STOCK".into()));
    assert_eq!(refused["message"], "재고가 부족합니다.");
    assert_eq!(
        refused["insufficientItems"],
        json!([{"productId": "P001", "productName": "노트북", "requestedQuantity": 5, "availableStock": 2}])
    );

    let meant = json!({"productId": "P001", "email": "one@example.com", "status": "REGISTERED"});
    assert_eq!(register(&shop, "P001", "one@example.com").await, (201, meant.clone()));
    assert_eq!(register(&shop, "P001", "one@example.com").await, (200, meant), "once");
    for email in ["two@example.com", "refused@example.com", "three@example.com"] {
        assert_eq!(register(&shop, "P001", email).await.0, 201);
    }
    assert_eq!(register(&shop, "P999", "one@example.com").await.1["code"], "P001");
    assert_eq!(register(&shop, "P001", "nobody").await.1["errors"][0]["field"], "email");

    // More of what is there tells nobody; what was gone and is back tells everybody, in order, once each.
    restock(&shop, 1).await;
    restock(&shop, -3).await;
    restock(&shop, 4).await;
    wait_for("the mails to come", DEADLINE, || (mails.received().len() >= 3).then_some(()));
    let received = mails.received();
    let to: Vec<_> = received.iter().map(|mail| mail.to.as_str()).collect();
    assert_eq!(to, ["one@example.com", "two@example.com", "three@example.com"]);
    let ids: BTreeSet<_> = received.iter().map(|mail| mail.message_id()).collect();
    assert!(ids.len() == 3 && ids.iter().all(|id| id.ends_with("@example.com>")), "{ids:?}");

    // Whoever was told may ask again, for the next time.
    assert_eq!(register(&shop, "P001", "one@example.com").await.0, 201);
    restock(&shop, 1).await;
    restock(&shop, -5).await;
    restock(&shop, 1).await;
    wait_for("the second mail", DEADLINE, || (mails.received().len() >= 4).then_some(()));
    assert_eq!(mails.received()[3].to, "one@example.com");
    let left = "select count(*) from mails where sent_at is null and refused_at is null";
    let none_left =
        || async { sqlx::query_scalar(left).fetch_one(&shop.pool).await.ok().filter(|left: &i64| *left == 0) };
    wait_for_async("nothing to be left", DEADLINE, none_left).await;
    assert_eq!(mails.received().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_is_away_delays_and_loses_nothing() {
    const MANY: usize = 120;
    let mails = MailServer::start().await;
    let shop = open(&mails).await;
    restock(&shop, -2).await;
    let addresses: Vec<String> = (0..MANY).map(|number| format!("user{number}@example.com")).collect();
    for address in &addresses {
        assert_eq!(register(&shop, "P001", address).await.0, 201);
    }
    mails.close();
    restock(&shop, 9).await;
    wait_for("the mail server to turn somebody away", DEADLINE, || (mails.turned_away() > 2).then_some(()));
    assert!(mails.received().is_empty());
    mails.open();
    wait_for("all mails to come", DEADLINE, || (mails.received().len() >= MANY).then_some(()));
    let to: Vec<String> = mails.received().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, addresses, "in the order of registration, once each");
}

#[tokio::test(flavor = "multi_thread")]
async fn diagram_6_2_short_balance() {
    let mails = MailServer::start().await;
    let shop = open(&mails).await;
    restock(&shop, 8).await;
    let order = json!({"userId": "user1", "finalAmount": 100_000, "items": [{"productId": "P001", "quantity": 10}]});
    let (status, refused) = shop.decided(shop.request(Method::POST, "/api/orders").json(&order)).await;
    assert_eq!((status, &refused["error"]), (400, &"INSUFFICIENT_BALANCE".into()));
    assert_eq!(refused["message"], "잔액이 부족합니다.");
    let amounts = ["requiredAmount", "currentBalance", "shortfall"].map(|amount| refused[amount].as_i64().unwrap());
    assert_eq!(amounts, [100_000, 30_000, 70_000]);
    assert_eq!(shop.get("/api/products/P001/stock").await.1["stock"], 10, "nothing was taken");
}
