//! Everything that the shop does, on few sessions.

use std::collections::BTreeMap;

use futures::future::join_all;
use reqwest::Method;
use runtime::config::DatabasePooler;
use runtime::postgres::pool_behind;
use sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use stack::{wait_for, wait_for_async};

use crate::Pooled;
use crate::mail_server::MailServer;
use crate::receiver::{Answer, Receiver};
use crate::shop::{DEADLINE, Shop};

/// Shoppers who claim at once, and coupons: fewer.
const SHOPPERS: usize = 80;
const COUPONS: i64 = 50;

async fn stock(shop: &Shop) {
    for (id, stock) in [("P1", 1_000), ("P2", 1)] {
        shop.as_admin("/products", &json!({"productId": id, "name": id, "price": 1_000, "stock": stock})).await;
    }
    shop.as_admin("/users", &json!({"userId": "user1", "balance": 100_000})).await;
    shop.coupon("C1", COUPONS).await;
}

async fn claim_at_once(shop: &Shop) {
    let users: Vec<String> = (1..=SHOPPERS).map(|number| format!("user{number}")).collect();
    let told = join_all(users.iter().map(|user| shop.decided(shop.claim("C1", user)))).await;
    let mut by_status: BTreeMap<u16, i64> = BTreeMap::new();
    for (status, _) in told {
        *by_status.entry(status).or_default() += 1;
    }
    let sold_out = i64::try_from(SHOPPERS).unwrap() - COUPONS;
    assert_eq!(by_status, BTreeMap::from([(201, COUPONS), (409, sold_out)]));
}

/// From the cart to an order, which is given with what the shop answers.
async fn buy(shop: &Shop) -> (u16, Value) {
    for product in ["P1", "P2"] {
        let item = json!({"userId": "user1", "productId": product, "quantity": 1});
        assert_eq!(shop.send(Method::POST, "/api/cart/items", &item).await.0, 201);
    }
    let change = json!({"userId": "user1", "quantity": 2});
    assert_eq!(shop.send(Method::PATCH, "/api/cart/items/P1", &change).await.0, 200);
    let order =
        json!({"userId": "user1", "items": [{"productId": "P1", "quantity": 2}, {"productId": "P2", "quantity": 1}]});
    let placed = shop.decided(shop.request(Method::POST, "/api/orders").json(&order)).await;
    let again = json!({"userId": "user1", "productId": "P1", "quantity": 3});
    assert_eq!(shop.send(Method::POST, "/api/cart/items", &again).await.0, 201);
    assert_eq!(shop.send(Method::DELETE, "/api/cart/items/P1?userId=user1", &Value::Null).await.0, 204);
    placed
}

async fn browse(shop: &Shop) {
    for path in [
        "/api/products",
        "/api/products?q=P",
        "/api/products/P1",
        "/api/products/P1/stock",
        "/api/products/popular?days=3&limit=5",
        "/api/coupons",
        "/api/users/coupons?userId=user1",
        "/api/users/balance?userId=user1",
        "/api/users/balance/history?userId=user1",
        "/api/orders?userId=user1",
        "/api/cart?userId=user1",
    ] {
        let (status, body) = shop.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
    }
    for path in [
        "/products",
        "/coupons",
        "/users",
        "/lanes",
        "/requests?userId=user1",
        "/charges",
        "/sync-failures",
        "/alerts",
        "/audit-log",
    ] {
        shop.admin_get(path).await;
    }
}

/// The desk of an order that the order system did not take: an alert, and a retry by hand that helps.
async fn mend_on_the_desk(shop: &Shop, orders: &Receiver, alerts: &Receiver, order: &str) {
    wait_for("the alert", DEADLINE, || (!alerts.received().is_empty()).then_some(()));
    let failures = shop.admin_get("/sync-failures").await;
    assert_eq!(failures["failures"].as_array().unwrap().len(), 1, "{failures}");
    orders.otherwise(Answer::Status(200, ""));
    shop.as_admin(&format!("/sync-failures/{order}/retry"), &Value::Null).await;
    wait_for_async("the order to be taken", DEADLINE, async || {
        let shown = shop.get(&format!("/api/orders/{order}?userId=user1")).await.1;
        (shown["sync"]["synced"] == true).then_some(())
    })
    .await;
}

async fn restock_mail(shop: &Shop, mails: &MailServer) {
    let registration = json!({"userId": "user2", "email": "two@example.com"});
    let (status, body) = shop.send(Method::POST, "/api/products/P2/restock-notification", &registration).await;
    assert_eq!(status, 201, "{body}");
    shop.as_admin("/products/P2/stock", &json!({"delta": 5})).await;
    wait_for("the mail", DEADLINE, || mails.received().iter().any(|mail| mail.to == "two@example.com").then_some(()));
}

/// Each schedule ran, and none failed.
async fn check_schedules(shop: &Shop) {
    let ended = "select count(distinct job), count(*) filter (where error is not null), max(error)
                   from cron_runs where ended_at is not null";
    wait_for_async("every schedule to have run", DEADLINE, async || {
        let (jobs, failed, error): (i64, i64, Option<String>) =
            sqlx::query_as(ended).fetch_one(&shop.pool).await.unwrap();
        assert_eq!(failed, 0, "{error:?}");
        (jobs >= 3).then_some(())
    })
    .await;
    let sealed: i64 = sqlx::query_scalar("select count(*) from sealed_hours").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(sealed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_shop_works_on_few_sessions() {
    let (orders, alerts, mails) = (Receiver::start().await, Receiver::start().await, MailServer::start().await);
    let gateway = Sandbox::start(Options::default()).await.unwrap();
    let more = [
        ("ORDER_SYNC_URL", orders.url.clone()),
        ("ORDER_SYNC_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
        ("ORDER_SYNC_RETRY_DELAYS", "1s".to_owned()),
        ("ALERT_WEBHOOK_URL", alerts.url.clone()),
        ("SMTP_URL", mails.url.clone()),
        ("MAIL_FROM", "Shop <shop@example.com>".to_owned()),
        ("PAYMENT_GATEWAY_URL", gateway.url()),
        ("PAYMENT_GATEWAY_SECRET", "sk_test_any".to_owned()),
    ];
    let more = more.each_ref().map(|(name, value)| (*name, value.as_str()));
    let Some(pooled) = Pooled::open(&more).await else { return };
    let shop = &pooled.shop;
    orders.otherwise(Answer::Status(500, ""));
    stock(shop).await;
    claim_at_once(shop).await;
    let (status, placed) = buy(shop).await;
    assert_eq!(status, 201, "{placed}");
    let charge = json!({"userId": "user1", "amount": 5_000});
    let (status, charged) = shop.send(Method::POST, "/api/users/balance/charge", &charge).await;
    assert_eq!((status, &charged["currentBalance"]), (200, &102_000.into()), "{charged}");
    browse(shop).await;
    mend_on_the_desk(shop, &orders, &alerts, placed["orderId"].as_str().unwrap()).await;
    restock_mail(shop, &mails).await;
    check_schedules(shop).await;

    let report = shop.admin_get("/audit").await;
    assert_eq!(report["ok"], true, "{report:#}");
    let auditor = pool_behind(DatabasePooler::Transaction, &pooled.url, 1, "audit").unwrap();
    assert!(audit::audit(&auditor).await.unwrap().ok);
    pooled.check_sessions_change_hands().await;
}
