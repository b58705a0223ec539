//! Tokens, checked with the key that is published, as the API does.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, TokenData, Validation, decode, decode_header};
use sandbox::Options;
use serde_json::{Value, json};

use crate::kit::{Answer, Kit, answer};

async fn ask(kit: &Kit, wish: Value) -> Answer {
    answer(kit.http.post(kit.url("/tokens")).json(&wish).send().await.unwrap()).await
}

async fn check(kit: &Kit, token: &str, issuer: &str, audience: &str) -> Result<TokenData<Value>, ErrorKind> {
    let keys: JwkSet = serde_json::from_value(kit.get("/.well-known/jwks.json").await.body).unwrap();
    let header = decode_header(token).unwrap();
    let key = keys.find(&header.kid.unwrap()).expect("the key that it names is published");
    let mut rules = Validation::new(header.alg);
    rules.set_issuer(&[issuer]);
    rules.set_audience(&[audience]);
    rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    rules.leeway = 0;
    decode(token, &DecodingKey::from_jwk(key).unwrap(), &rules).map_err(|error| error.kind().clone())
}

#[tokio::test]
async fn a_token_is_checked_with_the_published_key() {
    let kit = Kit::with(Options { issuer: "us".into(), audience: "shop".into(), ..Options::default() }).await;
    let shopper = ask(&kit, json!({"userId": "user1"})).await.body["token"].as_str().unwrap().to_owned();
    let claims = check(&kit, &shopper, "us", "shop").await.unwrap().claims;
    assert_eq!((&claims["sub"], &claims["role"]), (&json!("user1"), &Value::Null));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3_600);
    assert!(check(&kit, &shopper, "others", "shop").await.is_err());

    let admin = ask(&kit, json!({"userId": "boss", "role": "admin", "ttlSeconds": 60})).await;
    let claims = check(&kit, admin.body["token"].as_str().unwrap(), "us", "shop").await.unwrap().claims;
    assert_eq!((&claims["sub"], &claims["role"]), (&json!("boss"), &json!("admin")));

    let ended = ask(&kit, json!({"userId": "user1", "ttlSeconds": -60})).await;
    let refused = check(&kit, ended.body["token"].as_str().unwrap(), "us", "shop").await;
    assert_eq!(refused.unwrap_err(), ErrorKind::ExpiredSignature);
}

#[tokio::test]
async fn each_sandbox_has_a_key_of_its_own() {
    let (one, two) = (Kit::start().await, Kit::start().await);
    let keys = |kit: &Kit| kit.http.get(kit.url("/.well-known/jwks.json")).send();
    let (one, two) = (answer(keys(&one).await.unwrap()).await.body, answer(keys(&two).await.unwrap()).await.body);
    assert_eq!((&one["keys"][0]["alg"], &one["keys"][0]["use"]), (&json!("EdDSA"), &json!("sig")));
    assert!(one["keys"][0]["d"].is_null(), "the private half stays here");
    assert_ne!(one["keys"][0]["kid"], two["keys"][0]["kid"]);
    assert_ne!(one["keys"][0]["x"], two["keys"][0]["x"]);
}

#[tokio::test]
async fn a_wish_that_cannot_be_read_is_refused() {
    let kit = Kit::start().await;
    for wish in [json!({}), json!({"userId": 1}), json!({"userId": "u", "ttlSeconds": i64::MIN}), json!({"user": "u"})]
    {
        let refused = ask(&kit, wish.clone()).await;
        assert_eq!(refused.status, 400, "{wish}");
        assert!(refused.body["error"].is_string());
    }
}
