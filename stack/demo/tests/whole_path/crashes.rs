//! `api` killed between append and answer, and a Redis that loses everything.

use std::collections::BTreeMap;

use common::{ClaimCoupon, Command, RequestId};
use runtime::fault_points::Point;
use serde_json::{Value, json};
use stack::wait_for;

use crate::model;
use crate::shop::{DEADLINE, Shop, answer};

/// How often `api` is killed.
const KILLS: usize = 10;
/// Clients at once.
const CLIENTS: usize = 8;
/// Fewer coupons than clients, so that the order of arrival shows.
const COUPONS: i64 = 50;

impl Shop {
    async fn document(&self, id: &str) -> (u16, Value) {
        self.get(&format!("/api/requests/{id}")).await
    }

    /// The outcomes of all that was accepted are the model's, every promise was kept, and nothing is left in line.
    async fn check(&self, before: &model::Before, accepted: &BTreeMap<RequestId, Command>) {
        model::check(&self.pool, before, accepted).await;
        let report = audit::audit(&self.pool).await.unwrap();
        assert!(report.ok, "{report:#?}");
        let left = || self.redis.command(&["EXISTS", "{coupon}:line", "{coupon}:leases", "{coupon}:records"]).unwrap();
        wait_for("the line to be empty", DEADLINE, || (left() == "0").then_some(()));
    }
}

fn command(user: &str, coupon: &str) -> Command {
    Command::ClaimCoupon(ClaimCoupon { user_id: user.parse().unwrap(), coupon_id: coupon.parse().unwrap() })
}

fn id_of(document: &Value) -> &str {
    document["requestId"].as_str().unwrap_or_else(|| panic!("no request in {document}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn api_killed_between_append_and_answer() {
    let mut shop = Shop::open().await;
    shop.coupon("C1", COUPONS).await;
    let mut accepted = BTreeMap::new();
    for round in 0..KILLS {
        let (half, armed) = (shop.folder.path().join("arming"), shop.folder.path().join(Point::AfterAppend.as_str()));
        std::fs::write(&half, "KILL").unwrap();
        std::fs::rename(half, armed).unwrap();
        let users: Vec<String> = (0..CLIENTS).map(|client| format!("user{round}-{client}")).collect();
        let claim =
            |shop: &Shop, user: &String| shop.claim("C1", user).header("idempotency-key", format!("{user}-once"));
        let sent = futures::future::join_all(users.iter().map(|user| claim(&shop, user).send())).await;
        wait_for("api to be killed", DEADLINE, || (!shop.api.is_running()).then_some(()));
        assert!(sent.iter().any(Result::is_err), "somebody got no answer");
        shop.api = shop.launch.spawn().unwrap();
        shop.wait_until_ready().await;
        for user in users {
            let (status, document) = answer(claim(&shop, &user)).await;
            // Once the coupon is gone, a claim that never came to the line is told so before it.
            if status == 409 {
                continue;
            }
            assert_eq!(status, 202, "{document}");
            let again = answer(claim(&shop, &user)).await.1;
            assert_eq!(id_of(&again), id_of(&document), "one request per key");
            let id = id_of(&document).parse().unwrap();
            accepted.insert(RequestId::from_uuid(id), command(&user, "C1"));
        }
    }
    for id in accepted.keys() {
        let (status, document) = shop.get(&format!("/api/requests/{id}?wait=30")).await;
        assert!(status == 200 && document["decidedAt"].is_string(), "{document}");
    }
    let winners: i64 = sqlx::query_scalar("select count(*) from user_coupons").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(winners, COUPONS, "all are gone");
    let before = model::Before { coupons: [("C1".to_owned(), COUPONS)].into(), ..model::Before::default() };
    shop.check(&before, &accepted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_lost_everything() {
    let shop = Shop::open().await;
    shop.coupon("RARE", 1).await;
    shop.coupon("HELD", 10).await;
    let first = || shop.claim("RARE", "winner").header("idempotency-key", "mine");
    let (status, won) = shop.decided(first()).await;
    assert_eq!(status, 201, "{won}");
    shop.as_admin("/lanes/coupon:HELD/pause", &json!({})).await;
    let waiting = || shop.claim("HELD", "patient").header("idempotency-key", "later");
    let (status, document) = answer(waiting()).await;
    assert_eq!((status, &document["status"]), (202, &"QUEUED".into()));
    let winner: String =
        sqlx::query_scalar("select request_id::text from requests").fetch_one(&shop.pool).await.unwrap();
    let known = shop.document(&winner).await;
    assert_eq!((known.0, &known.1["status"]), (200, &"SUCCEEDED".into()));

    shop.redis.command(&["FLUSHALL"]).unwrap();

    assert_eq!(shop.document(&winner).await, known, "what was decided stays known and unchanged");
    let (status, lost) = shop.document(id_of(&document)).await;
    assert_eq!((status, &lost["code"]), (404, &"R001".into()), "what was waiting is unknown");

    // The next claim is decided, which closes the gate again: the winner's key is known to Postgres alone.
    let (status, refused) = shop.decided(shop.claim("RARE", "late")).await;
    assert_eq!((status, &refused["code"]), (409, &"C001".into()));
    assert_eq!(shop.decided(first()).await, (201, won), "the same key, the same outcome");
    let (status, refused) = shop.decided(shop.claim("RARE", "winner")).await;
    assert_eq!((status, &refused["code"]), (409, &"C004".into()), "without the key it is another request");

    // Still paused, because Postgres remembers; decided once, whichever request brings it.
    let (status, again) = answer(waiting()).await;
    assert_eq!((status, &again["status"]), (202, &"QUEUED".into()));
    assert_ne!(id_of(&again), id_of(&document));
    let tickets = [&document, &again].map(|document| document["ticket"].as_u64().unwrap());
    assert!(tickets[0] < tickets[1], "tickets went back: {tickets:?}");
    shop.as_admin("/lanes/coupon:HELD/resume", &json!({})).await;
    assert_eq!(shop.decided(waiting()).await.0, 201);
    let held: Vec<(String, String)> =
        sqlx::query_as("select coupon_id, user_id from user_coupons order by 1").fetch_all(&shop.pool).await.unwrap();
    let meant = [("HELD", "patient"), ("RARE", "winner")].map(|(coupon, user)| (coupon.to_owned(), user.to_owned()));
    assert_eq!(held, meant);
    assert!(audit::audit(&shop.pool).await.unwrap().ok);
}
