//! A Redis that would lose accepted requests is refused at start, with a sentence that says how to mend it.

mod support;

use stack::{Launch, Redis, RedisOptions};
use support::{DEADLINE, blocking};

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_without_append_only_is_refused() {
    let database_url = blocking(stack::fresh_database).await;
    let pool = runtime::postgres::pool(&database_url, 1, "test").expect("an address");
    runtime::postgres::migrate(&pool).await.expect("the schema");
    let options = RedisOptions { append_only: false, ..RedisOptions::default() };
    let redis = blocking(move || Redis::start(options).expect("Redis starts")).await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut worker = Launch::new(env!("CARGO_BIN_EXE_workers"), folder.path().join("worker.log"))
        .only_env()
        .env("DATABASE_URL", &database_url)
        .env("REDIS_URL", redis.url())
        .env("METRICS_ADDR", "127.0.0.1:0")
        .spawn()
        .expect("the worker starts");
    let status = worker.wait(DEADLINE).expect("it ends by itself");
    assert!(!status.success(), "{}", worker.log());
    assert!(worker.log().contains("appendonly yes"), "{}", worker.log());
    assert_eq!(redis.command(&["DBSIZE"]).expect("Redis answers"), "0", "nothing was written to it");
}
