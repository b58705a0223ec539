//! What is counted by address. The tests' own machine is a proxy that the shop trusts, so they can say where they are.

use lanes::Gate;
use reqwest::Method;
use serde_json::{Value, json};
use stack::{Shutdown, wait_for_async};

use crate::auth::{demanding_tokens, token};
use crate::kit::{Answer, DEADLINE, Plan, Shop, send};
use crate::worker::{Worker, archive, yes};

/// A shop behind a proxy.
fn behind_a_proxy() -> Plan {
    demanding_tokens().env("TRUSTED_PROXIES", "127.0.0.1")
}

/// A claim of somebody at an address.
async fn claim(shop: &Shop, user: &str, address: &str) -> Answer {
    let request = shop.post("/api/coupons/C1/issue", &json!({})).header("x-forwarded-for", address);
    send(request.bearer_auth(token(json!({"sub": user})))).await
}

#[tokio::test]
async fn one_address_cannot_send_without_end() {
    let shop = behind_a_proxy().env("RATE_LIMIT_PER_ADDRESS", "3/s").open().await;
    let mut answers = Vec::new();
    for number in 0..10 {
        // A network of one household, and a name for each command.
        answers.push(claim(&shop, &format!("user{number}"), &format!("2001:db8:1:2::{number}")).await);
    }
    let (accepted, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 202);
    assert!(accepted.len() >= 3 && !refused.is_empty(), "{answers:?}");
    for answer in &refused {
        assert_eq!(answer.problem(), (429, "R003"));
        assert_eq!(answer.header("retry-after"), "1");
    }
    for (user, address) in [("user1", "2001:db8:1:3::1"), ("user2", "192.0.2.7"), ("user3", "192.0.2.8")] {
        assert_eq!(claim(&shop, user, address).await.status, 202, "{address} is another");
    }
    // What a stranger says of an address before its own counts for nothing.
    let lie = claim(&shop, "user4", "192.0.2.99, 192.0.2.9").await;
    assert_eq!(lie.status, 202, "{lie:?}");
    let series = "droplane_refused_total{group=\"coupon\",reason=\"address_rate_limited\"}";
    assert_eq!(shop.metric(series).await, refused.len() as f64);
    wait_for_async("the next one to be let in", DEADLINE, || async {
        (claim(&shop, "user5", "2001:db8:1:2::1").await.status == 202).then_some(())
    })
    .await;
}

/// A campaign of which one address gets so many.
async fn campaign(shop: &Shop, max_per_address: Value) -> Value {
    let coupon = json!({"couponId": "C1", "name": "one", "discountType": "FIXED", "discountValue": 1,
                        "totalQuantity": 1_000, "endsAt": "2099-01-01T00:00:00Z", "maxPerAddress": max_per_address});
    shop.admin_post("/api/admin/coupons", &coupon).await
}

async fn limit(shop: &Shop, max_per_address: Value) -> Answer {
    let edit = json!({"maxPerAddress": max_per_address});
    send(shop.as_admin(Method::PATCH, "/api/admin/coupons/C1").json(&edit)).await
}

#[tokio::test]
async fn one_address_gets_so_many_of_a_campaign_from_all_processes() {
    let mut shop = behind_a_proxy().open().await;
    let (_other, base) = shop.one_more_api().await;
    assert_eq!(campaign(&shop, 3.into()).await["maxPerAddress"], 3);
    let at = |base: &str, user: &str, address: &str| {
        let request = shop.http.post(format!("{base}/api/coupons/C1/issue")).json(&json!({}));
        request.header("x-forwarded-for", address).bearer_auth(token(json!({"sub": user})))
    };
    let asks = (0..12).map(|number| {
        let base = if number % 2 == 0 { &shop.base } else { &base };
        send(at(base, &format!("user{number}"), &format!("2001:db8:1:2::{number}")))
    });
    let answers = futures::future::join_all(asks).await;
    let (accepted, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 202);
    assert_eq!(accepted.len(), 3, "{answers:?}");
    for answer in &refused {
        assert_eq!(answer.problem(), (429, "R003"));
        assert_eq!(answer.body["reason"], "ADDRESS_USED_UP");
        assert!(answer.header("retry-after").parse::<u32>().unwrap() > 1, "trying again soon is vain: {answer:?}");
    }
    let words = send(at(&base, "user20", "2001:db8:1:2::20").header("accept-language", "en")).await;
    assert!(words.body["message"].as_str().unwrap().contains("one address"), "{words:?}");
    assert_eq!(claim(&shop, "user21", "192.0.2.7").await.status, 202, "another address has its own");
    let series = "droplane_refused_total{group=\"coupon\",reason=\"address_used_up\"}";
    let counted = shop.metric(series).await;
    assert!(counted >= 1.0, "{counted}");

    // The line and the count stay, whoever is started anew.
    shop.restart_api().await;
    assert_eq!(claim(&shop, "user22", "2001:db8:1:2::22").await.problem(), (429, "R003"));
    assert_eq!(claim(&shop, "user23", "192.0.2.7").await.status, 202);
    let ttl: i64 = shop.redis.command(&["TTL", "{coupon}:quota:coupon:C1:192.0.2.7"]).unwrap().parse().unwrap();
    assert!(ttl > 0, "it ends by itself");
    let waiting = Worker::of(&shop, "coupon").lanes.depth(1).await.unwrap().waiting;
    assert_eq!(waiting, 5, "who is refused never stood in line");
}

#[tokio::test]
async fn only_accepted_claims_count_and_each_once() {
    let shop = behind_a_proxy().open().await;
    campaign(&shop, 2.into()).await;
    let with_key = async |user: &str, key: &str| {
        let request = shop.post("/api/coupons/C1/issue", &json!({})).header("x-forwarded-for", "192.0.2.7");
        send(request.header("idempotency-key", key).bearer_auth(token(json!({"sub": user})))).await
    };
    let first = with_key("user1", "k").await;
    for _ in 0..3 {
        let again = with_key("user1", "k").await;
        assert_eq!((again.status, &again.body["requestId"]), (202, &first.body["requestId"]));
    }
    let malformed = shop.post("/api/coupons/C1/issue", &json!({"userId": 7})).header("x-forwarded-for", "192.0.2.7");
    assert_eq!(send(malformed.bearer_auth(token(json!({})))).await.status, 400);
    // Sold out: nobody is let in, so nothing is counted.
    let worker = Worker::of(&shop, "coupon");
    let gate = |used, limit| Gate { lane: "coupon:C1".parse().unwrap(), used, limit };
    sqlx::query("update coupons set issued_quantity = total_quantity").execute(&shop.pool).await.unwrap();
    worker.lanes.raise_gate(&gate(1_000, 1_000)).await.unwrap();
    assert_eq!(with_key("user2", "k").await.problem(), (409, "C001"));
    sqlx::query("update coupons set issued_quantity = 0").execute(&shop.pool).await.unwrap();
    worker.lanes.raise_gate(&gate(0, 2_000)).await.unwrap();
    assert_eq!(with_key("user3", "k").await.status, 202);
    assert_eq!(with_key("user4", "k").await.problem(), (429, "R003"));
    assert_eq!(with_key("user1", "k").await.status, 202, "a repeat is answered when all is used up");

    // Redis has lost a key whose command was decided: the line is asked, and the count stays.
    let digest: String = {
        let keys = shop.redis.command(&["KEYS", "{coupon}:key:*"]).unwrap();
        let first_id = first.body["requestId"].as_str().unwrap();
        let holds = |key: &&str| shop.redis.command(&["GET", key]).unwrap().starts_with(first_id);
        let key = keys.lines().find(holds).unwrap().to_owned();
        shop.redis.command(&["DEL", &key]).unwrap();
        key.trim_start_matches("{coupon}:key:").to_owned()
    };
    archive(&shop.pool, &worker.decide(yes).await).await;
    sqlx::query("update requests set idempotency_key = decode($1, 'hex'), body_hash = decode($1, 'hex') where user_id = 'user1'")
        .bind(&digest)
        .execute(&shop.pool)
        .await
        .unwrap();
    assert_eq!(with_key("user1", "k").await.status, 202);
    assert_eq!(with_key("user5", "k").await.problem(), (429, "R003"));
}

#[tokio::test]
async fn an_operator_sets_the_limit_and_takes_it_away() {
    let shop = behind_a_proxy().open().await;
    assert_eq!(campaign(&shop, Value::Null).await["maxPerAddress"], Value::Null);
    let free = [claim(&shop, "user1", "192.0.2.7").await, claim(&shop, "user2", "192.0.2.7").await];
    assert!(free.iter().all(|answer| answer.status == 202), "{free:?}");
    assert_eq!(shop.redis.command(&["EXISTS", "{coupon}:quota:coupon:C1:192.0.2.7"]).unwrap(), "0");
    for wrong in [json!(0), json!(-1), json!(1_000_001), json!("1")] {
        assert_eq!(limit(&shop, wrong.clone()).await.problem(), (400, "V001"), "{wrong}");
    }
    assert_eq!(limit(&shop, 1.into()).await.body["maxPerAddress"], 1);
    assert_eq!(claim(&shop, "user3", "192.0.2.7").await.status, 202, "it counts from now on");
    assert_eq!(claim(&shop, "user4", "192.0.2.7").await.problem(), (429, "R003"));
    assert_eq!(limit(&shop, Value::Null).await.body["maxPerAddress"], Value::Null);
    assert_eq!(claim(&shop, "user4", "192.0.2.7").await.status, 202);
    let listed = send(shop.as_admin(Method::GET, "/api/admin/coupons")).await;
    assert_eq!(listed.body["coupons"][0]["maxPerAddress"], Value::Null);
    let log = send(shop.as_admin(Method::GET, "/api/admin/audit-log?limit=2")).await;
    assert_eq!(log.body["entries"][0]["before"]["maxPerAddress"], 1, "{log:?}");
    let negative = sqlx::query("update coupons set max_per_address = 0").execute(&shop.pool).await;
    assert!(negative.is_err(), "the table refuses it, too");
}

#[tokio::test]
async fn limits_hold_with_postgres_away() {
    let mut shop = behind_a_proxy().own_postgres().open().await;
    campaign(&shop, 1.into()).await;
    shop.postgres.as_mut().unwrap().stop(Shutdown::Immediate);
    assert_eq!(claim(&shop, "user1", "192.0.2.7").await.status, 202);
    assert_eq!(claim(&shop, "user2", "192.0.2.7").await.problem(), (429, "R003"));
}
