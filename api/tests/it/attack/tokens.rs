//! Tokens that are none: at every endpoint that demands one, and those that hope that a public key is taken for a secret.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{endpoints, rsa};
use crate::auth::{SECRET, claims, now, signed, token, with_tokens};
use crate::kit::{Shop, send};
use crate::published_keys;

fn part(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

/// A token that says of itself that it needs no signature.
fn unsigned(algorithm: &str) -> String {
    format!("{}.{}.", part(&json!({"alg": algorithm, "typ": "JWT"})), part(&claims(json!({"role": "admin"}))))
}

#[tokio::test]
async fn every_endpoint_that_demands_a_token_demands_a_good_one() {
    let (shop, good) = with_tokens().await;
    let (head, signature) = (good.split('.').next().unwrap(), good.rsplit('.').next().unwrap());
    let other_payload = part(&claims(json!({"sub": "user2", "role": "admin"})));
    let admin = |changed: Value| {
        let mut changed = changed;
        changed["role"] = "admin".into();
        token(changed)
    };
    let bad = [
        ("unsigned", unsigned("none")),
        ("unsigned", unsigned("None")),
        ("unsigned", unsigned("NONE")),
        ("the signature of another payload", format!("{head}.{other_payload}.{signature}")),
        ("the signature taken away", format!("{head}.{other_payload}.")),
        ("somebody else's secret", signed(Algorithm::HS256, &SECRET.to_uppercase(), &claims(json!({"role": "admin"})))),
        ("an empty secret", signed(Algorithm::HS256, "", &claims(json!({"role": "admin"})))),
        ("another algorithm", signed(Algorithm::HS384, SECRET, &claims(json!({"role": "admin"})))),
        ("over", admin(json!({"exp": now() - 60}))),
        ("without an end", admin(json!({"exp": null}))),
        ("an end that is no number", admin(json!({"exp": "never"}))),
        ("not yet", admin(json!({"nbf": now() + 600}))),
        ("for somebody else", admin(json!({"aud": "other"}))),
        ("for nobody", admin(json!({"aud": []}))),
        ("by somebody else", admin(json!({"iss": "other"}))),
        ("of a list of issuers", admin(json!({"iss": ["other"]}))),
    ];
    let mut attacked = 0;
    for endpoint in endpoints(&shop).await.iter().filter(|endpoint| endpoint.is_secured) {
        for (what, token) in &bad {
            let answer = send(endpoint.good(&shop).bearer_auth(token)).await;
            assert_eq!(answer.problem(), (401, "A001"), "{what} at {}", endpoint.name());
            let told = answer.body.to_string();
            assert!(!told.contains("ignature") && !told.contains(token.as_str()), "why is not told: {told}");
        }
        attacked += 1;
    }
    assert!(attacked >= 30, "only {attacked} endpoints demand a token");
    assert_eq!(cart(&shop, &good).await, 200, "a good one opens");
    // A good token that came by another way than the header is none.
    for (header, value) in [("cookie", format!("token={good}; Authorization=Bearer {good}")), ("x-token", good.clone())]
    {
        assert_eq!(send(shop.get("/api/cart").header(header, value)).await.problem(), (401, "A001"), "{header}");
    }
    assert_eq!(send(shop.get(&format!("/api/cart?access_token={good}"))).await.problem(), (401, "A001"));
}

async fn cart(shop: &Shop, token: &str) -> u16 {
    send(shop.get("/api/cart").bearer_auth(token)).await.status
}

fn rsa_token(header: Header) -> String {
    let key = EncodingKey::from_rsa_der(&STANDARD.decode(rsa::PRIVATE).unwrap());
    encode(&header, &claims(json!({})), &key).unwrap()
}

fn with_id(algorithm: Algorithm) -> Header {
    Header { kid: Some("rsa".to_owned()), ..Header::new(algorithm) }
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    /// Behind the modulus stands only the exponent, 65537, as an integer.
    const EXPONENT_BYTES: usize = 5;
    const MODULUS_BYTES: usize = 256;
    let public = STANDARD.decode(rsa::PUBLIC).unwrap();
    let end = public.len() - EXPONENT_BYTES;
    let modulus = &public[end - MODULUS_BYTES..end];
    let n = URL_SAFE_NO_PAD.encode(modulus);
    // No algorithm stands beside it, so it is only the kind of key that speaks against a shared secret.
    let key = json!({"kty": "RSA", "use": "sig", "kid": "rsa", "n": n, "e": "AQAB"});
    let (shop, _) = published_keys::open(vec![key.clone()]).await;
    assert_eq!(cart(&shop, &rsa_token(with_id(Algorithm::RS256))).await, 200, "the key itself is good");

    let lines = |wide: usize| {
        let text = rsa::PUBLIC.as_bytes().chunks(wide).map(|line| std::str::from_utf8(line).unwrap());
        text.collect::<Vec<_>>().join("\n")
    };
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines(64));
    let (ended, published) = (format!("{pem}\n"), key.to_string());
    let secrets: [&[u8]; 7] =
        [pem.as_bytes(), ended.as_bytes(), &public, modulus, n.as_bytes(), published.as_bytes(), b""];
    for secret in secrets {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let token = encode(&with_id(algorithm), &claims(json!({})), &EncodingKey::from_secret(secret)).unwrap();
            assert_eq!(cart(&shop, &token).await, 401, "{algorithm:?} {}", String::from_utf8_lossy(secret));
        }
    }
    assert_eq!(cart(&shop, &rsa_token(with_id(Algorithm::RS256))).await, 200, "it still is");
}

#[tokio::test]
async fn a_token_does_not_say_where_its_key_is() {
    let (shop, issuer) =
        published_keys::open(vec![json!({"kty": "RSA", "kid": "other", "n": "AQAB", "e": "AQAB"})]).await;
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", trap.local_addr().unwrap());
    let header = || with_id(Algorithm::RS256);
    let headers = [
        Header { jku: Some(url.clone()), ..header() },
        Header { x5u: Some(url.clone()), ..header() },
        Header { kid: Some(url.clone()), ..header() },
        Header { kid: Some("../../../../dev/null".to_owned()), ..header() },
        Header { kid: Some("' or '1'='1".to_owned()), ..header() },
        Header { kid: Some("x".repeat(4_096)), ..header() },
    ];
    for header in headers {
        let shown = format!("{header:?}");
        let answer = cart(&shop, &rsa_token(header)).await;
        assert_eq!(answer, 401, "{shown}");
    }
    assert!(issuer.lock().unwrap().asked() > 0, "the issuer of the configuration was asked");
    // Whoever had called would stand in the queue of the socket.
    let called = futures::FutureExt::now_or_never(trap.accept());
    assert!(called.is_none(), "somebody followed the token's word: {called:?}");
}
