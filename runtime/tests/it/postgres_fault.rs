//! What errors of a real Postgres mean.

use crate::SOON;
use runtime::postgres::{Fault, Timeouts, begin, classify, pool, violated_unique_constraint};
use sqlx::{AssertSqlSafe, Connection, PgPool};
use stack::{Postgres, PostgresOptions, Shutdown, fresh_database, wait_for_async};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ROWS: [(&str, Fault); 28] = [
    // connection, rollback, resources, operator, system
    ("08006", Fault::Transient),
    ("08P01", Fault::Transient),
    ("40001", Fault::Transient),
    ("40P01", Fault::Transient),
    ("53100", Fault::Transient),
    ("53200", Fault::Transient),
    ("53300", Fault::Transient),
    ("57P01", Fault::Transient),
    ("57P02", Fault::Transient),
    ("57P03", Fault::Transient),
    ("57P05", Fault::Transient),
    ("58000", Fault::Transient),
    ("58030", Fault::Transient),
    ("25006", Fault::Transient),
    // time-outs
    ("57014", Fault::TimedOut),
    ("55P03", Fault::TimedOut),
    ("25P03", Fault::TimedOut),
    // values
    ("22003", Fault::Data),
    ("22021", Fault::Data),
    ("22P02", Fault::Data),
    ("23502", Fault::Data),
    ("23505", Fault::Data),
    ("23514", Fault::Data),
    // somebody must look
    ("25P02", Fault::Other),
    ("42P01", Fault::Other),
    ("42501", Fault::Other),
    ("P0001", Fault::Other),
    ("XX000", Fault::Other),
];

#[tokio::test]
async fn sqlstates() {
    let pool = pool(&fresh_database(), 1, "sqlstates").expect("an address");
    for (sqlstate, expected) in ROWS {
        let raise = format!("do $$ begin raise exception using errcode = '{sqlstate}'; end $$");
        let error = sqlx::query(AssertSqlSafe(raise)).execute(&pool).await.expect_err("raised");
        let code = error.as_database_error().and_then(|error| error.code());
        assert_eq!(code.as_deref(), Some(sqlstate));
        assert_eq!(classify(&error), expected, "{sqlstate}");
    }
}

async fn failing(pool: &PgPool, sql: &'static str) -> sqlx::Error {
    sqlx::query(sql).execute(pool).await.expect_err(sql)
}

#[tokio::test]
async fn errors_as_they_happen() {
    let pool = pool(&fresh_database(), 2, "errors").expect("an address");
    for sql in ["create table t (a int constraint t_once unique, b int check (b > 0))", "insert into t values (1, 1)"] {
        sqlx::query(sql).execute(&pool).await.expect(sql);
    }
    let check = async |sql: &'static str, expected: Fault, constraint: Option<&str>| {
        let error = failing(&pool, sql).await;
        assert_eq!(classify(&error), expected, "{sql}: {error}");
        assert_eq!(violated_unique_constraint(&error), constraint, "{sql}");
    };
    check("insert into t values (1, 1)", Fault::Data, Some("t_once")).await;
    check("insert into t values (2, 0)", Fault::Data, None).await;
    check("select 1 / 0", Fault::Data, None).await;
    check("select * from nowhere", Fault::Other, None).await;
    check("select pg_terminate_backend(pg_backend_pid())", Fault::Transient, None).await;

    let unreadable = sqlx::query_scalar::<_, i64>("select 'seven'").fetch_one(&pool).await;
    assert_eq!(classify(&unreadable.expect_err("not a number")), Fault::Data);
}

#[test]
fn an_address_that_is_none_is_refused_and_not_repeated() {
    let error = pool("postgres//shop:hunter2@db", 1, "none").expect_err("not an address");
    let shown = format!("{:?}", anyhow::Error::from(error));
    assert!(shown.contains("DATABASE_URL") && !shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn a_server_that_is_away_is_transient_and_the_pool_recovers() {
    let mut postgres = Postgres::start(PostgresOptions::default()).expect("Postgres starts");
    postgres.stop(Shutdown::Fast);
    let pool = pool(&postgres.url("postgres"), 2, "away").expect("no connection is needed yet");
    let away = begin(&pool, Timeouts::CHANGE).await.expect_err("nobody is there");
    assert_eq!(classify(&away), Fault::Transient, "{away:?}");

    postgres.start_again().expect("Postgres starts again");
    begin(&pool, Timeouts::CHANGE).await.expect("Postgres is there").commit().await.expect("committed");

    // The session in the pool is dead now, and nobody has told the pool.
    postgres.stop(Shutdown::Immediate);
    postgres.start_again().expect("Postgres starts again");
    wait_for_async("a transaction after the crash", SOON, || async {
        match begin(&pool, Timeouts::CHANGE).await {
            Ok(transaction) => transaction.rollback().await.ok(),
            Err(error) => {
                assert_eq!(classify(&error), Fault::Transient, "{error:?}");
                None
            }
        }
    })
    .await;
}

/// What Postgres 15 says to whoever comes while its disk is full: an end of the session, with no code of its own.
#[tokio::test]
async fn a_server_that_ends_a_session_with_an_internal_error_is_transient() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("postgres://shop@{}/shop?sslmode=disable", listener.local_addr().expect("its address"));
    let ending = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        let length = usize::try_from(client.read_u32().await.expect("a startup message")).expect("its length");
        client.read_exact(&mut vec![0; length - size_of::<u32>()]).await.expect("the rest of it");
        let fields = b"SFATAL\0VFATAL\0CXX000\0Mcould not write init file\0\0";
        let length = u32::try_from(size_of::<u32>() + fields.len()).expect("a short message");
        client.write_all(&[b"E", &length.to_be_bytes()[..], fields].concat()).await.expect("the client listens");
    });
    let refused = sqlx::PgConnection::connect(&url).await.expect_err("no session");
    assert!(refused.to_string().contains("init file"), "{refused}");
    assert_eq!(classify(&refused), Fault::Transient);
    ending.await.expect("it came to its end");
}
