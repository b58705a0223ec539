//! Tokens whose keys are published: fetched when they are needed, changed while the shop is open, and believed for what they
//! are.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use stack::wait_for_async;
use tokio::net::TcpListener;

use crate::auth::claims;
use crate::kit::{Answer, DEADLINE, Plan, Shop, send};

/// Two Ed25519 keys that sign nothing else: PKCS #8, and the public half as a JWK has it.
const KEYS: [(&str, &str); 2] = [
    ("MC4CAQAwBQYDK2VwBCIEICQ+r8jr0fwvoZ91L47cHL2vXbCH9a+y4V13MBlhASwx", "pOceiHdfQDR3XxphBpU5rP9YZ4h2raU4lAQrKPoUzqE"),
    ("MC4CAQAwBQYDK2VwBCIEIHqGQLFqT+p5glsWnd6VMyA4rnfZWcFXl+UkOZ9rw8Jp", "Mj4a7EPkIi4WqYOb1xmOgjE-ziVoeNkV_EI68jkjH3Y"),
];

fn published(number: usize) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": format!("key{number}"), "x": KEYS[number].1})
}

fn token(number: usize, id: &str) -> String {
    let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::EdDSA) };
    let key = EncodingKey::from_ed_der(&STANDARD.decode(KEYS[number].0).unwrap());
    encode(&header, &claims(json!({})), &key).unwrap()
}

/// What the issuer publishes, and how often it was asked.
#[derive(Default)]
pub struct Issuer {
    keys: Vec<Value>,
    is_away: bool,
    asked: usize,
}

impl Issuer {
    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked
    }
}

pub type Shared = Arc<Mutex<Issuer>>;

async fn keys(State(issuer): State<Shared>) -> (StatusCode, String) {
    let mut issuer = issuer.lock().unwrap();
    issuer.asked += 1;
    let status = if issuer.is_away { StatusCode::BAD_GATEWAY } else { StatusCode::OK };
    (status, json!({"keys": issuer.keys}).to_string())
}

pub async fn open(keys_at_first: Vec<Value>) -> (Shop, Shared) {
    let issuer: Shared = Arc::default();
    issuer.lock().unwrap().keys = keys_at_first;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let router = Router::new().route("/keys", get(keys)).with_state(Arc::clone(&issuer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let plan = Plan::default().env("AUTH_MODE", "jwt").env("JWT_JWKS_URL", url);
    (plan.env("JWT_ISSUER", "shop").env("JWT_AUDIENCE", "api").open().await, issuer)
}

async fn cart(shop: &Shop, token: &str) -> Answer {
    send(shop.get("/api/cart").bearer_auth(token)).await
}

#[tokio::test]
async fn keys_are_fetched_once_and_again_when_they_change() {
    let (shop, issuer) = open(vec![published(0)]).await;
    assert_eq!(issuer.lock().unwrap().asked, 0, "nobody has come yet");
    for _ in 0..3 {
        assert_eq!(cart(&shop, &token(0, "key0")).await.body["userId"], "user1");
    }
    assert_eq!(issuer.lock().unwrap().asked, 1);

    // A new key is found as soon as a token names it, but made-up names do not make us ask all the time.
    issuer.lock().unwrap().keys.push(published(1));
    let known = || async { (cart(&shop, &token(1, "key1")).await.status == 200).then_some(()) };
    wait_for_async("the new key to be known", DEADLINE, known).await;
    assert_eq!(cart(&shop, &token(0, "key0")).await.status, 200, "the old one is still published");
    for number in 0..20 {
        assert_eq!(cart(&shop, &token(1, &format!("made-up-{number}"))).await.problem(), (401, "A001"));
    }
    let asked = issuer.lock().unwrap().asked;
    assert!((2..=4).contains(&asked), "asked {asked} times");
}

#[tokio::test]
async fn only_what_a_published_key_has_signed_is_believed() {
    let shared = json!({"kty": "oct", "kid": "shared", "k": "c2VjcmV0IHRoYXQgaXMgbG9uZyBlbm91Z2ggZm9yIEhT"});
    let other_use = json!({"kty": "OKP", "crv": "Ed25519", "use": "enc", "kid": "sealing", "x": KEYS[1].1});
    let other_algorithm = json!({"kty": "OKP", "crv": "Ed25519", "alg": "ES256", "kid": "other", "x": KEYS[1].1});
    let (shop, _) = open(vec![published(0), shared, other_use, other_algorithm]).await;
    assert_eq!(cart(&shop, &token(0, "key0")).await.status, 200);
    let with_secret = |id: &str, secret: &[u8]| {
        let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::HS256) };
        encode(&header, &claims(json!({})), &EncodingKey::from_secret(secret)).unwrap()
    };
    let unsigned = {
        let part = |json: Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json.to_string());
        format!("{}.{}.", part(json!({"alg": "none", "kid": "key0"})), part(claims(json!({}))))
    };
    let wrong = [
        token(1, "key0"),
        token(1, "sealing"),
        token(1, "other"),
        token(0, ""),
        with_secret("shared", b"secret that is long enough for HS"),
        // The public key as if it were a shared secret.
        with_secret("key0", KEYS[0].1.as_bytes()),
        unsigned,
    ];
    for token in wrong {
        assert_eq!(cart(&shop, &token).await.problem(), (401, "A001"), "{token}");
    }
}

#[tokio::test]
async fn an_issuer_that_is_away_lets_in_whom_it_let_in_before() {
    let (shop, issuer) = open(vec![published(0)]).await;
    issuer.lock().unwrap().is_away = true;
    let unknown = cart(&shop, &token(0, "key0")).await;
    assert_eq!(unknown.problem(), (503, "R005"), "whether the token is good cannot be known");
    issuer.lock().unwrap().is_away = false;
    let back = || async { (cart(&shop, &token(0, "key0")).await.status == 200).then_some(()) };
    wait_for_async("the issuer to be asked again", DEADLINE, back).await;
    issuer.lock().unwrap().is_away = true;
    assert_eq!(cart(&shop, &token(0, "key0")).await.status, 200);
    assert_eq!(cart(&shop, &token(1, "key1")).await.problem(), (401, "A001"));
}

#[tokio::test]
async fn tokens_of_the_sandbox_are_believed() {
    let sandbox = sandbox::Sandbox::start(sandbox::Options::default()).await.unwrap();
    let keys = format!("{}/.well-known/jwks.json", sandbox.url());
    let plan = Plan::default().env("AUTH_MODE", "jwt").env("JWT_JWKS_URL", keys);
    let plan = plan.env("JWT_ISSUER", sandbox::ISSUER_DEFAULT).env("JWT_AUDIENCE", sandbox::AUDIENCE_DEFAULT);
    let shop = plan.env("ADMIN_TOKEN", "").open().await;
    let token = async |asked: Value| {
        let answer = shop.http.post(format!("{}/tokens", sandbox.url())).json(&asked).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned()
    };
    let shopper = token(json!({"userId": "user1"})).await;
    assert_eq!(cart(&shop, &shopper).await.body["userId"], "user1");
    let desk = |token: String| send(shop.get("/api/admin/products").bearer_auth(token));
    assert_eq!(desk(shopper).await.problem(), (403, "A002"));
    assert_eq!(desk(token(json!({"userId": "root", "role": "admin"})).await).await.status, 200);
}
