//! Real answers, compared with the document.

use std::collections::BTreeSet;

use common::{InsufficientItem, NotApplicable, Outcome, Refusal};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::Executor;

use super::document::Document;
use crate::kit::{Answer, Plan, Shop, send};
use crate::worker::{Worker, archive, yes};

const ORDER: &str = "019a3c5e-7f00-7abc-8def-000000001180";
const FAILED: &str = "019a3c5e-7f00-7abc-8def-000000001280";

/// An order that was sent and one that was not, and what a shopper holds.
const ROWS: &str = "
    insert into orders (order_id, user_id, total_amount, discount_amount, final_amount, created_at)
    select ('019a3c5e-7f00-7abc-8def-00000000' || number || '80')::uuid, 'user1', 500, 0, 500, now()
      from generate_series(11, 12) as number;
    insert into order_lines (order_id, line, product_id, quantity, unit_price)
    select order_id, 1, 'P1', 5, 100 from orders;
    insert into order_syncs (order_id, attempts, last_error, failed_at, synced_at)
    values ('019a3c5e-7f00-7abc-8def-000000001180', 1, null, null, now()),
           ('019a3c5e-7f00-7abc-8def-000000001280', 4, 'answered 500', now(), null);
    insert into sync_attempts (order_id, attempt, at, duration_ms, status, error, answer)
    values ('019a3c5e-7f00-7abc-8def-000000001280', 1, now(), 7, 500, 'answered 500', 'oh'),
           ('019a3c5e-7f00-7abc-8def-000000001280', 2, now(), 7, null, 'timed out', null);
    insert into alerts (alert_id, kind, text, details)
    values ('019a3c5e-7f00-7abc-8def-000000005500', 'ORDER_SYNC_FAILED', 'told', '{\"attempts\": 4}');
    insert into alert_deliveries (alert_id, channel, attempts, last_error)
    values ('019a3c5e-7f00-7abc-8def-000000005500', 'webhook', 3, 'timed out');
    insert into user_coupons (user_id, coupon_id, user_coupon_id, issued_at)
    values ('user1', 'C1', '019a3c5e-7f00-7abc-8def-000000001140', now())";

/// An address of an operation, from the examples of its path.
pub fn address(document: &Document, path: &str, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().unwrap().iter().map(|parameter| document.resolve(parameter));
    parameters.filter(|parameter| parameter["in"] == "path").fold(path.to_owned(), |address, parameter| {
        let name = format!("{{{}}}", parameter["name"].as_str().unwrap());
        address.replace(&name, parameter["example"].as_str().unwrap_or_else(|| panic!("{path}: {parameter}")))
    })
}

/// A client that compares every answer with the document, and knows which operations it has seen succeed and fail.
struct Client<'a> {
    shop: &'a Shop,
    document: Document,
    succeeded: BTreeSet<String>,
    refused: BTreeSet<String>,
}

impl Client<'_> {
    async fn send(&mut self, method: &str, pattern: &str, request: RequestBuilder) -> Answer {
        let answer = send(request).await;
        self.document.check(method, pattern, &answer);
        let seen = if answer.status < 400 { &mut self.succeeded } else { &mut self.refused };
        seen.insert(format!("{method} {pattern}"));
        answer
    }

    /// A call with the operators' token, whose status must be as meant. What stands in brackets in the path is a value of
    /// the parameter that the pattern has there: `/api/products/[productId=P1]`.
    async fn call(&mut self, method: &str, path: &str, body: Value, status: u16) -> Answer {
        let (pattern, address) = pattern_and_address(path);
        let request = self.shop.as_admin(method.parse::<Method>().unwrap(), &address);
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = self.send(method, &pattern, request).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        answer
    }

    async fn get(&mut self, path: &str, status: u16) -> Answer {
        self.call("GET", path, Value::Null, status).await
    }

    /// A command that the worker of `group` decides while the client waits for it.
    async fn decided(&mut self, group: &str, path: &str, body: &Value, refusal: Option<Refusal>) -> Answer {
        let (pattern, address) = pattern_and_address(path);
        let request = self.shop.post(&address, body).header("prefer", "wait=20");
        let worker = Worker::of(self.shop, group);
        let decide = worker.decide(|entry, command| match &refusal {
            None => yes(entry, command),
            Some(refusal) => Outcome::Failed(refusal.clone()),
        });
        let (answer, receipts) = tokio::join!(self.send("POST", &pattern, request), decide);
        archive(&self.shop.pool, &receipts).await;
        answer
    }
}

fn pattern_and_address(path: &str) -> (String, String) {
    let (mut pattern, mut address) = (String::new(), String::new());
    for (number, part) in path.split(['[', ']']).enumerate() {
        match part.split_once('=').filter(|_| number % 2 == 1) {
            Some((name, value)) => {
                pattern.push_str(&format!("{{{name}}}"));
                address.push_str(value);
            }
            None => {
                pattern.push_str(part);
                address.push_str(part);
            }
        }
    }
    (pattern.split('?').next().unwrap().to_owned(), address)
}

#[tokio::test]
async fn real_answers_are_as_told() {
    let sandbox = sandbox::Sandbox::start(sandbox::Options::default()).await.unwrap();
    let shop = Plan::default().env("DEMO_TOKENS_URL", format!("{}/tokens", sandbox.url())).open().await;
    let document = Document::of(&shop).await;
    let mut client = Client { shop: &shop, document, succeeded: BTreeSet::new(), refused: BTreeSet::new() };
    operators_make(&mut client).await;
    shop.pool.execute(ROWS).await.unwrap();
    shoppers_read(&mut client).await;
    shoppers_change(&mut client).await;
    shoppers_command(&mut client).await;
    operators_look(&mut client).await;
    for (method, path, operation) in client.document.operations() {
        let name = format!("{method} {path}");
        assert!(client.succeeded.contains(&name), "{name} was never seen to succeed");
        let of_its_own = operation["responses"].as_object().unwrap().keys().any(|status| {
            let for_everybody = ["403", "500", "503"].contains(&status.as_str());
            !for_everybody && status.as_str() >= "400"
        });
        assert_eq!(client.refused.contains(&name), of_its_own, "{name} was refused, or never");
    }
}

async fn operators_make(client: &mut Client<'_>) {
    let product = json!({"productId": "P1", "name": "노트북", "price": 100, "stock": 5});
    client.call("POST", "/api/admin/products", product.clone(), 201).await;
    client.call("POST", "/api/admin/products", product, 409).await;
    client.call("POST", "/api/admin/products", json!({"name": ""}), 400).await;
    client.call("PATCH", "/api/admin/products/[productId=P1]", json!({"price": 90}), 200).await;
    client.call("PATCH", "/api/admin/products/[productId=P9]", json!({"price": 90}), 404).await;
    client.call("POST", "/api/admin/products/[productId=P1]/stock", json!({"delta": 5}), 200).await;
    client.call("POST", "/api/admin/products/[productId=P1]/stock", json!({"delta": -99}), 400).await;
    client.get("/api/admin/products?limit=1", 200).await;
    client.get("/api/admin/products?limit=0", 400).await;
    let coupon = json!({"couponId": "C1", "name": "c", "discountType": "PERCENT", "discountValue": 10,
                        "maxDiscountAmount": 50, "totalQuantity": 5, "endsAt": "2099-01-01T00:00:00Z", "validDays": 3});
    client.call("POST", "/api/admin/coupons", coupon.clone(), 201).await;
    client.call("POST", "/api/admin/coupons", coupon, 409).await;
    client.call("PATCH", "/api/admin/coupons/[couponId=C1]", json!({"totalQuantity": 9}), 200).await;
    client.call("PATCH", "/api/admin/coupons/[couponId=C9]", json!({}), 404).await;
    client.get("/api/admin/coupons", 200).await;
    client.get("/api/admin/coupons?cursor=two%20words", 400).await;
    client.call("POST", "/api/admin/users", json!({"userId": "user1", "balance": 1_000}), 201).await;
    client.call("POST", "/api/admin/users", json!({"userId": "user1"}), 409).await;
    client.get("/api/admin/users", 200).await;
    client.get("/api/admin/users?limit=x", 400).await;
}

async fn shoppers_read(client: &mut Client<'_>) {
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/docs", 200),
        ("/docs/[file=start.js]", 200),
        ("/docs/[file=nothing.js]", 404),
        ("/docs/[file=%ff]", 400),
        ("/openapi.json", 200),
        ("/", 200),
        ("/admin", 200),
        ("/web/settings", 200),
        ("/web/[folder=shared]/[file=base.css]", 200),
        ("/web/[folder=shared]/[file=nothing.css]", 404),
        ("/web/[folder=shop]/[file=%ff]", 400),
        ("/api/products?q=노트", 200),
        ("/api/products?limit=101", 400),
        ("/api/products/[productId=P1]", 200),
        ("/api/products/[productId=P9]", 404),
        ("/api/products/[productId=two%20words]", 400),
        ("/api/products/[productId=P1]/stock", 200),
        ("/api/products/[productId=%ff]/stock", 400),
        ("/api/products/popular", 200),
        ("/api/products/popular?days=31", 400),
        ("/api/coupons", 200),
        ("/api/coupons?limit=0", 400),
        ("/api/users/coupons?userId=user1", 200),
        ("/api/users/coupons?userId=user1&status=lost", 400),
        ("/api/users/balance?userId=user1", 200),
        ("/api/users/balance", 400),
        ("/api/users/balance/history?userId=user1", 200),
        ("/api/users/balance/history?userId=user1&cursor=x", 400),
        ("/api/orders?userId=user1&limit=1", 200),
        ("/api/orders?userId=user1&limit=1&limit=2", 400),
    ] {
        client.get(path, status).await;
    }
    client.call("POST", "/web/tokens", json!({"userId": "user1"}), 200).await;
    client.call("POST", "/web/tokens", json!({"userId": 1}), 400).await;
    client.get(&format!("/api/orders/[orderId={ORDER}]?userId=user1"), 200).await;
    client.get(&format!("/api/orders/[orderId={ORDER}]?userId=user2"), 404).await;
}

async fn shoppers_change(client: &mut Client<'_>) {
    let put_in = |quantity: i64| json!({"userId": "user1", "productId": "P1", "quantity": quantity});
    client.call("POST", "/api/cart/items", put_in(2), 201).await;
    client.call("POST", "/api/cart/items", put_in(99), 400).await;
    client.get("/api/cart?userId=user1", 200).await;
    client.get("/api/cart", 400).await;
    client.call("PATCH", "/api/cart/items/[productId=P1]", put_in(3), 200).await;
    client.call("PATCH", "/api/cart/items/[productId=P9]", put_in(3), 404).await;
    client.call("DELETE", "/api/cart/items/[productId=P1]?userId=user1", Value::Null, 204).await;
    client.call("DELETE", "/api/cart/items/[productId=P1]?userId=user1", Value::Null, 404).await;
    let ask = json!({"userId": "user1", "email": "user1@example.com"});
    let mail = "/api/products/[productId=P1]/restock-notification";
    client.call("POST", mail, ask.clone(), 201).await;
    client.call("POST", mail, ask.clone(), 200).await;
    client.call("POST", "/api/products/[productId=P9]/restock-notification", ask, 404).await;
    let question = |coupon: &str| json!({"userId": "user1", "couponId": coupon, "orderAmount": 900});
    client.call("POST", "/api/coupons/validate", question("C1"), 200).await;
    client.call("POST", "/api/coupons/validate", question("C9"), 404).await;
}

async fn shoppers_command(client: &mut Client<'_>) {
    let (issue, claim) = ("/api/coupons/[couponId=C1]/issue", json!({"userId": "user1"}));
    let order = json!({"userId": "user1", "items": [{"productId": "P1", "quantity": 1}]});
    let item = InsufficientItem {
        product_id: "P1".parse().unwrap(),
        product_name: "노트북".to_owned(),
        requested_quantity: 5,
        available_stock: 2,
    };
    let refusals = [
        Refusal::CouponSoldOut,
        Refusal::CouponNotFound,
        Refusal::CouponExpired,
        Refusal::AlreadyIssued,
        Refusal::CouponNotStarted,
        Refusal::Internal,
    ];
    for refusal in refusals {
        client.decided("coupon", issue, &claim, Some(refusal)).await;
    }
    let refusals = [
        Refusal::ProductNotFound { product_id: "P9".parse().unwrap() },
        Refusal::InsufficientStock { insufficient_items: vec![item] },
        Refusal::CouponNotFound,
        Refusal::CouponNotApplicable { reason: NotApplicable::NotOwned },
        Refusal::CouponNotApplicable { reason: NotApplicable::AlreadyUsed },
        Refusal::CouponNotApplicable { reason: NotApplicable::BelowMinOrderAmount },
        Refusal::CouponExpired,
        Refusal::AmountMismatch { expected_amount: 2, actual_amount: 1 },
        Refusal::InsufficientBalance { required_amount: 3, current_balance: 1, shortfall: 2 },
    ];
    for refusal in refusals {
        let refused = client.decided("order", "/api/orders", &order, Some(refusal)).await;
        let id = refused.header("location").trim_start_matches("/api/requests/").to_owned();
        client.get(&format!("/api/requests/[requestId={id}]"), 200).await;
    }
    let (pay, charge) = ("/api/users/balance/charge", json!({"userId": "user1", "amount": 500}));
    let declined = Refusal::PaymentFailed { reason: "card_declined".to_owned() };
    assert_eq!(client.decided("charge", pay, &charge, Some(declined)).await.status, 402);
    for (group, path, body) in [("coupon", issue, &claim), ("order", "/api/orders", &order), ("charge", pay, &charge)] {
        let (pattern, address) = pattern_and_address(path);
        // A charge would wait for longer by itself.
        let with_key = |body: &Value| {
            let request = client.shop.post(&address, body).header("idempotency-key", "one");
            if group == "charge" { request.header("prefer", "wait=1") } else { request }
        };
        let other = json!({"userId": "user1", "amount": 7, "items": [{"productId": "P1", "quantity": 2}]});
        let (first, again, reused) = (with_key(body), with_key(body), with_key(&other));
        let accepted = client.send("POST", &pattern, first).await;
        assert_eq!(accepted.status, 202);
        let id = accepted.body["requestId"].as_str().unwrap().to_owned();
        assert_eq!(client.send("POST", &pattern, again).await.body["requestId"], id);
        // The body of a claim is nobody but the shopper.
        let meant = if group == "coupon" { 202 } else { 422 };
        assert_eq!(client.send("POST", &pattern, reused).await.status, meant);
        client.get(&format!("/api/requests/[requestId={id}]"), 200).await;
        client.get(&format!("/api/admin/requests/[requestId={id}]"), 200).await;
        client.get("/api/admin/lanes", 200).await;
        archive(&client.shop.pool, &Worker::of(client.shop, group).decide(yes).await).await;
        client.get(&format!("/api/requests/[requestId={id}]?wait=1"), 200).await;
        client.get(&format!("/api/requests/[requestId={id}]/events"), 200).await;
        let done = client.decided(group, path, body, None).await;
        assert_eq!(done.status, if group == "charge" { 200 } else { 201 }, "{done:?}");
    }
    client.get("/api/requests/[requestId=nothing]", 404).await;
    client.get("/api/requests/[requestId=nothing]?wait=long", 400).await;
    client.get("/api/requests/[requestId=nothing]/events", 404).await;
}

async fn operators_look(client: &mut Client<'_>) {
    let lane = "/api/admin/lanes/[lane=product:P1]";
    client.call("POST", &format!("{lane}/pause"), Value::Null, 200).await;
    client.get("/api/admin/lanes", 200).await;
    client.call("POST", &format!("{lane}/resume"), Value::Null, 200).await;
    client.call("POST", "/api/admin/lanes/[lane=nothing]/pause", Value::Null, 400).await;
    client.call("POST", "/api/admin/lanes/[lane=nothing]/resume", Value::Null, 400).await;
    for (path, status) in [
        ("/api/admin/requests?userId=user1", 200),
        ("/api/admin/requests", 400),
        ("/api/admin/requests/[requestId=nothing]", 404),
        ("/api/admin/sync-failures", 200),
        ("/api/admin/sync-failures?status=lost", 400),
        ("/api/admin/charges", 200),
        ("/api/admin/charges?status=lost", 400),
        ("/api/admin/alerts?status=open", 200),
        ("/api/admin/alerts?status=lost", 400),
        ("/api/admin/audit", 200),
        ("/api/admin/audit-log", 200),
        ("/api/admin/audit-log?cursor=x", 400),
    ] {
        client.get(path, status).await;
    }
    let failure = format!("/api/admin/sync-failures/[orderId={FAILED}]");
    client.call("POST", &format!("{failure}/retry"), Value::Null, 200).await;
    client.call("POST", "/api/admin/sync-failures/retry-all", Value::Null, 200).await;
    client.call("POST", &format!("{failure}/resolve"), json!({"note": "n"}), 200).await;
    client.call("POST", &format!("{failure}/resolve"), json!({"note": "n"}), 404).await;
    client.call("POST", &format!("{failure}/retry"), Value::Null, 404).await;
    client.get("/api/admin/sync-failures?status=resolved", 200).await;
    let resolve_alert = "/api/admin/alerts/[alertId=019a3c5e-7f00-7abc-8def-000000005500]/resolve";
    client.call("POST", resolve_alert, json!({"note": "n"}), 200).await;
    client.call("POST", resolve_alert, json!({"note": "n"}), 404).await;
    const CHARGE: &str = "019a3c5e-7f00-7abc-8def-0000000011c0";
    crate::charges::begin(&client.shop.pool, CHARGE, "user1").await;
    client.get("/api/admin/charges", 200).await;
    client.get(&format!("/api/admin/requests/[requestId={CHARGE}]"), 200).await;
    client.get(&format!("/api/requests/[requestId={CHARGE}]"), 200).await;
    let verdict = json!({"outcome": "FAILED", "note": "n"});
    client.call("POST", &format!("/api/admin/charges/[chargeId={CHARGE}]/resolve"), verdict.clone(), 200).await;
    client.call("POST", "/api/admin/charges/[chargeId=nothing]/resolve", verdict, 404).await;
    for path in ["/api/admin/audit", "/api/admin/lanes"] {
        let request = client.shop.get(path);
        assert_eq!(client.send("GET", path, request).await.status, 401);
    }
    let path = "/api/admin/sync-failures/retry-all";
    let request = client.shop.request(Method::POST, path);
    assert_eq!(client.send("POST", path, request).await.status, 401);
}
