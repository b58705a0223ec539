//! The addresses mean the same to the clients that the shop uses.

use std::time::Duration;

use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions};
use stack::{Stack, fresh_database, try_wait_for_async};

#[tokio::test]
async fn sqlx_and_redis_understand_every_address() {
    let dir = tempfile::tempdir().unwrap();
    // The first folder's name means something in an address; the second one's is too long for
    // a socket, which is then elsewhere.
    for name in ["a b,\"&=%+가".to_owned(), "long".repeat(30)] {
        let stack = Stack::start(Some(dir.path().join(&name))).unwrap();
        stack.postgres.create_database("a b/c").unwrap();
        for url in [stack.postgres.url("a b/c"), stack.postgres.tcp_url("a b/c")] {
            let options: PgConnectOptions = url.parse().unwrap();
            let mut connection = options.connect().await.unwrap();
            let seen: (String, String) =
                sqlx::query_as("select current_database(), current_user").fetch_one(&mut connection).await.unwrap();
            assert_eq!(seen, ("a b/c".to_owned(), "droplane".to_owned()), "{url}");
            connection.close().await.unwrap();
        }
        for url in [stack.redis.url(), stack.redis.tcp_url()] {
            let client = redis::Client::open(url.as_str()).unwrap();
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            let count: u64 = redis::cmd("INCR").arg(&name).query_async(&mut connection).await.unwrap();
            assert!(count > 0, "{url}");
        }
        assert_eq!(stack.redis.command(&["GET", &name]).unwrap(), "2");
    }
}

#[tokio::test]
async fn a_fresh_database_is_there_at_once() {
    let options: PgConnectOptions = fresh_database().parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    sqlx::query("create table t (n int)").execute(&mut connection).await.unwrap();
}

#[tokio::test]
async fn waiting_looks_until_the_deadline_and_once_more() {
    let mut looks = 0;
    let found = try_wait_for_async("three looks", Duration::from_secs(30), || {
        looks += 1;
        std::future::ready((looks == 3).then_some("found"))
    });
    assert_eq!(found.await.unwrap(), "found");
    let never = try_wait_for_async("nothing", Duration::ZERO, || std::future::ready(None::<()>));
    let error = never.await.unwrap_err().to_string();
    assert_eq!(error, "waited 0ns in vain for nothing");
    let at_once = stack::wait_for("the last look", Duration::ZERO, || Some(1));
    assert_eq!(at_once, 1);
}
