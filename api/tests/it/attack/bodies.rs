//! Bodies that are too much: too large, too deep, with members that nobody asked for; and those that a page of somebody else
//! can make a browser send.

use common::{Command, Envelope};
use reqwest::Method;
use reqwest::header::SET_COOKIE;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::endpoints;
use crate::auth::{token, with_tokens};
use crate::kit::{ADMIN_TOKEN, DEADLINE, Plan, Shop, send};
use crate::worker::Worker;

/// Members that are the shop's to say.
fn extras() -> Value {
    json!({
        "price": 1, "unitPrice": 1, "totalAmount": 1, "discountAmount": 999_999, "discount": 100, "amountPaid": 0,
        "balance": 1_000_000, "remainingBalance": 1_000_000, "stocked": 1_000_000, "issuedQuantity": 0, "lastTicket": 0,
        "last_ticket": 0, "ticket": 1, "acceptedAt": "2020-01-01T00:00:00Z", "status": "SUCCEEDED", "role": "admin",
        "admin": true, "isAdmin": true, "user_id": "victim", "requestId": "019a3c5e-7f00-7abc-8def-000000001180",
        "__proto__": {"admin": true}, "constructor": {"prototype": {"admin": true}},
    })
}

/// A body with all of them, but none in the place of a member that the endpoint knows.
fn with_extras(body: &Value) -> Value {
    let mut body = body.clone();
    for (name, value) in extras().as_object().unwrap() {
        let members = body.as_object_mut().unwrap();
        members.entry(name.clone()).or_insert_with(|| value.clone());
    }
    body
}

fn open_to_all() -> Plan {
    Plan::default().env("RATE_LIMIT_PER_USER", "off")
}

#[tokio::test]
async fn members_that_nobody_asked_for_change_no_command() {
    let shop = open_to_all().open().await;
    let commands = [
        ("order", "/api/orders", json!({"userId": "user1", "items": [{"productId": "P1", "quantity": 2}]})),
        ("coupon", "/api/coupons/C1/issue", json!({"userId": "user1"})),
        ("charge", "/api/users/balance/charge", json!({"userId": "user1", "amount": 500})),
    ];
    for (group, path, body) in commands {
        let mut attack = with_extras(&body);
        if let Some(item) = attack.pointer_mut("/items/0") {
            *item = with_extras(item);
        }
        let worker = Worker::of(&shop, group);
        let mut seen: Vec<Command> = Vec::new();
        for body in [&body, &attack] {
            let answer = send(shop.post(path, body).header("prefer", "wait=1")).await;
            assert_eq!(answer.status, 202, "{path}: {answer:?}");
            assert_ne!(answer.body["requestId"], extras()["requestId"], "the shop names its requests");
        }
        while seen.len() < 2 {
            let batch = worker.claim().await;
            seen.extend(batch.entries.iter().map(|entry| Envelope::decode(&entry.envelope).unwrap().command));
            worker.ack(&batch, &crate::worker::receipts(&batch, crate::worker::yes), Vec::new()).await;
        }
        assert_eq!(seen[0], seen[1], "{path}");
    }
}

#[tokio::test]
async fn members_that_nobody_asked_for_change_no_row() {
    let shop = open_to_all().open().await;
    let product = json!({"productId": "P1", "name": "p", "price": 100, "stock": 5});
    shop.admin_post("/api/admin/products", &with_extras(&product)).await;
    let edit = shop.as_admin(Method::PATCH, "/api/admin/products/P1").json(&json!({"stock": 99, "stocked": 99}));
    send(edit).await;
    let coupon =
        json!({"couponId": "C1", "name": "c", "discountType": "FIXED", "discountValue": 5, "totalQuantity": 5});
    let mut free = with_extras(&coupon);
    free["issuedQuantity"] = (-5).into();
    shop.admin_post("/api/admin/coupons", &free).await;
    let edit = json!({"discountValue": 99, "issuedQuantity": -9, "startsAt": "2020-01-01T00:00:00Z"});
    send(shop.as_admin(Method::PATCH, "/api/admin/coupons/C1").json(&edit)).await;
    let put = json!({"userId": "user1", "productId": "P1", "quantity": 1});
    let put = send(shop.post("/api/cart/items", &with_extras(&put))).await;
    assert_eq!((put.status, &put.body["price"], &put.body["subtotal"]), (201, &100.into(), &100.into()));
    let row: (i64, i64, i64, i64, i64, i64) = sqlx::query_as(
        "select price, stock, stocked, discount_value, issued_quantity, coupons.last_ticket + products.last_ticket
           from products, coupons",
    )
    .fetch_one(&shop.pool)
    .await
    .unwrap();
    assert_eq!(row, (100, 5, 5, 5, 0, 0));
    let users: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(users, 0, "a balance comes from a charge");
}

#[tokio::test]
async fn bodies_that_are_too_much_are_refused_and_cost_nothing() {
    const DEPTH: usize = 8_000;
    const HUGE_BYTES: usize = 4 * 1024 * 1024;
    let shop = open_to_all().open().await;
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(DEPTH), close.repeat(DEPTH));
    // The body must end within what is read at all, so that it is the depth that is refused.
    let (lists, objects) = (deep("[", "]"), format!("{}1{}", "{\"a\":".repeat(DEPTH / 4), "}".repeat(DEPTH / 4)));
    assert!(lists.len() <= 16 * 1024 && objects.len() <= 16 * 1024);
    for endpoint in endpoints(&shop).await.iter().filter(|endpoint| !endpoint.body.is_null()) {
        let send_body = |body: String| {
            let request = shop.request(endpoint.method.parse().unwrap(), &endpoint.address);
            send(request.bearer_auth(ADMIN_TOKEN).header("content-type", "application/json").body(body))
        };
        let name = endpoint.name();
        let rows = [
            ("a deep list", lists.clone(), 400),
            ("a list without end", "[".repeat(16_000), 400),
            ("a member that is deep", format!("{{\"userId\":{lists}}}").chars().take(16_000).collect(), 400),
            ("a value that is a number without end", format!("{{\"userId\":{}}}", "9".repeat(16_000)), 400),
            ("a value that is no Unicode", "{\"userId\":\"\\ud800\"}".to_owned(), 400),
            ("more than anybody needs", format!("{{\"a\":\"{}\"}}", "x".repeat(16 * 1024)), 413),
        ];
        for (what, body, status) in rows {
            let answer = send_body(body).await;
            // A member that the endpoint does not know is passed over, whatever stands in it.
            let is_passed_over = what.starts_with("a value") && endpoint.body.get("userId").is_none();
            let is_meant = answer.status == status || is_passed_over && answer.status < 500;
            assert!(is_meant, "{name}: {what}: {answer:?}");
            assert!(answer.body.to_string().len() < 2_000, "{name}: {what}: the answer is short");
        }
        // Far more: it is not read to its end, and the answer comes all the same.
        let huge = shop.request(endpoint.method.parse().unwrap(), &endpoint.address).bearer_auth(ADMIN_TOKEN);
        let huge = huge.header("content-type", "application/json").body(" ".repeat(HUGE_BYTES));
        assert_eq!(send(huge).await.problem(), (413, "V001"), "{name}");
        // Deep below a member that nobody knows: passed over, whatever comes of the rest.
        let answer = send_body(format!("{{\"nobody\":{objects}}}")).await;
        assert!((200..500).contains(&answer.status), "{name}: {answer:?}");
    }
    assert_eq!(send(shop.get("/healthz")).await.status, 200, "it is still the same process");
    assert!(
        shop.metric("droplane_http_requests_total{method=\"POST\",route=\"/api/orders\",status=\"5xx\"}").await == 0.0
    );
}

#[tokio::test]
async fn whoever_sends_megabytes_before_reading_is_told_that_they_are_too_much() {
    const HUGE_BYTES: usize = 24 * 1024 * 1024;
    let shop = open_to_all().open().await;
    let rows = [
        ("POST /api/orders", "content-length: 25165824", "413"),
        ("POST /api/orders", "transfer-encoding: chunked", "413"),
        ("POST /api/admin/coupons", "content-length: 25165824", "401"),
        ("GET /api/nothing", "content-length: 25165824", "404"),
    ];
    for (line, framing, status) in rows {
        let mut client = TcpStream::connect(shop.base.trim_start_matches("http://")).await.unwrap();
        let head = format!("{line} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{framing}\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        if framing.contains("chunked") {
            client.write_all(format!("{HUGE_BYTES:x}\r\n").as_bytes()).await.unwrap();
        }
        let body = vec![b' '; HUGE_BYTES];
        client.write_all(&body).await.unwrap_or_else(|error| panic!("{line} {framing}: {error}"));
        let mut answer = Vec::new();
        let reading = tokio::time::timeout(DEADLINE, client.read_to_end(&mut answer)).await;
        reading.expect("an end in time").unwrap_or_else(|error| panic!("{line} {framing}: {error}"));
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line} {framing}: {answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn a_member_that_is_given_twice_is_refused() {
    let (shop, mine) = with_tokens().await;
    let rows = [
        ("/api/orders", r#"{"userId":"user1","userId":"user2","items":[{"productId":"P1","quantity":1}]}"#),
        ("/api/orders", r#"{"items":[{"productId":"P1","quantity":1,"quantity":9}]}"#),
        ("/api/users/balance/charge", r#"{"amount":1,"amount":2}"#),
        ("/api/coupons/C1/issue", r#"{"userId":"user1","userId":"user2"}"#),
    ];
    for (path, body) in rows {
        let request = shop.request(Method::POST, path).bearer_auth(&mine).header("content-type", "application/json");
        assert_eq!(send(request.body(body)).await.problem(), (400, "V001"), "{body}");
    }
}

/// What a page of somebody else can make a browser send without asking: forms and simple types of content.
const SIMPLE_TYPES: [&str; 4] = [
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
    "text/plain; application/json",
];

async fn check_no_cookie_and_no_leave(shop: &Shop) {
    for path in ["/", "/admin", "/docs", "/api/products", "/web/settings"] {
        let answer = send(shop.get(path).header("origin", "https://evil.example")).await;
        assert!(!answer.headers.contains_key(SET_COOKIE), "{path} sets a cookie");
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{path} is open to other pages");
    }
}

#[tokio::test]
async fn a_page_of_somebody_else_can_send_nothing() {
    // Where everybody is believed no token is missing: only the type of content stands against a form.
    let shop = open_to_all().open().await;
    check_no_cookie_and_no_leave(&shop).await;
    let mut attacked = 0;
    for endpoint in endpoints(&shop).await.iter().filter(|endpoint| endpoint.method != "GET") {
        let name = endpoint.name();
        let method: Method = endpoint.method.parse().unwrap();
        let preflight = shop.request(Method::OPTIONS, &endpoint.address).header("origin", "https://evil.example");
        let preflight = send(preflight.header("access-control-request-method", endpoint.method.as_str())).await;
        assert_eq!(preflight.problem(), (405, "X002"), "{name}");
        assert!(!preflight.headers.contains_key("access-control-allow-origin"), "{name}");
        if method != Method::POST {
            continue;
        }
        let request = || shop.request(Method::POST, &endpoint.address).header("origin", "https://evil.example");
        for content_type in SIMPLE_TYPES {
            let answer = send(request().header("content-type", content_type).body(endpoint.body.to_string())).await;
            let meant = if endpoint.is_for_operators() { (401, "A001") } else { (415, "V001") };
            assert_eq!(answer.problem(), meant, "{name}: {content_type}");
        }
        // A form without a field has no body; then the shopper is not named, or the operators' token is missing.
        let answer = send(request()).await;
        assert!([400, 401, 404].contains(&answer.status), "{name}: {answer:?}");
        attacked += 1;
    }
    assert!(attacked > 10, "only {attacked} endpoints change something");
    let entered: i64 = sqlx::query_scalar("select count(*) from audit_log").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(entered, 0);
    assert!(Worker::of(&shop, "order").claim_now().await.is_none(), "nothing stands in line");
}

#[tokio::test]
async fn with_tokens_a_browser_brings_nothing_along_by_itself() {
    let (shop, mine) = with_tokens().await;
    check_no_cookie_and_no_leave(&shop).await;
    let body = json!({"items": [{"productId": "P1", "quantity": 1}]});
    let with_cookie = shop.post("/api/orders", &body).header("cookie", format!("token={mine}; session={mine}"));
    assert_eq!(send(with_cookie).await.problem(), (401, "A001"));
    assert_eq!(send(shop.post("/api/orders", &body).bearer_auth(token(json!({})))).await.status, 202);
}
