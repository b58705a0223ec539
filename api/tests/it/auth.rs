//! Who may do what: tokens, the operators' token, and the guard of a shop that believes everybody.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::kit::{ADMIN_TOKEN, Answer, Plan, Shop, send};

pub const SECRET: &str = "a secret that is long enough for HS256";

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub fn signed(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// The claims of a good token, with these changed; null takes one away.
pub fn claims(changed: Value) -> Value {
    let mut claims = json!({"sub": "user1", "iss": "shop", "aud": "api", "exp": now() + 600});
    for (name, value) in changed.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

pub fn token(changed: Value) -> String {
    signed(Algorithm::HS256, SECRET, &claims(changed))
}

/// A shop that demands tokens, before it opens.
pub fn demanding_tokens() -> Plan {
    let plan = Plan::default().env("AUTH_MODE", "jwt").env("JWT_SECRET", SECRET);
    plan.env("JWT_ISSUER", "shop").env("JWT_AUDIENCE", "api")
}

/// A shop that demands tokens, and a good one of user1.
pub async fn with_tokens() -> (Shop, String) {
    (demanding_tokens().open().await, token(json!({})))
}

async fn claim(shop: &Shop, token: &str, body: &Value) -> Answer {
    send(shop.post("/api/coupons/C1/issue", body).bearer_auth(token)).await
}

#[tokio::test]
async fn only_good_tokens_are_believed() {
    let (shop, _) = with_tokens().await;
    let good = [
        token(json!({})),
        token(json!({"aud": ["other", "api"]})),
        token(json!({"nbf": now() - 60})),
        // Clocks differ a little.
        token(json!({"exp": now() - 5})),
        token(json!({"role": "admin"})),
    ];
    for token in good {
        assert_eq!(claim(&shop, &token, &json!({})).await.status, 202, "{token}");
    }
    let mut tampered = token(json!({}));
    let payload_at = tampered.find('.').unwrap() + 5;
    tampered.replace_range(payload_at..payload_at + 1, "A");
    // {"alg":"none","typ":"JWT"} and the claims of a good token, unsigned.
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", token(json!({})).split('.').nth(1).unwrap());
    let bad = [
        String::new(),
        "nonsense".to_owned(),
        tampered,
        unsigned,
        signed(Algorithm::HS256, "another secret, just as long as that", &claims(json!({}))),
        signed(Algorithm::HS512, SECRET, &claims(json!({}))),
        token(json!({"exp": now() - 60})),
        token(json!({"exp": null})),
        token(json!({"nbf": now() + 600})),
        token(json!({"aud": "other"})),
        token(json!({"aud": null})),
        token(json!({"iss": "other"})),
        token(json!({"iss": null})),
        token(json!({"sub": null})),
        token(json!({"sub": 7})),
        token(json!({"sub": "two words"})),
        ADMIN_TOKEN.to_owned(),
    ];
    for token in bad {
        assert_eq!(claim(&shop, &token, &json!({})).await.problem(), (401, "A001"), "{token}");
    }
    assert_eq!(send(shop.post("/api/coupons/C1/issue", &json!({}))).await.problem(), (401, "A001"));
    let basic = shop.post("/api/coupons/C1/issue", &json!({})).header("authorization", "Basic dTpw");
    assert_eq!(send(basic).await.problem(), (401, "A001"));
}

#[tokio::test]
async fn a_shopper_acts_and_sees_only_in_their_own_name() {
    let (shop, _) = with_tokens().await;
    let (mine, others) = (token(json!({})), token(json!({"sub": "user2"})));
    let order = |user: Value| json!({"userId": user, "items": [{"productId": "P1", "quantity": 1}]});
    let place = |user: Value| send(shop.post("/api/orders", &order(user)).bearer_auth(&mine));
    assert_eq!(place(json!("user1")).await.status, 202);
    let placed = place(Value::Null).await;
    assert_eq!(placed.status, 202);
    assert_eq!(place(json!("user2")).await.problem(), (403, "A002"));
    let balance = |query: &str| send(shop.get(&format!("/api/users/balance{query}")).bearer_auth(&mine));
    assert_eq!(balance("").await.body, json!({"userId": "user1", "balance": 0}));
    assert_eq!(balance("?userId=user1").await.status, 200);
    assert_eq!(balance("?userId=user2").await.problem(), (403, "A002"));

    let charge = |body: Value| send(shop.post("/api/users/balance/charge", &body).bearer_auth(&mine));
    assert_eq!(charge(json!({"userId": "user2", "amount": 1})).await.problem(), (403, "A002"));
    const PENDING: &str = "019a3c5e-7f00-7abc-8def-0000000011c0";
    crate::charges::begin(&shop.pool, PENDING, "user2").await;
    let pending = format!("/api/requests/{PENDING}");
    assert_eq!(send(shop.get(&pending).bearer_auth(&mine)).await.problem(), (404, "R001"));
    assert_eq!(send(shop.get(&pending).bearer_auth(&others)).await.body["status"], "PROCESSING");

    let path = placed.header("location").to_owned();
    for path in [path.clone(), format!("{path}/events"), format!("{path}?wait=1")] {
        assert_eq!(send(shop.get(&path).bearer_auth(&others)).await.problem(), (404, "R001"), "{path}");
        assert_eq!(send(shop.get(&path)).await.problem(), (401, "A001"), "{path}");
    }
    assert_eq!(send(shop.get(&path).bearer_auth(&mine)).await.status, 200);
    crate::worker::Worker::of(&shop, "order").decide(crate::worker::yes).await;
    assert_eq!(send(shop.get(&path).bearer_auth(&others)).await.problem(), (404, "R001"));
    assert_eq!(send(shop.get(&path).bearer_auth(&mine)).await.body["status"], "SUCCEEDED");
}

#[tokio::test]
async fn shape_comes_before_identity_and_the_catalogue_needs_none() {
    let (shop, _) = with_tokens().await;
    assert_eq!(send(shop.post("/api/orders", &json!({"items": []}))).await.problem(), (400, "V001"));
    assert_eq!(send(shop.post("/api/coupons/C1/issue", &json!({"userId": 7}))).await.problem(), (400, "V001"));
    let order = json!({"items": [{"productId": "P1", "quantity": 1}]});
    assert_eq!(send(shop.post("/api/orders", &order)).await.problem(), (401, "A001"));
    let charge = |amount: i64| send(shop.post("/api/users/balance/charge", &json!({ "amount": amount })));
    assert_eq!(charge(0).await.problem(), (400, "V001"));
    assert_eq!(charge(1).await.problem(), (401, "A001"));
    for path in ["/api/products", "/api/coupons", "/healthz", "/readyz"] {
        assert_eq!(send(shop.get(path)).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn operators_need_the_token_or_the_role() {
    let (shop, _) = with_tokens().await;
    let ask = |token: Option<String>| {
        let request = shop.get("/api/admin/products");
        send(match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    };
    assert_eq!(ask(None).await.problem(), (401, "A001"));
    assert_eq!(ask(Some("guessed".to_owned())).await.problem(), (401, "A001"));
    assert_eq!(ask(Some(String::new())).await.problem(), (401, "A001"));
    assert_eq!(ask(Some(token(json!({})))).await.problem(), (403, "A002"));
    assert_eq!(ask(Some(token(json!({"role": "clerk"})))).await.problem(), (403, "A002"));
    assert_eq!(ask(Some(token(json!({"role": "admin", "exp": now() - 60})))).await.problem(), (401, "A001"));
    assert_eq!(ask(Some(token(json!({"role": "admin"})))).await.status, 200);
    assert_eq!(ask(Some(ADMIN_TOKEN.to_owned())).await.status, 200);

    let user = json!({"userId": "user9"});
    let create = shop.request(Method::POST, "/api/admin/users").json(&user);
    send(create.bearer_auth(token(json!({"role": "admin", "sub": "root"})))).await;
    let log = send(shop.as_admin(Method::GET, "/api/admin/audit-log")).await.body;
    assert_eq!(log["entries"][0]["actor"], "root");
}

#[tokio::test]
async fn without_an_operators_token_nothing_opens_the_desk() {
    let shop = Plan::default().env("ADMIN_TOKEN", "").open().await;
    for token in ["", ADMIN_TOKEN, "admin"] {
        let answer = send(shop.get("/api/admin/products").bearer_auth(token)).await;
        assert_eq!(answer.problem(), (401, "A001"), "{token:?}");
    }
}

#[tokio::test]
async fn a_shop_that_believes_everybody_hears_only_this_machine() {
    let shop = Shop::open().await;
    let rows = [
        ("host", "shop.example", 403),
        ("host", "127.0.0.1.shop.example:8080", 403),
        ("forwarded", "for=203.0.113.7", 403),
        ("x-forwarded-for", "203.0.113.7", 403),
        ("x-forwarded-host", "localhost", 403),
        ("via", "1.1 proxy", 403),
        ("host", "localhost:9", 202),
        ("host", "[::1]", 202),
        ("accept", "*/*", 202),
    ];
    for (i, (name, value, status)) in rows.into_iter().enumerate() {
        let claim = shop.post("/api/coupons/C1/issue", &json!({"userId": format!("user{i}")}));
        assert_eq!(send(claim.header(name, value)).await.status, status, "{name}: {value}");
    }
    let admin = shop.as_admin(Method::GET, "/api/admin/products").header("x-forwarded-for", "203.0.113.7");
    assert_eq!(send(admin).await.problem(), (403, "A002"));
}
