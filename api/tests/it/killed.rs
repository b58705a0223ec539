//! `api` killed between the append and the answer: the client knows nothing, and a repeat with its key is safe.

use std::collections::{BTreeMap, BTreeSet};

use runtime::fault_points::Point;
use serde_json::{Value, json};
use stack::{wait_for, wait_for_async};

use crate::kit::{Answer, DEADLINE, Shop, send};
use crate::worker::Worker;

/// How often `api` is killed.
const KILLS: usize = 10;
/// Clients at once.
const CLIENTS: usize = 8;

fn claim(shop: &Shop, client: &str) -> reqwest::RequestBuilder {
    let claim = shop.post("/api/coupons/C1/issue", &json!({ "userId": client }));
    claim.header("idempotency-key", format!("{client}-once"))
}

#[tokio::test]
async fn a_repeat_after_a_kill_finds_the_first_request() {
    let mut shop = Shop::open().await;
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    for round in 0..KILLS {
        shop.kill_at(Point::AfterAppend);
        let clients: Vec<String> = (0..CLIENTS).map(|client| format!("user{round}-{client}")).collect();
        let sent = futures::future::join_all(clients.iter().map(|client| claim(&shop, client).send())).await;
        wait_for("api to be killed", DEADLINE, || (!shop.api.is_running()).then_some(()));
        assert!(sent.iter().any(Result::is_err), "somebody got no answer");
        shop.restart_api().await;
        for client in clients {
            let again: Answer = send(claim(&shop, &client)).await;
            assert_eq!(again.status, 202, "{again:?}");
            let id = again.body["requestId"].clone();
            assert_eq!(send(claim(&shop, &client)).await.body["requestId"], id, "one request per key");
            known.insert(client, id);
        }
    }
    let ids: BTreeSet<String> = known.values().map(Value::to_string).collect();
    assert_eq!(ids.len(), KILLS * CLIENTS, "each client has a request of its own");
    wait_for_async("the line to hold each of them once", DEADLINE, || async {
        let depth = Worker::of(&shop, "coupon").lanes.depth(1).await.unwrap();
        (depth.waiting == (KILLS * CLIENTS) as u64).then_some(())
    })
    .await;
}
