//! What a shopper, a server outside or a name in the catalogue tries, with both programs.

use reqwest::Method;
use serde_json::{Value, json};
use stack::{wait_for, wait_for_async};

use crate::mail_server::MailServer;
use crate::receiver::{Answer, Receiver};
use crate::shop::{DEADLINE, Shop, answer};

async fn price_and_balance(shop: &Shop) -> (i64, i64) {
    let sql = "select price, (select balance from users where user_id = 'user1') from products where product_id = 'P1'";
    sqlx::query_as(sql).fetch_one(&shop.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_says_what_they_pay() {
    let shop = Shop::open().await;
    shop.as_admin("/products", &json!({"productId": "P1", "name": "p", "price": 1_000, "stock": 100})).await;
    shop.as_admin("/users", &json!({"userId": "user1", "balance": 5_000})).await;
    let order = |more: Value| {
        let mut body = json!({"userId": "user1", "items": [{"productId": "P1", "quantity": 1}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        shop.request(Method::POST, "/api/orders").json(&body)
    };
    for final_amount in [0, 1, 999, 1_001] {
        let (status, refused) = shop.decided(order(json!({ "finalAmount": final_amount }))).await;
        assert_eq!((status, &refused["code"]), (409, &"O002".into()), "{refused}");
    }
    let odd = [
        json!({"finalAmount": -1}),
        json!({"finalAmount": 1e99}),
        json!({"items": [{"productId": "P1", "quantity": -1}]}),
        json!({"items": [{"productId": "P1", "quantity": 0}]}),
        json!({"items": [{"productId": "P1", "quantity": i64::MAX}, {"productId": "P1", "quantity": i64::MAX}]}),
        json!({"items": [{"productId": "P1", "quantity": 1}, {"productId": "P1", "quantity": -1}]}),
    ];
    for odd in odd {
        let (status, refused) = shop.decided(order(odd.clone())).await;
        assert_eq!((status, &refused["code"]), (400, &"V001".into()), "{odd}: {refused}");
    }
    assert_eq!(price_and_balance(&shop).await, (1_000, 5_000));
    let free = json!({"price": 1, "totalAmount": 1, "discountAmount": 999, "balance": 1_000_000, "couponId": null,
                      "items": [{"productId": "P1", "quantity": 1, "price": 1, "unitPrice": 1, "discount": 100}]});
    let (status, placed) = shop.decided(order(free)).await;
    assert_eq!((status, &placed["finalAmount"], &placed["remainingBalance"]), (201, &1_000.into(), &4_000.into()));
    assert_eq!(price_and_balance(&shop).await, (1_000, 4_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_writes_no_head_of_a_mail() {
    const NAME: &str = "Tea\r\nBcc: victim@example.com\r\nSubject: free\r\n\r\nclick here";
    let mails = MailServer::start().await;
    let shop = Shop::open_with(&[("SMTP_URL", &mails.url), ("MAIL_FROM", "Shop <shop@example.com>")]).await;
    shop.as_admin("/products", &json!({"productId": "P1", "name": NAME, "price": 1, "stock": 0})).await;
    let register = async |email: &str| {
        let wish = json!({"userId": "user1", "email": email});
        shop.send(Method::POST, "/api/products/P1/restock-notification", &wish).await
    };
    for email in [
        "me@example.com\r\nRCPT TO:<victim@example.com>",
        "me@example.com\nBcc: victim@example.com",
        "me@example.com\0",
        "me@example.com, victim@example.com",
        "Me <me@example.com>",
        "me%0d%0abcc:victim@example.com\r\n.victim.example.com",
        "\"me\r\n\"@example.com",
    ] {
        let (status, refused) = register(email).await;
        assert_eq!((status, &refused["errors"][0]["field"]), (400, &"email".into()), "{email:?}");
    }
    assert_eq!(register("me@example.com").await.0, 201);
    shop.as_admin("/products/P1/stock", &json!({"delta": 1})).await;
    wait_for("the mail", DEADLINE, || (!mails.received().is_empty()).then_some(()));
    let received = mails.received();
    assert_eq!((received.len(), received[0].to.as_str()), (1, "me@example.com"), "{received:?}");
    let head = received[0].head.split("\n\n").next().unwrap().to_owned();
    let lines = |name: &str| head.lines().filter(|line| line.to_lowercase().starts_with(name)).count();
    assert_eq!((lines("bcc:"), lines("subject:"), lines("to:")), (0, 1, 1), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_server_sends_us_elsewhere() {
    let (outside, trap) = (Receiver::start().await, Receiver::start().await);
    // The addresses live as long as the test program.
    let elsewhere: &'static str = Box::leak(trap.url.clone().into_boxed_str());
    outside.otherwise(Answer::Redirect(elsewhere));
    let shop = Shop::open_with(&[
        ("PAYMENT_GATEWAY_URL", &outside.url),
        ("PAYMENT_GATEWAY_SECRET", "sk_test_any"),
        ("ORDER_SYNC_URL", &outside.url),
        ("ORDER_SYNC_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("ORDER_SYNC_RETRY_DELAYS", "100ms"),
        ("ALERT_WEBHOOK_URL", &outside.url),
    ])
    .await;
    shop.as_admin("/products", &json!({"productId": "P1", "name": "p", "price": 1, "stock": 9})).await;
    shop.as_admin("/users", &json!({"userId": "user1", "balance": 9})).await;
    let order = json!({"userId": "user1", "items": [{"productId": "P1", "quantity": 1}]});
    assert_eq!(shop.decided(shop.request(Method::POST, "/api/orders").json(&order)).await.0, 201);
    let charge = json!({"userId": "user1", "amount": 1_000});
    let charge = shop.request(Method::POST, "/api/users/balance/charge").json(&charge).header("prefer", "wait=1");
    let (status, pending) = answer(charge).await;
    assert_eq!(status, 202, "{pending}");
    // Each of the three was asked, and answered with the redirect.
    wait_for_async("the alert to be tried", DEADLINE, || async {
        let tried = "select count(*) from alert_deliveries where channel = 'webhook' and attempts > 0";
        let tried: i64 = sqlx::query_scalar(tried).fetch_one(&shop.pool).await.ok()?;
        (tried > 0).then_some(())
    })
    .await;
    wait_for_async("the gateway's answer to be noted", DEADLINE, || async {
        let charges = shop.admin_get("/charges?status=pending").await;
        charges["charges"][0]["lastError"].as_str()?.contains("302").then_some(())
    })
    .await;
    let received = outside.received();
    assert!(received.iter().any(|it| !it.header("webhook-signature").is_empty()), "the order system was asked");
    assert!(received.iter().any(|it| !it.header("authorization").is_empty()), "the gateway was asked");
    assert_eq!(trap.received().len(), 0, "nobody went where they were sent");
    let balance = shop.get("/api/users/balance?userId=user1").await.1;
    assert_eq!(balance["balance"], 8, "no money came of a redirect");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_says_where_things_are_sent() {
    let (outside, trap) = (Receiver::start().await, Receiver::start().await);
    let shop = Shop::open_with(&[
        ("PAYMENT_GATEWAY_URL", &outside.url),
        ("PAYMENT_GATEWAY_SECRET", "sk_test_any"),
        ("ORDER_SYNC_URL", &outside.url),
        ("ORDER_SYNC_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("ORDER_SYNC_RETRY_DELAYS", "100ms"),
        ("ALERT_WEBHOOK_URL", &outside.url),
    ])
    .await;
    let elsewhere = |mut body: Value| {
        for member in
            ["url", "syncUrl", "callbackUrl", "webhookUrl", "orderSyncUrl", "target", "host", "notifyUrl", "returnUrl"]
        {
            body[member] = json!(trap.url);
        }
        body
    };
    let send = async |path: &str, body: Value| {
        let mut request = shop.request(Method::POST, path).json(&elsewhere(body)).query(&[("callback", &trap.url)]);
        for header in ["x-callback-url", "x-original-url", "forwarded-to", "referer", "origin", "location"] {
            request = request.header(header, &trap.url);
        }
        shop.decided(request).await
    };
    // What operators write is a text, too, wherever it comes to stand.
    let product = json!({"productId": "P1", "name": trap.url, "description": trap.url, "price": 1, "stock": 9});
    shop.as_admin("/products", &elsewhere(product)).await;
    let coupon =
        json!({"couponId": "C1", "name": trap.url, "discountType": "FIXED", "discountValue": 1, "totalQuantity": 9});
    shop.as_admin("/coupons", &elsewhere(coupon)).await;
    shop.as_admin("/users", &elsewhere(json!({"userId": "user1", "balance": 9}))).await;

    // The order system fails, so that all is sent again, by hand as well.
    outside.otherwise(Answer::Status(500, "no"));
    let item = json!({"productId": "P1", "quantity": 1, "url": trap.url, "note": trap.url});
    let (status, placed) = send("/api/orders", json!({"userId": "user1", "items": [item]})).await;
    assert_eq!(status, 201, "{placed}");
    send("/api/coupons/C1/issue", json!({"userId": "user1"})).await;
    send("/api/users/balance/charge", json!({"userId": "user1", "amount": 500, "paymentMethod": trap.url})).await;
    send("/api/products/P1/restock-notification", json!({"userId": "user1", "email": "me@example.com"})).await;
    let failed = wait_for_async("the order to be on the desk", DEADLINE, || async {
        let failures = shop.admin_get("/sync-failures").await["failures"].clone();
        failures[0]["orderId"].as_str().map(str::to_owned)
    })
    .await;
    let before = outside.received().len();
    shop.as_admin(&format!("/sync-failures/{failed}/retry"), &elsewhere(json!({}))).await;
    wait_for("the retry, the charge and the alert", DEADLINE, || {
        let received = outside.received();
        let has = |name: &str| received.iter().any(|one| !one.header(name).is_empty());
        let alert = received.iter().any(|one| String::from_utf8_lossy(&one.body).contains("lastError"));
        (received.len() > before && has("webhook-signature") && has("authorization") && alert).then_some(())
    });
    assert_eq!(trap.received().len(), 0, "somebody else said where to send");
}
