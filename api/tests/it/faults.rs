//! Redis or Postgres away: never a 202 that does not hold, and everything else says so.

use reqwest::Method;
use serde_json::json;
use stack::{Postgres, PostgresOptions, Redis, RedisOptions, Shutdown, wait_for_async};

use crate::kit::{Answer, DEADLINE, Plan, Shop, send};
use crate::worker::Worker;

async fn claim(shop: &Shop, user: &str) -> Answer {
    let claim = shop.post("/api/coupons/C1/issue", &json!({"userId": user}));
    send(claim.header("idempotency-key", "k1").header("prefer", "wait=1")).await
}

#[tokio::test]
async fn without_redis_nothing_is_accepted() {
    let mut shop = Shop::open().await;
    let id = shop.claim("C1", "user1").await;
    shop.redis.stop();
    let refused = claim(&shop, "user2").await;
    assert_eq!(refused.problem(), (503, "R005"));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(send(shop.get(&format!("/api/requests/{id}"))).await.problem(), (503, "R005"));
    assert_eq!(send(shop.as_admin(Method::GET, "/api/admin/lanes")).await.problem(), (503, "R005"));
    assert_eq!(shop.wait_until_not_ready().await.body["checks"][1]["ok"], false);
    assert_eq!(send(shop.get("/healthz")).await.status, 200);

    shop.redis.start_again().unwrap();
    shop.wait_until_ready().await;
    assert_eq!(send(shop.get(&format!("/api/requests/{id}"))).await.body["status"], "QUEUED");
    assert_eq!(claim(&shop, "user2").await.status, 202);
}

#[tokio::test]
async fn an_append_that_may_have_happened_names_its_request() {
    let mut shop = Shop::open().await;
    shop.claim("C0", "user1").await;
    shop.redis.sigstop();
    let unsure = claim(&shop, "user1").await;
    shop.redis.sigcont();
    assert_eq!(unsure.problem(), (503, "R005"));
    assert!(unsure.body["requestId"].is_string(), "{unsure:?}");
    // With the same key a repeat is safe, whatever happened.
    let again = wait_for_async("an answer", DEADLINE, || async {
        let answer = claim(&shop, "user1").await;
        (answer.status != 503).then_some(answer)
    })
    .await;
    assert_eq!(again.status, 202);
    wait_for_async("both claims", DEADLINE, || async {
        let depth = Worker::of(&shop, "coupon").lanes.depth(5).await.unwrap();
        assert!(depth.waiting <= 2, "one effect: {depth:?}");
        (depth.waiting == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_append_that_cannot_have_happened_names_none() {
    let mut shop = Shop::open().await;
    shop.redis.stop();
    // The first one may still meet the connection that just broke.
    claim(&shop, "user1").await;
    let refused = claim(&shop, "user1").await;
    assert_eq!(refused.problem(), (503, "R005"));
    assert_eq!(refused.body.get("requestId"), None, "{refused:?}");
}

#[tokio::test]
async fn a_full_redis_refuses() {
    let redis = RedisOptions { extra: vec!["--maxmemory".to_owned(), "1mb".to_owned()], ..RedisOptions::default() };
    let shop = Plan { redis, ..Plan::default() }.open().await;
    shop.redis.command(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let refused = claim(&shop, "user1").await;
    assert_eq!(refused.problem(), (503, "R005"));
    assert_eq!(refused.body.get("requestId"), None, "{refused:?}");
    shop.redis.command(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    assert_eq!(claim(&shop, "user1").await.status, 202);
}

#[tokio::test]
async fn without_postgres_the_line_goes_on_and_reads_say_so() {
    let mut shop = Plan::default().own_postgres().open().await;
    shop.postgres.as_mut().unwrap().stop(Shutdown::Immediate);
    let id = shop.claim("C1", "user1").await;
    assert_eq!(send(shop.get(&format!("/api/requests/{id}"))).await.body["status"], "QUEUED");
    let unknown = common::RequestId::new(uuid::Uuid::now_v7(), common::Group::ORDER);
    let reads =
        ["/api/products", "/api/coupons", "/api/users/balance?userId=user1", &format!("/api/requests/{unknown}")];
    for path in reads {
        let answer = send(shop.get(path)).await;
        assert_eq!(answer.problem(), (503, "R005"), "{path}");
        assert_eq!(answer.header("retry-after"), "1", "{path}");
    }
    assert_eq!(shop.wait_until_not_ready().await.body["checks"][0]["ok"], false);
    shop.postgres.as_mut().unwrap().start_again().unwrap();
    shop.wait_until_ready().await;
    assert_eq!(send(shop.get("/api/products")).await.status, 200);
}

#[tokio::test]
async fn it_starts_without_postgres_and_catches_up() {
    let mut away = Postgres::start(PostgresOptions::default()).unwrap();
    away.stop(Shutdown::Fast);
    let mut shop = Plan::default().env("DATABASE_URL", away.url("postgres")).start();
    shop.wait_for_log("the lines cannot be opened yet");
    // Only Postgres knows which tickets were given, and this Redis has not heard of it yet.
    assert_eq!(claim(&shop, "user1").await.problem(), (503, "R005"));
    assert!(shop.api.is_running());
    away.start_again().unwrap();
    shop.wait_until_ready().await;
    assert_eq!(claim(&shop, "user1").await.status, 202);
}

#[tokio::test]
async fn it_starts_without_redis_and_catches_up() {
    let mut away = Redis::start(RedisOptions::default()).unwrap();
    away.stop();
    let mut shop = Plan::default().env("REDIS_URL", away.url()).start();
    shop.wait_for_log("Redis cannot be asked about its durability");
    assert_eq!(claim(&shop, "user1").await.problem(), (503, "R005"));
    assert!(shop.api.is_running());
    away.start_again().unwrap();
    shop.wait_until_ready().await;
    assert_eq!(claim(&shop, "user1").await.status, 202);
}

#[tokio::test]
async fn a_redis_that_may_forget_is_refused_at_the_start() {
    let forgetful = || RedisOptions { append_only: false, ..RedisOptions::default() };
    let mut shop = Plan { redis: forgetful(), ..Plan::default() }.start();
    assert!(!shop.wait_for_exit().success());
    let log = shop.api.log();
    assert!(log.contains("appendonly is no") && log.contains("QUEUE_DURABILITY=relaxed"), "{log}");

    let plan = Plan { redis: forgetful(), ..Plan::default() }.env("QUEUE_DURABILITY", "relaxed");
    let shop = plan.open().await;
    let ready = send(shop.get("/readyz")).await;
    assert!(ready.body["checks"][1]["detail"].as_str().unwrap().contains("loses"), "{ready:?}");
    assert_eq!(claim(&shop, "user1").await.status, 202);
}

#[tokio::test]
async fn a_redis_that_begins_to_forget_gets_nothing_more() {
    let shop = Shop::open().await;
    shop.redis.command(&["CONFIG", "SET", "appendfsync", "everysec"]).unwrap();
    // It is looked at whenever it was away.
    shop.redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).unwrap();
    let refused = wait_for_async("a refusal", DEADLINE, || async {
        let answer = claim(&shop, "user1").await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert_eq!(refused.problem(), (503, "R005"));
    shop.redis.command(&["CONFIG", "SET", "appendfsync", "always"]).unwrap();
    shop.wait_until_ready().await;
    assert_eq!(claim(&shop, "user1").await.status, 202);
}
