//! Thousands who hold a stream of events open until their claim is decided.

use futures::StreamExt;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use stack::wait_for_async;

use crate::shop::{DEADLINE, Shop, answer};

const WAITERS: usize = 5_000;

/// Requests on their way at once.
const AT_ONCE: usize = 128;

/// Reads the stream to its end and gives the last document.
async fn last_document(answer: reqwest::Response) -> Value {
    let text = answer.text().await.unwrap();
    let last = text.lines().rfind(|line| line.starts_with("data:")).unwrap_or_else(|| panic!("nothing in {text:?}"));
    serde_json::from_str(last.trim_start_matches("data:").trim()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long"]
async fn five_thousand_are_told_by_events() {
    let shop = Shop::open().await;
    shop.coupon("C1", 100_000).await;
    shop.as_admin("/lanes/coupon:C1/pause", &json!({})).await;
    let claims = (0..WAITERS).map(|number| answer(shop.claim("C1", &format!("user{number}"))));
    let accepted: Vec<(u16, Value)> = futures::stream::iter(claims).buffer_unordered(AT_ONCE).collect().await;

    // A pool would keep them for each other; each stream has a connection of its own anyway.
    let client = Client::new();
    let open = accepted.iter().map(|(status, body)| {
        assert_eq!(*status, 202, "{body}");
        let id = body["requestId"].as_str().unwrap();
        client.request(Method::GET, format!("{}/api/requests/{id}/events", shop.base)).send()
    });
    let streams: Vec<_> = futures::stream::iter(open).buffer_unordered(AT_ONCE).collect().await;
    let streams: Vec<_> = streams.into_iter().map(Result::unwrap).collect();
    assert!(streams.iter().all(|answer| answer.status() == 200));
    let waiting = async || {
        let metrics = shop.http.get(format!("{}/metrics", shop.operators)).send().await.ok()?.text().await.ok()?;
        let line = metrics.lines().find_map(|line| line.strip_prefix("droplane_waiters "))?.to_owned();
        (line.parse::<f64>().ok()? >= WAITERS as f64).then_some(())
    };
    wait_for_async("all to wait", DEADLINE, waiting).await;

    shop.as_admin("/lanes/coupon:C1/resume", &json!({})).await;
    let told = futures::future::join_all(streams.into_iter().map(last_document)).await;
    assert!(told.iter().all(|document| document["status"] == "SUCCEEDED"), "somebody was not told");
}
