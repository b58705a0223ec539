//! Postgres.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use runtime::fault_points::Point;
use runtime::metrics::BATCH_FAULTS;
use runtime::postgres::Timeouts;
use sqlx::{AssertSqlSafe, PgConnection};
use stack::Shutdown;
use tokio::time::Instant;

use super::processes::wake_workers;
use super::{FELT_MAX, LASTS, LOOK_EVERY, Struck, felt, pause};
use crate::clock;
use crate::house::{COPIES, House, Program};

/// A session that does nothing but hold.
const HOLDING: Timeouts = Timeouts { statement: FELT_MAX, lock: FELT_MAX, idle_in_transaction: FELT_MAX };

/// More than any Postgres here lets in.
const SESSIONS_WANTED: u32 = 1_000;

/// A session that is not to be had in this time is not there.
const TAKEN_WITHIN: Duration = Duration::from_millis(200);

/// What Postgres says when it cannot write.
const NO_DISK: &str = "No space left on device";

pub(super) async fn kill(house: &House) -> Result<()> {
    house.postgres().kill9();
    away_and_back(house).await
}

pub(super) async fn end_server(house: &House) -> Result<()> {
    house.postgres().stop(Shutdown::Fast);
    away_and_back(house).await
}

async fn away_and_back(house: &House) -> Result<()> {
    let felt = house.no_longer_ready(Program::Api, 0).await;
    pause(LASTS).await;
    // After a crash it takes until the last of its processes has noticed.
    let ends = Instant::now() + FELT_MAX;
    loop {
        let started = house.postgres().start_again();
        let Err(error) = started else { return felt };
        ensure!(Instant::now() < ends, error.context("Postgres after it ended"));
        pause(LOOK_EVERY).await;
    }
}

/// Restarts it with a clock that is behind, and with the right one again. After one that was ahead, whatever it has put off
/// waits for as much longer, which no run is long enough for.
pub(super) async fn skew(house: &House) -> Result<Struck> {
    let variables = match clock::wrong(false) {
        Ok(variables) => variables,
        Err(why) => return Ok(Struck::Skipped(format!("no clock can be wrong here: {why:#}"))),
    };
    again(house, &variables)?;
    let now = sqlx::query_scalar("select clock_timestamp()").fetch_one(&house.pool).await;
    ensure!(clock::is_off(now.context("asking Postgres for the time")?), "Postgres' clock is right");
    pause(LASTS).await;
    again(house, &[])?;
    Ok(Struck::Felt)
}

fn again(house: &House, variables: &[(&'static str, String)]) -> Result<()> {
    let mut postgres = house.postgres();
    postgres.stop(Shutdown::Fast);
    postgres.set_env(variables.iter().cloned());
    postgres.start_again()
}

pub(super) async fn fill_disk(house: &House) -> Result<Struck> {
    let Some(disks) = &house.disks else {
        return Ok(Struck::Skipped("Postgres has no disk that can be filled".to_owned()));
    };
    // Postgres' own log is on the disk that is full.
    let complaints = || -> usize {
        (0..COPIES).map(|copy| house.process(Program::Workers, copy).log().matches(NO_DISK).count()).sum()
    };
    let (failed, complained) = (house.counted_by_workers(BATCH_FAULTS).await, complaints());
    disks.postgres.fill()?;
    let felt = felt("a batch to fail because Postgres finds no room", async || {
        // Who had to write for all of them may have been the first to find none.
        let found_none = || complaints() > complained || !house.postgres().is_running();
        Ok(house.counted_by_workers(BATCH_FAULTS).await > failed && found_none())
    })
    .await;
    pause(LASTS).await;
    disks.postgres.free()?;
    felt?;
    // One that could not even write its log has ended.
    let mut postgres = house.postgres();
    if !postgres.is_running() {
        postgres.start_again()?;
    }
    Ok(Struck::Felt)
}

/// Holds the rows that a statement locks, until somebody has waited for them, and for so long.
pub(super) async fn hold(house: &House, locking: &str, time: Duration) -> Result<()> {
    let mut held = runtime::postgres::begin(&house.pool, HOLDING).await.context("beginning to hold rows")?;
    let pid: i32 =
        sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *held).await.context("a session's id")?;
    sqlx::query(AssertSqlSafe(locking.to_owned())).execute(&mut *held).await.context("holding rows")?;
    let felt = felt("somebody to wait for a row", async || {
        let waits = "select exists (select from pg_stat_activity where $1 = any(pg_blocking_pids(pid)))";
        sqlx::query_scalar(waits).bind(pid).fetch_one(&house.pool).await.context("asking who waits")
    })
    .await;
    pause(time).await;
    drop(held);
    felt
}

/// Takes every session that Postgres has, those of the programs one after the other as they end, until a door finds none.
pub(super) async fn take_all_sessions(house: &House) -> Result<()> {
    let greedy = sqlx::postgres::PgPoolOptions::new()
        .max_connections(SESSIONS_WANTED)
        .acquire_timeout(TAKEN_WITHIN)
        .connect_with((*house.pool.connect_options()).clone())
        .await?;
    let mut taken = vec![greedy.acquire().await.context("taking the first session")?];
    let felt = felt("a door to find no session", async || {
        end(&mut taken[0], "true").await?;
        while let Ok(session) = greedy.acquire().await {
            taken.push(session);
        }
        Ok(!house.is_ready(Program::Api, 0).await)
    })
    .await;
    pause(LASTS).await;
    felt
}

pub(super) async fn end_sessions(house: &House) -> Result<()> {
    let mut session = house.pool.acquire().await.context("a session to end others")?;
    felt("a session to be there, and to be ended", async || Ok(end(&mut session, "true").await? > 0)).await
}

/// Ends the session of a transaction that is about to commit: the worker must try again, once.
pub(super) async fn end_session_at_commit(house: &House) -> Result<()> {
    let mut session = house.pool.acquire().await.context("a session to end another")?;
    felt("a session to end between the last statement and COMMIT", async || {
        let faults = house.counted_by_workers(BATCH_FAULTS).await;
        house.arm(Point::BeforeCommit, "STOP")?;
        felt("somebody to come to its COMMIT", async || Ok(house.was_reached(Point::BeforeCommit))).await?;
        let ended = end(&mut session, "state = 'idle in transaction'").await?;
        wake_workers(house).await?;
        if ended > 0 {
            felt("a batch to fail", async || Ok(house.counted_by_workers(BATCH_FAULTS).await > faults)).await?;
        }
        Ok(ended > 0)
    })
    .await
}

/// Ends those sessions of the programs of which this holds, and counts them.
async fn end(session: &mut PgConnection, condition: &'static str) -> Result<i64> {
    let ending = format!(
        "select count(*) from (select pg_terminate_backend(pid) from pg_stat_activity
                                where application_name like 'droplane%' and pid <> pg_backend_pid() and {condition}) as ended"
    );
    sqlx::query_scalar(AssertSqlSafe(ending)).fetch_one(session).await.context("ending sessions")
}
