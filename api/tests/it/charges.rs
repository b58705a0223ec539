//! Charges at the door and at the desk. That the gateway is asked, and what becomes of it, is tested with both programs.

use lanes::Decided;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::kit::{Answer, Shop, send};
use crate::worker::{Worker, archive, receipts, yes};

const PENDING: &str = "019a3c5e-7f00-7abc-8def-0000000011c0";

async fn charge(shop: &Shop, body: Value) -> Answer {
    send(shop.post("/api/users/balance/charge", &body).header("prefer", "wait=1")).await
}

/// As a worker leaves it that could not learn what came of the charge.
pub async fn begin(pool: &PgPool, charge_id: &str, user: &str) {
    sqlx::query(
        "insert into charges (charge_id, user_id, amount, payment_method, ticket, batch_id, accepted_at, began_at, attempts,
                              last_error)
         values ($1::uuid, $2, 500, 'pm_card_visa', 1, 1, now(), now(), 1, 'timed out')",
    )
    .bind(charge_id)
    .bind(user)
    .execute(pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_charge_waits_by_itself_and_is_found_when_it_is_settled_later() {
    let shop = Shop::open().await;
    let worker = Worker::of(&shop, "charge");
    let body = json!({"userId": "user1", "amount": 500});
    let answer = tokio::spawn(send(shop.post("/api/users/balance/charge", &body)));
    worker.decide(yes).await;
    let answer = answer.await.unwrap();
    assert_eq!((answer.status, answer.header("preference-applied")), (200, ""), "{answer:?}");
    assert_eq!(answer.body["currentBalance"], 10_500);

    // Whoever wants no wait is answered at once, whatever comes of it.
    let at_once = shop.post("/api/users/balance/charge", &body).header("prefer", "wait=0");
    let (at_once, _) = tokio::join!(send(at_once), worker.decide(yes));
    assert_eq!((at_once.status, &at_once.body["status"]), (202, &"QUEUED".into()), "{at_once:?}");

    // Left open by the worker, and found in Postgres from then on.
    let waiting = charge(&shop, body).await;
    assert_eq!((waiting.status, &waiting.body["status"]), (202, &"QUEUED".into()), "{waiting:?}");
    let id = waiting.body["requestId"].as_str().unwrap().to_owned();
    let batch = worker.claim().await;
    begin(&shop.pool, &id, "user1").await;
    let watching = shop.get(&format!("/api/requests/{id}?wait=20"));
    let watching = tokio::spawn(send(watching));
    worker.lanes.ack(&batch, &Decided { outcomes: vec![vec![]], gates: vec![] }).await.unwrap();
    let processing = send(shop.get(&format!("/api/requests/{id}"))).await;
    assert_eq!((&processing.body["status"], &processing.body["ticket"]), (&"PROCESSING".into(), &1.into()));
    assert!(processing.body["position"].is_null() && processing.body["nextPollMs"].is_u64(), "{processing:?}");
    let desk = send(shop.as_admin(Method::GET, &format!("/api/admin/requests/{id}"))).await;
    assert_eq!((&desk.body["status"], &desk.body["lanes"]), (&"PROCESSING".into(), &json!(["charge:user1"])));

    // Whoever settles it tells those who wait.
    let receipts = receipts(&batch, yes);
    archive(&shop.pool, &receipts).await;
    let outcome = (receipts[0].request_id.as_uuid(), receipts[0].encode());
    worker.lanes.tell(std::slice::from_ref(&outcome)).await.unwrap();
    let settled = watching.await.unwrap();
    assert_eq!((&settled.body["status"], &settled.body["result"]["chargedAmount"]), (&"SUCCEEDED".into(), &500.into()));
}

#[tokio::test]
async fn what_is_wrong_with_a_charge_is_told() {
    let shop = Shop::open().await;
    for (body, field) in [
        (json!({"userId": "user1"}), "amount"),
        (json!({"userId": "user1", "amount": "500"}), "amount"),
        (json!({"userId": "user1", "amount": 0}), "amount"),
        (json!({"userId": "user1", "amount": 1_000_000_000_001_i64}), "amount"),
        (json!({"userId": "user1", "amount": 1, "paymentMethod": ""}), "paymentMethod"),
        (json!({"userId": "two words", "amount": 1}), "userId"),
        (json!({"amount": 1}), "userId"),
    ] {
        let refused = charge(&shop, body.clone()).await;
        assert_eq!((refused.problem(), &refused.body["errors"][0]["field"]), ((400, "V001"), &field.into()), "{body}");
    }
    assert!(Worker::of(&shop, "charge").claim_now().await.is_none(), "nothing stands in line");
}

#[tokio::test]
async fn a_pending_charge_is_shown_and_resolved() {
    let shop = Shop::open().await;
    begin(&shop.pool, PENDING, "user1").await;
    let get = async |path: &str| send(shop.as_admin(Method::GET, &format!("/api/admin/charges{path}"))).await;
    let resolve = async |id: &str, body: Value| {
        send(shop.as_admin(Method::POST, &format!("/api/admin/charges/{id}/resolve")).json(&body)).await
    };
    let pending = get("").await.body["charges"].clone();
    assert_eq!((&pending[0]["chargeId"], &pending[0]["lastError"]), (&PENDING.into(), &"timed out".into()));
    assert_eq!(get("?status=settled").await.body["charges"], json!([]));
    assert_eq!(get("?status=lost").await.problem(), (400, "V001"));

    let good = json!({"outcome": "SUCCEEDED", "note": "n"});
    for (body, field) in [
        (json!({"note": "n"}), "outcome"),
        (json!({"outcome": "PENDING", "note": "n"}), "outcome"),
        (json!({"outcome": "FAILED", "note": " "}), "note"),
        (json!({"outcome": "FAILED", "note": "x".repeat(1_001)}), "note"),
    ] {
        let refused = resolve(PENDING, body).await;
        assert_eq!((refused.problem(), &refused.body["errors"][0]["field"]), ((400, "V001"), &field.into()));
    }
    for unknown in ["019a3c5e-7f00-7abc-8def-0000000099c0", "nonsense"] {
        assert_eq!(resolve(unknown, good.clone()).await.problem(), (404, "R001"), "{unknown}");
    }
    let stranger = shop.post(&format!("/api/admin/charges/{PENDING}/resolve"), &good);
    assert_eq!(send(stranger).await.problem(), (401, "A001"));

    // No worker is there to settle it, so it is still pending when the answer comes.
    let resolved = resolve(PENDING, good).await;
    assert_eq!((resolved.status, &resolved.body["verdict"]), (200, &"SUCCEEDED".into()), "{resolved:?}");
    assert_eq!((&resolved.body["status"], &resolved.body["verdictBy"]), (&"PENDING".into(), &"admin".into()));
    assert!(resolved.body["nextAttemptAt"].is_string(), "{resolved:?}");
    let log = send(shop.as_admin(Method::GET, "/api/admin/audit-log")).await;
    assert_eq!(log.body["entries"][0]["action"], "charge.resolve");
}
