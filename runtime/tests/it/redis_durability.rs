//! What a real Redis says about its durability, and whether it is believed.

use redis::aio::MultiplexedConnection;
use runtime::config::QueueDurability;
use runtime::redis_durability::{Verdict, check, judge};
use stack::{Redis, RedisOptions};

async fn connect(redis: &Redis, user: &str) -> MultiplexedConnection {
    let client = redis::Client::open(format!("{}?{user}", redis.url())).expect("an address");
    client.get_multiplexed_async_connection().await.expect("connected")
}

/// `named` must stand in the refusal; none means that there is no refusal.
async fn strict(redis: &Redis, user: &str, named: &[&str]) {
    let durability = check(&mut connect(redis, user).await).await.expect("Redis answers");
    match judge(&durability, QueueDurability::Strict) {
        Verdict::Durable => assert_eq!(named, &[] as &[&str], "{durability:?}"),
        Verdict::GivesUp(sentence) => panic!("strict never gives up anything: {sentence}"),
        Verdict::Refused(sentence) => {
            assert!(!named.is_empty() && named.iter().all(|name| sentence.contains(name)), "{sentence}");
        }
    }
}

#[tokio::test]
async fn a_redis_is_believed_only_when_every_write_reaches_the_disk() {
    let redis = Redis::start(RedisOptions::default()).expect("Redis starts");
    strict(&redis, "", &[]).await;
    let check = async |name: &str, value: &str, named: &str| {
        let before = redis.command(&["config", "get", name]).expect("a setting");
        let before = before.lines().nth(1).expect("a value").to_owned();
        redis.command(&["config", "set", name, value]).expect("set");
        strict(&redis, "", &[named]).await;
        redis.command(&["config", "set", name, &before]).expect("set back");
    };
    check("appendfsync", "everysec", "appendfsync is everysec").await;
    check("maxmemory-policy", "allkeys-lru", "maxmemory-policy is allkeys-lru").await;
    check("appendonly", "no", "appendonly is no").await;
    strict(&redis, "", &[]).await;
}

#[tokio::test]
async fn what_config_does_not_tell_is_unknown_and_not_believed() {
    let redis = Redis::start(RedisOptions::default()).expect("Redis starts");
    let rules = ["acl", "setuser", "shop", "on", ">word", "~*", "&*", "+@all", "-config"];
    redis.command(&rules).expect("a user without CONFIG");
    let user = "user=shop&pass=word";
    strict(&redis, user, &["appendfsync is unknown (CONFIG GET is not permitted)"]).await;

    let durability = check(&mut connect(&redis, user).await).await.expect("INFO answers");
    assert_eq!(durability.append_only, Some(true));
    assert_eq!(durability.maxmemory_policy.as_deref(), Some("noeviction"));
    let Verdict::GivesUp(sentence) = judge(&durability, QueueDurability::Relaxed) else {
        panic!("relaxed must go on: {durability:?}");
    };
    assert!(sentence.starts_with("QUEUE_DURABILITY=relaxed: appendfsync is unknown"), "{sentence}");
}

#[tokio::test]
async fn a_redis_where_config_is_renamed_away_is_not_believed_either() {
    let extra = ["--rename-command", "CONFIG", ""].map(str::to_owned).to_vec();
    let redis = Redis::start(RedisOptions { extra, ..RedisOptions::default() }).expect("Redis starts");
    strict(&redis, "", &["appendfsync is unknown"]).await;
}
