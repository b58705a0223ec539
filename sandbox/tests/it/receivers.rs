//! The order system and the alerts: what comes is kept as it came.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sandbox::{Options, Signature};
use serde_json::json;
use sha2::Sha256;

use crate::kit::Kit;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn signature(id: &str, at: u64, body: &str) -> String {
    let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap();
    let mut mac: Hmac<Sha256> = Hmac::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn orders_are_kept_and_it_is_noted_how_they_are_signed() {
    let kit = Kit::with(Options { sync_secret: SECRET.parse().unwrap(), ..Options::default() }).await;
    let body = r#"{"orderId":"order1","items":[]}"#;
    let rows = [
        (now(), Some(signature("order1", now(), body)), Signature::Good),
        (now(), Some(signature("order1", now(), "{}")), Signature::Wrong),
        (now() - 3_600, Some(signature("order1", now() - 3_600, body)), Signature::Stale),
        (now(), None, Signature::Missing),
    ];
    for (at, signature, expected) in rows {
        let mut post = kit.http.post(kit.url("/orders")).header("webhook-id", "order1").body(body);
        post = post.header("webhook-timestamp", at).header("content-type", "application/json");
        if let Some(signature) = signature {
            post = post.header("webhook-signature", signature);
        }
        assert_eq!(post.send().await.unwrap().status(), 200, "it is only noted");
        let order = kit.sandbox.arrived().orders.pop().unwrap();
        assert_eq!((order.signature, order.webhook_id.as_deref()), (expected, Some("order1")));
        assert_eq!((order.json()["orderId"].as_str(), order.answer), (Some("order1"), Some(200)));
        assert_eq!(order.headers["content-type"], "application/json");
    }
    let shown = kit.get("/arrived").await.body;
    let signatures: Vec<_> = shown["orders"].as_array().unwrap().iter().map(|order| &order["signature"]).collect();
    assert_eq!(signatures, ["good", "wrong", "stale", "missing"]);
}

#[tokio::test]
async fn without_the_secret_nothing_is_said_of_signatures() {
    let kit = Kit::start().await;
    kit.http.post(kit.url("/orders")).body("no JSON").send().await.unwrap();
    let order = kit.sandbox.arrived().orders.pop().unwrap();
    assert_eq!((order.signature, order.body.as_str()), (Signature::Unchecked, "no JSON"));
    assert!(order.json().is_null());
}

#[tokio::test]
async fn what_arrived_is_shown_and_forgotten() {
    let kit = Kit::start().await;
    for number in 0..3 {
        let alert = kit.http.post(kit.url("/alerts")).json(&json!({ "text": format!("alert {number}") }));
        assert_eq!(alert.send().await.unwrap().status(), 200);
    }
    let alerts = kit.sandbox.arrived().alerts;
    assert_eq!(
        alerts.iter().map(|alert| alert.json()["text"].clone()).collect::<Vec<_>>(),
        ["alert 0", "alert 1", "alert 2"]
    );
    let shown = kit.get("/arrived?limit=1").await.body;
    assert_eq!((shown["alerts"].as_array().unwrap().len(), &shown["totals"]["alerts"]), (1, &json!(3)));
    assert!(shown["alerts"][0]["body"].as_str().unwrap().contains("alert 2"), "the newest");
    for list in ["payments", "ledger", "orders", "mails"] {
        assert_eq!(shown[list], json!([]), "{list}");
    }
    assert_eq!(kit.http.delete(kit.url("/arrived")).send().await.unwrap().status(), 204);
    let shown = kit.get("/arrived").await.body;
    assert_eq!((&shown["alerts"], &shown["totals"]["alerts"]), (&json!([]), &json!(0)));
}
