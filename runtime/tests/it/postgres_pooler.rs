//! Behind a pooler that lends a session of Postgres for one transaction: another one each time, with what others left there.

use crate::SOON;
use runtime::config::DatabasePooler;
use runtime::limits::SESSION_STATEMENT_TIMEOUT_SECONDS;
use runtime::postgres::{Timeouts, alone, begin, begin_snapshot, pool, pool_behind};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};
use stack::{PgBouncer, Postgres, fresh_database, tell_skipped, wait_for_async};
use std::collections::BTreeSet;

/// Sessions of Postgres: fewer than those who want one.
const LENT: u32 = 2;

/// A PgBouncer before a database with a table, and somebody who looks on past it.
struct Scene {
    pgbouncer: PgBouncer,
    url: String,
    onlooker: PgConnection,
}

impl Scene {
    /// With so many sessions of Postgres; none where there is no PgBouncer.
    async fn new(lent: u32) -> Option<Scene> {
        if let Err(error) = PgBouncer::program() {
            tell_skipped(format!("{error:#}"));
            return None;
        }
        let direct = fresh_database();
        let mut onlooker = PgConnection::connect(&direct).await.expect("connected");
        let table = "create table shelf (id int primary key, stock int); insert into shelf values (1, 10)";
        onlooker.execute(sqlx::raw_sql(table)).await.expect("a table");
        let name: String =
            sqlx::query_scalar("select current_database()::text").fetch_one(&mut onlooker).await.expect("a name");
        let pgbouncer = PgBouncer::start(Postgres::shared(), &[], lent).expect("started");
        Some(Scene { url: pgbouncer.url(&name), pgbouncer, onlooker })
    }

    fn pool(&self, connections: u32) -> PgPool {
        pool_behind(DatabasePooler::Transaction, &self.url, connections, "scene").expect("an address")
    }

    async fn stock(&mut self) -> i32 {
        sqlx::query_scalar("select stock from shelf where id = 1").fetch_one(&mut self.onlooker).await.expect("a shelf")
    }

    /// Waits until nobody has a session of Postgres, as the pooler sees it.
    async fn wait_until_given_back(&self) {
        wait_for_async("the sessions to be given back", SOON, async || {
            let servers = self.pgbouncer.console("show servers").ok()?;
            servers.iter().flatten().all(|value| value.as_deref() != Some("active")).then_some(())
        })
        .await;
    }
}

const TAKE: &str = "update shelf set stock = stock - $1 where id = 1 returning stock";

#[tokio::test]
async fn statements_find_each_other_though_sessions_change_hands() {
    let Some(scene) = Scene::new(LENT).await else { return };
    let pools = [scene.pool(1), scene.pool(1), scene.pool(1)];
    let mut backends = vec![BTreeSet::new(); pools.len()];
    for round in 0..8_i32 {
        for (pool, backends) in pools.iter().zip(&mut backends) {
            let (pid, sum): (i32, i32) =
                sqlx::query_as("select pg_backend_pid(), $1 + 1").bind(round).fetch_one(pool).await.expect("an answer");
            assert_eq!(sum, round + 1);
            backends.insert(pid);
        }
    }
    let all: BTreeSet<i32> = backends.iter().flatten().copied().collect();
    assert!(all.len() <= LENT as usize, "{backends:?}");
    assert!(backends.iter().map(BTreeSet::len).sum::<usize>() > all.len(), "no session changed hands: {backends:?}");

    // The fault is real: two who prepare as on sessions of their own meet each other's statements.
    let Some(scene) = Scene::new(1).await else { return };
    let [one, other] = ["one", "other"].map(|name| pool(&scene.url, 1, name).expect("an address"));
    let ask = async |pool| sqlx::query_scalar::<_, i32>("select $1 + 1").bind(1).fetch_one(pool).await;
    ask(&one).await.expect("nobody has prepared anything");
    let refused = ask(&other).await.expect_err("there is such a statement");
    assert_eq!(refused.as_database_error().and_then(|error| error.code()).as_deref(), Some("42P05"), "{refused}");
}

#[tokio::test]
async fn what_changes_something_is_in_a_transaction_and_all_else_only_reads() {
    let Some(mut scene) = Scene::new(LENT).await else { return };
    let pool = scene.pool(1);
    let refused = sqlx::query(TAKE).bind(1).execute(&pool).await.expect_err("the pool itself reads");
    assert_eq!(refused.as_database_error().and_then(|error| error.code()).as_deref(), Some("25006"));

    let left: i32 = sqlx::query_scalar(TAKE).bind(1).fetch_one(alone(&pool)).await.expect("taken");
    let taken = sqlx::query(TAKE).bind(1).execute(alone(&pool)).await.expect("taken");
    assert_eq!((left, taken.rows_affected(), scene.stock().await), (9, 1, 8));
    sqlx::query("select 1 / $1").bind(0).execute(alone(&pool)).await.expect_err("division by zero");

    let mut kept = begin(&pool, Timeouts::CHANGE).await.expect("begun");
    kept.execute(sqlx::query(TAKE).bind(1)).await.expect("taken");
    kept.commit().await.expect("committed");
    let mut overlooked = begin(&pool, Timeouts::CHANGE).await.expect("begun");
    overlooked.execute(sqlx::query(TAKE).bind(1)).await.expect("taken");
    overlooked.execute("select 1 / 0").await.expect_err("division by zero");
    overlooked.commit().await.expect_err("nothing was committed");
    let mut rolled_back = begin(&pool, Timeouts::CHANGE).await.expect("begun");
    rolled_back.execute(sqlx::query(TAKE).bind(1)).await.expect("taken");
    rolled_back.rollback().await.expect("rolled back");
    let mut dropped = begin(&pool, Timeouts::CHANGE).await.expect("begun");
    dropped.execute(sqlx::query(TAKE).bind(1)).await.expect("taken");
    drop(dropped);
    let mut snapshot = begin_snapshot(&pool, Timeouts::SNAPSHOT).await.expect("begun");
    snapshot.execute(sqlx::query(TAKE).bind(1)).await.expect_err("read only");
    drop(snapshot);
    assert_eq!(scene.stock().await, 7);
    scene.wait_until_given_back().await;
    assert_eq!(pool.size(), 1, "whatever was tried, the connection is still there");
}

#[tokio::test]
async fn time_outs_hold_in_a_transaction_and_stay_with_no_session() {
    let Some(scene) = Scene::new(LENT).await else { return };
    let pool = scene.pool(1);
    let session = format!("{SESSION_STATEMENT_TIMEOUT_SECONDS}s");
    let rows = [
        ("statement_timeout", "3s", &*session, "0"),
        ("idle_in_transaction_session_timeout", "3s", &*session, "0"),
        ("lock_timeout", "1500ms", "0", "0"),
        ("transaction_read_only", "off", "on", "off"),
        ("application_name", "scene", "scene", "stranger"),
    ];
    let show = |name: &str| AssertSqlSafe(format!("show {name}"));
    let mut inside = begin(&pool, Timeouts::CHANGE).await.expect("begun");
    for (name, want, ..) in rows {
        let got: String = sqlx::query_scalar(show(name)).fetch_one(&mut *inside).await.expect("a setting");
        assert_eq!(got, want, "{name} inside");
    }
    inside.commit().await.expect("committed");
    for (name, _, want, _) in rows {
        let got: String = sqlx::query_scalar(show(name)).fetch_one(&pool).await.expect("a setting");
        assert_eq!(got, want, "{name} on the pool");
    }
    scene.wait_until_given_back().await;
    let stranger: PgConnectOptions = scene.url.parse().expect("an address");
    let stranger = stranger.extra_float_digits(None).application_name("stranger");
    let mut stranger = PgConnection::connect_with(&stranger).await.expect("connected");
    for (name, .., want) in rows {
        let row = sqlx::raw_sql(show(name)).fetch_one(&mut stranger).await.expect("a setting");
        assert_eq!(sqlx::Row::get::<String, _>(&row, 0), want, "{name} for the next one");
    }
}
