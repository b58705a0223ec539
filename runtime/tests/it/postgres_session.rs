//! Transactions and sessions that end, whatever happens to them.

use crate::SOON;
use runtime::limits::SESSION_STATEMENT_TIMEOUT_SECONDS;
use runtime::postgres::{BoundedPool, Fault, Timeouts, Transaction, begin, begin_snapshot, classify, pool};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};
use stack::{fresh_database, wait_for_async};
use std::future::Future;
use std::io::ErrorKind;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn timeouts(statement: Duration, lock: Duration, idle_in_transaction: Duration) -> Timeouts {
    Timeouts { statement, lock, idle_in_transaction }
}

/// One pool under test, and a session beside it that looks on.
struct Scene {
    pool: PgPool,
    onlooker: PgConnection,
}

impl Scene {
    async fn new(connections: u32) -> Scene {
        let url = fresh_database();
        let mut onlooker = PgConnection::connect(&url).await.expect("connected");
        let table = "create table shelf (id int primary key, stock int); insert into shelf values (1, 10), (2, 10)";
        onlooker.execute(sqlx::raw_sql(table)).await.expect("a table");
        Scene { pool: pool(&url, connections, "scene").expect("an address"), onlooker }
    }

    /// The states of the pool's sessions, as Postgres sees them.
    async fn sessions(&mut self) -> Vec<String> {
        sqlx::query_scalar(
            "select state from pg_stat_activity \
             where datname = current_database() and application_name = 'scene' order by state",
        )
        .fetch_all(&mut self.onlooker)
        .await
        .expect("pg_stat_activity")
    }

    async fn wait_for_sessions(&mut self, expected: &[&str]) {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            let sessions = self.sessions().await;
            if sessions == expected {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "sessions are {sessions:?}, not {expected:?}");
            tokio::task::yield_now().await;
        }
    }

    async fn stock(&mut self) -> i32 {
        let stock = sqlx::query_scalar("select stock from shelf where id = 1");
        stock.fetch_one(&mut self.onlooker).await.expect("a shelf")
    }
}

async fn setting(connection: &mut PgConnection, name: &str) -> String {
    let show = AssertSqlSafe(format!("show {name}"));
    sqlx::query_scalar(show).fetch_one(connection).await.expect("a setting")
}

async fn take_one(transaction: &mut Transaction) -> Result<(), sqlx::Error> {
    transaction.execute("update shelf set stock = stock - 1 where id = 1").await.map(drop)
}

#[tokio::test]
async fn settings_hold_for_the_transaction_and_not_beyond_it() {
    let scene = Scene::new(1).await;
    let session = format!("{SESSION_STATEMENT_TIMEOUT_SECONDS}s");
    let rows = [
        ("statement_timeout", "5s", &*session),
        ("lock_timeout", "2500ms", "0"),
        ("idle_in_transaction_session_timeout", "5s", &*session),
        ("plan_cache_mode", "force_custom_plan", "auto"),
        ("transaction_isolation", "read committed", "read committed"),
        ("transaction_read_only", "off", "off"),
        ("application_name", "scene", "scene"),
    ];
    let mut transaction = begin(&scene.pool, Timeouts::for_lease(Duration::from_secs(10))).await.expect("begun");
    for (name, inside, _) in rows {
        assert_eq!(setting(&mut transaction, name).await, inside, "{name} inside");
    }
    transaction.commit().await.expect("committed");
    let mut session = scene.pool.acquire().await.expect("the same session");
    for (name, _, after) in rows {
        assert_eq!(setting(&mut session, name).await, after, "{name} after");
    }
}

#[tokio::test]
async fn a_timeout_below_a_millisecond_is_not_switched_off() {
    let scene = Scene::new(1).await;
    let tiny = timeouts(Duration::from_secs(1), Duration::from_nanos(1), Duration::from_secs(1));
    let mut transaction = begin(&scene.pool, tiny).await.expect("begun");
    assert_eq!(setting(&mut transaction, "lock_timeout").await, "1ms");
}

#[tokio::test]
async fn a_snapshot_sees_one_moment_and_writes_nothing() {
    let mut scene = Scene::new(1).await;
    let mut snapshot = begin_snapshot(&scene.pool, Timeouts::SNAPSHOT).await.expect("begun");
    let look = "select sum(stock) from shelf";
    let before: i64 = sqlx::query_scalar(look).fetch_one(&mut *snapshot).await.expect("a sum");
    scene.onlooker.execute("update shelf set stock = 0").await.expect("sold out");
    let after: i64 = sqlx::query_scalar(look).fetch_one(&mut *snapshot).await.expect("a sum");
    assert_eq!((before, after), (20, 20));
    take_one(&mut snapshot).await.expect_err("read only");
}

#[tokio::test]
async fn each_timeout_ends_what_it_is_for() {
    let mut scene = Scene::new(2).await;
    let short = Duration::from_millis(100);

    let mut slow = begin(&scene.pool, timeouts(short, short, LONG)).await.expect("begun");
    let error = slow.execute("select pg_sleep(60)").await.expect_err("canceled");
    assert_eq!(classify(&error), Fault::TimedOut, "{error}");
    drop(slow);

    let mut holder = begin(&scene.pool, timeouts(LONG, LONG, LONG)).await.expect("begun");
    take_one(&mut holder).await.expect("nobody holds the row");
    let mut waiting = begin(&scene.pool, timeouts(LONG, short, LONG)).await.expect("begun");
    let error = take_one(&mut waiting).await.expect_err("the row is held");
    assert_eq!(error.as_database_error().and_then(|error| error.code()).as_deref(), Some("55P03"));
    assert_eq!(classify(&error), Fault::TimedOut);
    drop((holder, waiting));
    scene.wait_for_sessions(&["idle", "idle"]).await;

    // As a worker that is stopped while it holds a row: its session goes, the row is free, its commit fails.
    let mut stopped = begin(&scene.pool, timeouts(LONG, LONG, short)).await.expect("begun");
    take_one(&mut stopped).await.expect("nobody holds the row");
    scene.wait_for_sessions(&["idle"]).await;
    let mut next = begin(&scene.pool, timeouts(LONG, short, LONG)).await.expect("begun");
    take_one(&mut next).await.expect("the row is free");
    next.commit().await.expect("committed");
    let error = stopped.commit().await.expect_err("the session is gone");
    assert!(matches!(classify(&error), Fault::TimedOut | Fault::Transient), "{error:?}");
    assert_eq!(scene.stock().await, 9);
}

#[tokio::test]
async fn only_a_commit_changes_anything() {
    let mut scene = Scene::new(1).await;
    let begun = async |scene: &Scene| {
        let mut transaction = begin(&scene.pool, Timeouts::CHANGE).await.expect("begun");
        take_one(&mut transaction).await.expect("taken");
        transaction
    };
    drop(begun(&scene).await);
    scene.wait_for_sessions(&["idle"]).await;
    assert_eq!(scene.stock().await, 10);

    begun(&scene).await.rollback().await.expect("rolled back");
    assert_eq!(scene.stock().await, 10);

    begun(&scene).await.commit().await.expect("committed");
    assert_eq!(scene.stock().await, 9);
}

#[tokio::test]
async fn a_commit_after_an_overlooked_error_is_no_success() {
    let mut scene = Scene::new(1).await;
    let mut transaction = begin(&scene.pool, Timeouts::CHANGE).await.expect("begun");
    take_one(&mut transaction).await.expect("taken");
    transaction.execute("select 1 / 0").await.expect_err("division by zero");
    let error = transaction.commit().await.expect_err("nothing was committed");
    assert_eq!(error.as_database_error().and_then(|error| error.code()).as_deref(), Some("25P02"));
    assert_eq!(scene.stock().await, 10);
    scene.wait_for_sessions(&["idle"]).await;
}

/// Waits until the only session is back in the pool.
async fn resting(pool: &PgPool) {
    wait_for_async("the session to be back", SOON, || async { (pool.num_idle() == 1).then_some(()) }).await;
}

fn signal(signal: Signal, pid: i32) {
    let pid = Pid::from_raw(pid).expect("a backend has a process id");
    kill_process(pid, signal).expect("the backend is there");
}

async fn backend(connection: &mut PgConnection) -> i32 {
    sqlx::query_scalar("select pg_backend_pid()").fetch_one(connection).await.expect("a pid")
}

/// Starts `opening`, waits until the server has begun the transaction, and gives up before its answer is read.
async fn give_up_midway<T>(scene: &mut Scene, opening: impl Future<Output = T>) {
    let pid = backend(&mut scene.pool.acquire().await.expect("the only session")).await;
    resting(&scene.pool).await;
    let mut opening = pin!(opening);
    // Frozen, the server cannot answer before the one look that is taken.
    signal(Signal::STOP, pid);
    let begun = opening.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    signal(Signal::CONT, pid);
    assert!(begun.is_pending(), "a frozen server answered");
    scene.wait_for_sessions(&["idle in transaction"]).await;
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "shows what is wrong with the other way")]
async fn a_begin_that_is_given_up_leaves_no_transaction_behind() {
    let mut scene = Scene::new(1).await;
    let pool = scene.pool.clone();
    give_up_midway(&mut scene, begin(&pool, Timeouts::CHANGE)).await;
    resting(&pool).await;
    scene.wait_for_sessions(&["idle"]).await;

    // The fault is real: sqlx's own transaction does leave one. When this fails, ours is needed no longer.
    give_up_midway(&mut scene, pool.begin_with("begin")).await;
    resting(&pool).await;
    assert_eq!(scene.sessions().await, ["idle in transaction"]);
}

/// A network that swallows everything looks like a server that is frozen: no answer, and no error either.
#[tokio::test]
async fn a_session_without_answers_does_not_keep_its_place_in_the_pool() {
    let scene = Scene::new(1).await;
    let patience = Duration::from_millis(300);
    let brief = timeouts(patience, patience, LONG);
    let mut frozen = Vec::new();

    // While it is open.
    let mut transaction = begin(&scene.pool, Timeouts::CHANGE).await.expect("begun");
    frozen.push(backend(&mut transaction).await);
    signal(Signal::STOP, frozen[0]);
    tokio::time::timeout(patience, take_one(&mut transaction)).await.expect_err("no answer");
    drop(transaction);

    // While it begins.
    let mut session = scene.pool.acquire().await.expect("a new session in the same place");
    frozen.push(backend(&mut session).await);
    drop(session);
    resting(&scene.pool).await;
    signal(Signal::STOP, frozen[1]);
    let error = begin(&scene.pool, brief).await.expect_err("no answer");
    assert_eq!(classify(&error), Fault::Transient, "{error:?}");

    // While a statement without a transaction runs.
    let mut session = scene.pool.acquire().await.expect("a new session in the same place");
    frozen.push(backend(&mut session).await);
    signal(Signal::STOP, frozen[2]);
    tokio::time::timeout(patience, session.execute("select 1")).await.expect_err("no answer");
    drop(session);

    begin(&scene.pool, brief).await.expect("a new session in the same place").commit().await.expect("committed");
    for pid in frozen {
        signal(Signal::CONT, pid);
    }
}

#[tokio::test]
async fn a_read_without_an_answer_ends_and_its_session_is_not_used_again() {
    let scene = Scene::new(1).await;
    let reads = BoundedPool::from(scene.pool.clone());
    let frozen = backend(&mut scene.pool.acquire().await.expect("the only session")).await;
    resting(&scene.pool).await;
    signal(Signal::STOP, frozen);
    let error = sqlx::query("select 1").fetch_one(&reads).await.expect_err("no answer");
    assert_eq!(classify(&error), Fault::Transient);
    assert!(matches!(&error, sqlx::Error::Io(error) if error.kind() == ErrorKind::TimedOut), "{error:?}");
    let next: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&reads).await.expect("a new session");
    assert_ne!(next, frozen);
    signal(Signal::CONT, frozen);
}

#[test]
fn a_lease_gives_at_most_half_of_itself() {
    let ms = Duration::from_millis;
    let check = |lease: Duration, statement: Duration, lock: Duration| {
        assert_eq!(Timeouts::for_lease(lease), timeouts(statement, lock, statement), "{lease:?}");
    };
    check(ms(1_000), ms(500), ms(250));
    check(ms(10_000), ms(5_000), ms(2_500));
    check(ms(60_000), ms(30_000), ms(15_000));
}

#[tokio::test]
async fn only_an_address_of_postgres_is_taken() {
    let rows = [
        ("postgres://shop@127.0.0.1/shop", true),
        ("postgresql://shop@127.0.0.1/shop", true),
        ("POSTGRES://shop@127.0.0.1/shop", true),
        ("postgres:///shop?host=/var/run/postgresql", true),
        ("mysql://shop@127.0.0.1/shop", false),
        ("postgres", false),
        ("postgres:shop", false),
        ("http://postgres://shop", false),
        ("쿠폰쿠폰://shop", false),
        ("", false),
    ];
    for (url, meant) in rows {
        assert_eq!(pool(url, 1, "scene").is_ok(), meant, "{url:?}");
    }
}
