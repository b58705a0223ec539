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
    for email in ["사용자@example.com", "two@example.com", "refused@example.com", "three@example.com"] {
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
    // What the server did not take is tried again later, what no server can be told of is given up; neither held up others.
    let others =
        "select recipient, refused_at is not null from mails where sent_at is null and attempts > 0 order by entry";
    let tried: Vec<(String, bool)> = wait_for_async("both to be tried", DEADLINE, || async {
        sqlx::query_as(others).fetch_all(&shop.pool).await.ok().filter(|tried: &Vec<_>| tried.len() == 2)
    })
    .await;
    let meant = [("사용자@example.com", true), ("refused@example.com", false)];
    assert_eq!(tried, meant.map(|(address, given_up)| (address.to_owned(), given_up)));
    let untried = "select count(*) from mails where attempts = 0";
    let left: i64 = sqlx::query_scalar(untried).fetch_one(&shop.pool).await.unwrap();
    assert_eq!(left, 0);
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
    // A permanent error for everybody says nothing about a mail.
    mails.let_nobody_in(true);
    mails.open();
    let before = mails.turned_away();
    wait_for("the mail server to let nobody in", DEADLINE, || (mails.turned_away() > before + 2).then_some(()));
    assert!(mails.received().is_empty());
    mails.let_nobody_in(false);
    wait_for("all mails to come", DEADLINE, || (mails.received().len() >= MANY).then_some(()));
    let to: Vec<String> = mails.received().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, addresses, "in the order of registration, once each");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_is_back_before_it_is_missed_delays_no_mail() {
    let mails = MailServer::start().await;
    let shop = open(&mails).await;
    restock(&shop, -2).await;
    for address in ["one@example.com", "two@example.com"] {
        assert_eq!(register(&shop, "P001", address).await.0, 201);
    }
    mails.turn_next_away();
    restock(&shop, 1).await;
    wait_for("both mails to come", DEADLINE, || (mails.received().len() >= 2).then_some(()));
    assert_eq!(mails.turned_away(), 1);
    let to: Vec<String> = mails.received().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, ["one@example.com", "two@example.com"]);
}

/// A product that came back twice before the mails of the first time were written.
#[tokio::test(flavor = "multi_thread")]
async fn two_restocks_and_two_workers_write_one_mail_for_each() {
    const MANY: i64 = 20_000;
    let mails = MailServer::start().await;
    let mut shop = open(&mails).await;
    shop.workers.kill9();
    let registered = "insert into restock_registrations (product_id, email, user_id)
                      select 'P001', 'user' || number || '@example.com', 'u' from generate_series(1, $1) as number";
    sqlx::query(registered).bind(MANY).execute(&shop.pool).await.unwrap();
    let twice = "insert into restocks (product_id, up_to_entry)
                 select 'P001', entry from restock_registrations
                  where email in ('user' || $1 / 2 || '@example.com', 'user' || $1 || '@example.com') order by entry";
    sqlx::query(twice).bind(MANY).execute(&shop.pool).await.unwrap();
    let without_mail_server = shop.launch_workers.clone().env("SMTP_URL", "");
    let _workers = [without_mail_server.spawn().unwrap(), without_mail_server.spawn().unwrap()];
    let waiting = "select count(*) from restocks";
    let written =
        || async { sqlx::query_scalar(waiting).fetch_one(&shop.pool).await.ok().filter(|left: &i64| *left == 0) };
    wait_for_async("all mails to be written", DEADLINE, written).await;
    let (all, different): (i64, i64) =
        sqlx::query_as("select count(*), count(distinct recipient) from mails").fetch_one(&shop.pool).await.unwrap();
    assert_eq!((all, different), (MANY, MANY));
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
