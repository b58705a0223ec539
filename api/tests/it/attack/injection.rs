//! Texts that mean something to SQL, Lua, Redis, a shell, a page or a terminal, in every place of every endpoint where a text
//! can stand. What is no id is refused, what is a text is kept as it is, and nothing else happens.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{Endpoint, endpoints};
use crate::kit::{ADMIN_TOKEN, Answer, Shop, send};

/// What is tried.
const TEXTS: [&str; 30] = [
    "' or '1'='1",
    "'; drop table products; --",
    "\"; delete from users; --",
    "1); select pg_sleep(60); --",
    "$1",
    "%' and 1=1 --",
    "\\'; select 1",
    "P1' || (select version()) || '",
    "]]; redis.call('FLUSHALL'); --[[",
    "\") redis.call(\"FLUSHALL\") --",
    "{order}:tickets",
    "*",
    "P1}{order",
    "P1\r\nFLUSHALL\r\n",
    "$8\r\nFLUSHALL\r\n",
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "`id`; $(id) | id",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "%s%n%x{}{0}",
    "\u{1b}[2J\u{7}",
    "a\u{0}b",
    "\u{202e}1P\u{202c}",
    "\u{ff30}\u{ff11}",
    "\u{420}1",
    "P\u{200b}1",
    "P1 ",
    "",
];

/// Texts that mean something only by being long.
fn long_texts() -> [String; 2] {
    ["A".repeat(65), "가".repeat(3_000)]
}

fn texts() -> Vec<String> {
    TEXTS.iter().map(|text| (*text).to_owned()).chain(long_texts()).collect()
}

/// As it must stand in an address.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// All that the database is: its tables, what they hold, and what is watched.
async fn shape_of(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "select table_name || '.' || column_name from information_schema.columns where table_schema = 'public' order by 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

async fn watched(pool: &PgPool) -> (i64, i64, i64) {
    sqlx::query_as(
        "select (select count(*) from products where product_id = 'WATCHED' and price = 7 and stock = 7),
                (select count(*) from users where user_id = 'watched' and balance = 7),
                (select count(*) from coupons where coupon_id = 'WATCHED' and total_quantity = 7)",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

/// A shop with something that nobody names, so that whatever becomes of it was an accident.
async fn open() -> Shop {
    let shop = crate::kit::Plan::default().env("RATE_LIMIT_PER_USER", "off").open().await;
    let product = json!({"productId": "WATCHED", "name": "w", "price": 7, "stock": 7});
    shop.admin_post("/api/admin/products", &product).await;
    shop.admin_post("/api/admin/users", &json!({"userId": "watched", "balance": 7})).await;
    let coupon = json!({"couponId": "WATCHED", "name": "w", "discountType": "FIXED", "discountValue": 7,
                        "totalQuantity": 7});
    shop.admin_post("/api/admin/coupons", &coupon).await;
    shop.redis.command(&["SET", "watched", "7"]).unwrap();
    shop
}

async fn check_nothing_happened(shop: &Shop, shape: &[String]) {
    assert_eq!(shape_of(&shop.pool).await, shape, "the tables are as they were");
    assert_eq!(watched(&shop.pool).await, (1, 1, 1), "what nobody named is as it was");
    assert_eq!(shop.redis.command(&["GET", "watched"]).unwrap().trim(), "7", "Redis was not emptied");
    let log = shop.api.log();
    assert!(!log.contains(" 500"), "{log}");
}

fn is_refused_or_done(answer: &Answer) -> bool {
    (200..300).contains(&answer.status) || [304, 400, 402, 404, 409, 413, 422].contains(&answer.status)
}

async fn call(shop: &Shop, endpoint: &Endpoint, address: &str, body: &Value) -> Answer {
    let request = endpoint.call(shop, address, body).bearer_auth(ADMIN_TOKEN);
    // A charge would wait for longer by itself, and nobody decides it here.
    let request = if endpoint.pattern.ends_with("/charge") { request.header("prefer", "wait=1") } else { request };
    send(request).await
}

#[tokio::test]
async fn in_every_path() {
    let shop = open().await;
    let shape = shape_of(&shop.pool).await;
    let mut attacked = 0;
    for endpoint in endpoints(&shop).await.iter().filter(|endpoint| !endpoint.in_path.is_empty()) {
        for text in texts().iter().filter(|text| !text.is_empty()) {
            let address = endpoint.in_path.iter().fold(endpoint.pattern.clone(), |address, name| {
                address.replace(&format!("{{{name}}}"), &escaped(text))
            });
            let answer = call(&shop, endpoint, &address, &endpoint.body).await;
            // No such text is an id of anything that is there.
            assert!([400, 404].contains(&answer.status), "{} {text:?}: {answer:?}", endpoint.name());
            answer.problem();
            attacked += 1;
        }
    }
    assert!(attacked > 500, "only {attacked} attacks");
    check_nothing_happened(&shop, &shape).await;
}

#[tokio::test]
async fn in_every_query() {
    let shop = open().await;
    let shape = shape_of(&shop.pool).await;
    let mut attacked = 0;
    for endpoint in endpoints(&shop).await.iter().filter(|endpoint| endpoint.method == "GET") {
        for name in &endpoint.in_query {
            for text in texts() {
                let user = if name == "userId" { "" } else { "&userId=user1" };
                let address = format!("{}?{name}={}{user}", endpoint.address, escaped(&text));
                let answer = call(&shop, endpoint, &address, &Value::Null).await;
                assert!(is_refused_or_done(&answer), "{} {name}={text:?}: {answer:?}", endpoint.name());
                attacked += 1;
            }
        }
    }
    assert!(attacked > 500, "only {attacked} attacks");
    check_nothing_happened(&shop, &shape).await;
}

/// The places of a body where a text stands, as JSON pointers.
fn places(body: &Value, at: &str, found: &mut Vec<String>) {
    match body {
        Value::String(_) => found.push(at.to_owned()),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(number, item)| places(item, &format!("{at}/{number}"), found));
        }
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| places(member, &format!("{at}/{name}"), found));
        }
        _ => {}
    }
}

#[tokio::test]
async fn in_every_body() {
    let shop = open().await;
    let shape = shape_of(&shop.pool).await;
    let mut attacked = 0;
    for endpoint in endpoints(&shop).await.iter().filter(|endpoint| endpoint.body.is_object()) {
        let mut all = Vec::new();
        places(&endpoint.body, "", &mut all);
        for place in all {
            for text in texts() {
                let mut body = endpoint.body.clone();
                *body.pointer_mut(&place).unwrap() = text.clone().into();
                let answer = call(&shop, endpoint, &endpoint.address, &body).await;
                assert!(is_refused_or_done(&answer), "{} {place}={text:?}: {answer:?}", endpoint.name());
                let is_id = place.ends_with("Id");
                assert!(!is_id || answer.status == 400, "{} {place}={text:?}: {answer:?}", endpoint.name());
                attacked += 1;
            }
        }
    }
    assert!(attacked > 500, "only {attacked} attacks");
    check_nothing_happened(&shop, &shape).await;
}

#[tokio::test]
async fn in_every_header_that_is_read() {
    let shop = open().await;
    let shape = shape_of(&shop.pool).await;
    let names = [
        "idempotency-key",
        "prefer",
        "authorization",
        "x-request-id",
        "accept-language",
        "traceparent",
        "if-none-match",
    ];
    for name in names {
        // What no header can hold never leaves the client.
        for text in texts().iter().filter(|text| text.is_ascii() && !text.contains(|c: char| c.is_control())) {
            let order = json!({"userId": "user1", "items": [{"productId": "P1", "quantity": 1}]});
            let answer = send(shop.post("/api/orders", &order).header(name, text)).await;
            assert!([202, 400].contains(&answer.status), "{name}: {text:?}: {answer:?}");
            if name == "x-request-id" {
                let told = answer.header("x-request-id");
                assert!(told.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte)), "{told:?}");
            }
        }
    }
    check_nothing_happened(&shop, &shape).await;
}

#[tokio::test]
async fn what_is_a_text_is_kept_as_it_is() {
    let shop = open().await;
    let kept: Vec<String> = texts().into_iter().filter(|text| !text.trim().is_empty() && text.len() < 200).collect();
    let mut stored = 0;
    for (number, text) in kept.iter().enumerate() {
        let id = format!("T{number}");
        let product = json!({"productId": id, "name": text, "description": text, "price": 1, "stock": 1});
        let made = send(shop.as_admin(reqwest::Method::POST, "/api/admin/products").json(&product)).await;
        if text.chars().any(|c| c.is_control() && !"\r\n\t".contains(c)) {
            assert_eq!(made.problem(), (400, "V001"), "{text:?}");
            continue;
        }
        let shown = send(shop.get(&format!("/api/products/{id}"))).await;
        assert_eq!((&shown.body["name"], &shown.body["description"]), (&json!(text), &json!(text)));
        assert_eq!(shown.header("content-type"), "application/json", "no browser takes it for a page");
        stored += 1;
    }
    assert!(stored > 20, "only {stored} texts were kept");
}

#[tokio::test]
async fn what_looks_like_an_id_is_another_one() {
    let shop = open().await;
    shop.admin_post("/api/admin/products", &json!({"productId": "P1", "name": "p", "price": 1, "stock": 1})).await;
    // Full width, Cyrillic, a zero-width space, a combining mark, soft hyphen, another case, blanks around.
    let twins = ["Ｐ１", "Р1", "P\u{200b}1", "P1\u{301}", "P\u{ad}1", " P1", "P1 ", "P1\n", "P1\u{feff}", "%501"];
    for twin in twins {
        let answer = send(shop.get(&format!("/api/products/{}", escaped(twin)))).await;
        assert_eq!(answer.problem(), (400, "V001"), "{twin:?}");
        let made = json!({"productId": twin, "name": "p", "price": 1, "stock": 1});
        let made = send(shop.as_admin(reqwest::Method::POST, "/api/admin/products").json(&made)).await;
        assert_eq!(made.problem(), (400, "V001"), "{twin:?}");
    }
    assert_eq!(send(shop.get("/api/products/p1")).await.problem(), (404, "P001"), "case counts");
    assert_eq!(send(shop.get("/api/products/%501")).await.status, 200, "an escaped letter is that letter");
}
