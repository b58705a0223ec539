//! Where a request stands: asked for, waited for, listened to.

use common::{Refusal, RequestId};
use serde_json::{Value, json};
use stack::wait_for_async;
use uuid::Uuid;

use crate::kit::{DEADLINE, Shop, send};
use crate::worker::{Worker, archive, no, receipts, yes};

#[tokio::test]
async fn a_request_is_followed_to_its_end() {
    let shop = Shop::open().await;
    let worker = Worker::of(&shop, "coupon");
    let [id, _, behind] = ["user1", "user2", "user3"].map(|user| shop.claim("C1", user));
    let (id, _, behind) = (id.await, shop.claim("C1", "user2").await, behind.await);
    let document = |id: &str| send(shop.get(&format!("/api/requests/{id}")));

    let queued = document(&behind).await;
    assert_eq!((queued.status, &queued.body["status"], &queued.body["position"]), (200, &"QUEUED".into(), &2.into()));
    let batch = worker.claim().await;
    let processing = document(&id).await.body;
    assert_eq!((&processing["status"], processing.get("position")), (&"PROCESSING".into(), None));

    let receipts = receipts(&batch, |entry, command| {
        if entry.ticket == 1 { yes(entry, command) } else { no(Refusal::CouponSoldOut)(entry, command) }
    });
    worker.ack(&batch, &receipts, Vec::new()).await;
    let succeeded = document(&id).await;
    assert_eq!(succeeded.header("cache-control"), "no-store");
    let meant = json!({
        "requestId": id, "kind": "COUPON_ISSUE", "status": "SUCCEEDED", "ticket": 1,
        "acceptedAt": processing["acceptedAt"], "decidedAt": succeeded.body["decidedAt"],
        "result": {"userCouponId": id, "couponId": "C1", "expiresAt": null},
    });
    assert_eq!(succeeded.body, meant);
    let failed = document(&behind).await.body;
    assert_eq!(
        failed["error"],
        json!({
            "code": "C001", "error": "COUPON_SOLD_OUT", "message": "쿠폰이 모두 소진되었습니다."
        })
    );
    let in_english =
        send(shop.get(&format!("/api/requests/{behind}")).header("accept-language", "en-GB,ko;q=0.5")).await;
    assert_eq!(in_english.body["error"]["message"], "All of these coupons are gone.");

    // Redis forgets outcomes after minutes; Postgres tells the same.
    let from_redis = [succeeded.body, failed];
    archive(&shop.pool, &receipts).await;
    shop.redis.command(&["FLUSHALL"]).unwrap();
    for (id, meant) in [id, behind].iter().zip(from_redis) {
        let mut from_postgres = document(id).await.body;
        // Postgres keeps microseconds.
        let seconds = |document: &Value| document["decidedAt"].as_str().unwrap()[..19].to_owned();
        assert_eq!(seconds(&from_postgres), seconds(&meant));
        from_postgres["decidedAt"] = meant["decidedAt"].clone();
        assert_eq!(from_postgres, meant);
    }
}

#[tokio::test]
async fn what_was_never_asked_is_not_known() {
    let shop = Shop::open().await;
    let of_a_group = RequestId::new(Uuid::now_v7(), common::Group::ORDER).to_string();
    let of_another_spread = RequestId::new(Uuid::now_v7(), "coupon-9".parse().unwrap()).to_string();
    for id in [&of_a_group, &of_another_spread, "00000000-0000-7000-8000-000000000000", "1", "%20", "%FF"] {
        for path in [format!("/api/requests/{id}"), format!("/api/requests/{id}/events")] {
            let answer = send(shop.get(&path)).await;
            let meant = if id == "%FF" { (400, "V001") } else { (404, "R001") };
            assert_eq!(answer.problem(), meant, "{path}");
        }
    }
    let wrong_wait = send(shop.get(&format!("/api/requests/{of_a_group}?wait=soon"))).await;
    assert_eq!(wrong_wait.problem(), (400, "V001"));
}

#[tokio::test]
async fn an_outcome_wakes_those_who_wait() {
    let shop = Shop::open().await;
    let id = shop.claim("C1", "user1").await;
    let waiting: Vec<_> =
        (0..3).map(|_| tokio::spawn(send(shop.get(&format!("/api/requests/{id}?wait=30"))))).collect();
    wait_until_inside(&shop, 3).await;
    Worker::of(&shop, "coupon").decide(yes).await;
    for waiting in waiting {
        let answer = waiting.await.unwrap();
        assert_eq!((answer.status, &answer.body["status"]), (200, &"SUCCEEDED".into()));
    }
    // Who comes later need not wait.
    assert_eq!(send(shop.get(&format!("/api/requests/{id}?wait=30"))).await.body["status"], "SUCCEEDED");
}

#[tokio::test]
async fn who_waits_in_vain_gets_the_current_document() {
    let shop = Shop::open().await;
    let id = shop.claim("C1", "user1").await;
    let answer = send(shop.get(&format!("/api/requests/{id}?wait=1"))).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &"QUEUED".into()));
}

#[tokio::test]
async fn a_lost_message_is_made_up_for() {
    let shop = Shop::open().await;
    let worker = Worker::of(&shop, "coupon");
    // The listener comes back within moments, so it may be quicker than the ack; then the message was not lost.
    for round in 0..50 {
        let id = shop.claim("C1", &format!("user{round}")).await;
        let waiting = tokio::spawn(send(shop.get(&format!("/api/requests/{id}?wait=30"))));
        wait_until_inside(&shop, 1).await;
        let batch = worker.claim().await;
        let receipts = receipts(&batch, yes);
        shop.redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).unwrap();
        worker.ack(&batch, &receipts, Vec::new()).await;
        let was_lost = listeners(&shop) == 0;
        assert_eq!(waiting.await.unwrap().body["status"], "SUCCEEDED");
        if was_lost {
            return;
        }
    }
    panic!("the message was never lost, so nothing was tested");
}

#[tokio::test]
async fn events_end_with_the_final_document() {
    let shop = Shop::open().await;
    let id = shop.claim("C1", "user1").await;
    let mut stream = shop.get(&format!("/api/requests/{id}/events")).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let first = stream.chunk().await.unwrap().unwrap();
    let documents = events(&first);
    assert_eq!((documents.len(), &documents[0]["status"]), (1, &"QUEUED".into()));

    Worker::of(&shop, "coupon").decide(yes).await;
    let rest = tokio::time::timeout(DEADLINE, stream.bytes()).await.expect("the end of the stream").unwrap();
    let documents = events(&rest);
    assert_eq!(documents.len(), 1);
    assert_eq!(documents[0], send(shop.get(&format!("/api/requests/{id}"))).await.body);

    // Of a decided request there is nothing else to tell.
    let whole = shop.get(&format!("/api/requests/{id}/events")).send().await.unwrap();
    let whole = tokio::time::timeout(DEADLINE, whole.bytes()).await.expect("the end of the stream").unwrap();
    assert_eq!(events(&whole), documents);
}

/// The documents of `event: status` blocks.
pub fn events(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    let blocks = text.split_terminator("\n\n");
    let document = |block: &str| {
        let data = block.strip_prefix("event: status\ndata: ").unwrap_or_else(|| panic!("{block:?}"));
        serde_json::from_str(data).unwrap()
    };
    blocks.map(document).collect()
}

/// Waits until so many status requests are being answered: their connections have been read.
async fn wait_until_inside(shop: &Shop, waiting: usize) {
    wait_for_async("the clients to wait", DEADLINE, || async {
        let seen = shop.metric("droplane_waiters").await;
        (seen >= waiting as f64).then_some(())
    })
    .await;
}

/// How many listen for outcomes of coupons.
fn listeners(shop: &Shop) -> u32 {
    let answer = shop.redis.command(&["PUBSUB", "NUMSUB", "{coupon}:decided"]).unwrap();
    answer.lines().last().unwrap().trim().parse().unwrap()
}
