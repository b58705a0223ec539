//! A master that Sentinels watch. Failing over it loses what its replica had not heard: that much, and nothing else.

use common::Group;
use serde_json::Value;
use stack::{Redis, RedisSentinels, wait_for, wait_for_async};

use crate::Users;
use crate::load::{Load, Wish, check_rows, check_tickets, lost_of};
use crate::shop::{DEADLINE, Shop, answer};

/// What is accepted and lost.
const LOST: usize = 40;

async fn open(redis: &RedisSentinels, users: &Users, more: &[(&str, &str)]) -> Shop {
    let [url, workers_url] = users.urls(|login| redis.url(login));
    let mut both = vec![("REDIS_URL", url.as_str()), ("REDIS_SENTINEL_MASTER", RedisSentinels::MASTER)];
    both.extend(more);
    let shop = Shop::open_told(&both, &[("REDIS_URL", &workers_url)]).await;
    shop.coupon("C1", 10_000).await;
    shop
}

/// Nothing reaches the replica any more, and nobody is decided: what is accepted now is on the master alone.
fn cut_off(redis: &mut RedisSentinels, shop: &mut Shop) {
    shop.workers.sigstop();
    // What is sent to a replica that only sleeps waits in its socket, and is there when it wakes up.
    redis.second.sigstop();
    assert_eq!(redis.first.command(&["CLIENT", "KILL", "TYPE", "replica"]).unwrap(), "1");
}

/// The master dies before its replica heard of the rest.
fn fail_over(redis: &mut RedisSentinels, shop: &mut Shop) {
    redis.first.kill9();
    redis.second.sigcont();
    redis.second_takes_over().unwrap();
    shop.workers.sigcont();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failover_loses_is_unknown_and_may_be_sent_again() {
    let users = Users::make();
    let mut redis = RedisSentinels::start(users.of_redis()).unwrap();
    let mut shop = open(&redis, &users, &[]).await;
    let load = Load::start(&shop, "early", &[Wish::Claim("C1")]);
    load.more(300).await;
    let mut all = load.stop().await;
    let lost = lost_of(&shop, &all).await;
    assert!(lost.is_empty(), "lost without a failover: {lost:?}");

    cut_off(&mut redis, &mut shop);
    let load = Load::start(&shop, "late", &[Wish::Claim("C1")]);
    load.more(LOST).await;
    let late = load.stop().await;
    fail_over(&mut redis, &mut shop);
    // Nor does anybody remember which tickets were given.
    shop.api.kill9();
    shop.api = shop.launch.spawn().unwrap();
    shop.wait_until_ready().await;

    let load = Load::start(&shop, "after", &[Wish::Claim("C1")]);
    load.more(100).await;
    let after = load.stop().await;
    let highest = late.iter().map(|one| one.ticket).max().unwrap();
    assert!(after.iter().all(|one| one.ticket > highest), "a ticket that was given went back");
    let lost = lost_of(&shop, &late).await;
    assert!(lost.len() >= LOST, "only {} were lost, so this was no failover that loses something", lost.len());
    for accepted in &lost {
        let (status, body) = shop.decided(accepted.again(&shop)).await;
        assert_eq!(status, 201, "{body}");
    }
    all.extend(after);
    check_tickets(&all, 1);
    all.extend(late);
    check_rows(&shop, &all).await;
}

/// The replica has heard of those who came, and not of what became of them.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_stays_so_after_a_failover_that_lost_it() {
    const TOLD: usize = 40;
    let users = Users::make();
    let mut redis = RedisSentinels::start(users.of_redis()).unwrap();
    let mut shop = open(&redis, &users, &[]).await;
    shop.workers.sigstop();
    let mut ids = Vec::new();
    for number in 0..TOLD {
        let (status, accepted) = answer(shop.claim("C1", &format!("user{number}"))).await;
        assert_eq!(status, 202, "{accepted}");
        ids.push(accepted["requestId"].as_str().unwrap().to_owned());
    }
    let line = format!("{{{}}}:line", Group::coupon(&"C1".parse().unwrap(), 1));
    let waiting = |server: &Redis| server.command(&["ZCARD", &line]).ok().and_then(|count| count.parse().ok());
    wait_for("the replica to hear of all", DEADLINE, || (waiting(&redis.second) == Some(TOLD)).then_some(()));

    redis.second.sigstop();
    assert_eq!(redis.first.command(&["CLIENT", "KILL", "TYPE", "replica"]).unwrap(), "1");
    shop.workers.sigcont();
    // A 503 says nothing.
    let told = async |shop: &Shop| {
        let mut told = Vec::new();
        for id in &ids {
            let said = wait_for_async("an answer", DEADLINE, async || {
                let (status, document) = shop.get(&format!("/api/requests/{id}")).await;
                (status != 503).then(|| document["status"].as_str().unwrap_or_default().to_owned())
            });
            told.push(said.await);
        }
        told
    };
    let succeeded = vec!["SUCCEEDED"; TOLD];
    wait_for_async("all to be told", DEADLINE, async || (told(&shop).await == succeeded).then_some(())).await;
    shop.workers.sigstop();
    redis.first.kill9();
    redis.second.sigcont();
    redis.second_takes_over().unwrap();
    shop.wait_until_ready().await;
    assert_eq!(waiting(&redis.second), Some(TOLD), "this server knows what became of them");
    assert_eq!(told(&shop).await, succeeded);
    shop.workers.sigcont();
    wait_for("the line to be empty", DEADLINE, || (waiting(&redis.second) == Some(0)).then_some(()));
    assert_eq!(told(&shop).await, succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acceptance_that_waits_for_a_replica_survives_a_failover() {
    let users = Users::make();
    let mut redis = RedisSentinels::start(users.of_redis()).unwrap();
    let mut shop = open(&redis, &users, &[("QUEUE_MIN_REPLICAS", "1")]).await;
    let ready =
        async |shop: &Shop| -> (u16, Value) { answer(shop.http.get(format!("{}/readyz", shop.operators))).await };
    let (status, body) = ready(&shop).await;
    assert!(status == 200 && body.to_string().contains("QUEUE_MIN_REPLICAS"), "{status} {body}");

    // As many as there are, until the replica hears nothing any more.
    shop.workers.sigstop();
    let load = Load::start(&shop, "user", &[Wish::Claim("C1")]);
    load.more(300).await;
    let before = load.refused();
    redis.second.sigstop();
    wait_for_async("somebody to wait in vain for the replica", DEADLINE, async || {
        (load.refused() > before).then_some(())
    })
    .await;
    fail_over(&mut redis, &mut shop);
    // The only server has no replica now.
    wait_for_async("the door to close", DEADLINE, async || (ready(&shop).await.0 == 503).then_some(())).await;
    let (status, refused) = answer(shop.claim("C1", "late")).await;
    assert_eq!(status, 503, "{refused}");

    redis.first.start_again().unwrap();
    wait_for_async("the door to open", DEADLINE, async || (ready(&shop).await.0 == 200).then_some(())).await;
    load.more(20).await;
    let all = load.stop().await;
    check_tickets(&all, 1);
    let lost = lost_of(&shop, &all).await;
    assert!(lost.is_empty(), "accepted and lost: {lost:?}");
    check_rows(&shop, &all).await;
}
