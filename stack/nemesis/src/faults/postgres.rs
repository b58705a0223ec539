//! Postgres.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use runtime::postgres::Timeouts;
use sqlx::AssertSqlSafe;
use stack::Shutdown;

use super::{FELT_MAX, LASTS, Struck, felt, pause};
use crate::house::House;

/// A session that does nothing but hold.
const HOLDING: Timeouts = Timeouts { statement: FELT_MAX, lock: FELT_MAX, idle_in_transaction: FELT_MAX };

/// More than any Postgres here lets in.
const SESSIONS_WANTED: u32 = 1_000;

/// What Postgres says in its log when it cannot write.
const NO_DISK: &str = "No space left on device";

pub(super) async fn kill(house: &House) -> Result<()> {
    house.postgres().stop(Shutdown::Immediate);
    pause(LASTS).await;
    house.postgres().start_again()
}

pub(super) async fn fill_disk(house: &House) -> Result<Struck> {
    let Some(disks) = &house.disks else {
        return Ok(Struck::Skipped("Postgres has no disk that can be filled".to_owned()));
    };
    let complaints = || house.postgres().log().matches(NO_DISK).count();
    let before = complaints();
    disks.postgres.fill()?;
    let felt = felt("Postgres to find no room", async || Ok(complaints() > before)).await;
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

/// Takes every session that Postgres has, after ending those of the programs, so that they find none.
pub(super) async fn take_all_sessions(house: &House) -> Result<()> {
    let greedy = sqlx::postgres::PgPoolOptions::new()
        .max_connections(SESSIONS_WANTED)
        .acquire_timeout(LASTS)
        .connect_with((*house.pool.connect_options()).clone())
        .await?;
    end_sessions(house).await?;
    let mut taken = Vec::new();
    let refused = loop {
        match greedy.acquire().await {
            Ok(session) => taken.push(session),
            Err(error) => break error,
        }
    };
    pause(LASTS).await;
    ensure!(!taken.is_empty(), "not one session could be taken: {refused}");
    Ok(())
}

pub(super) async fn end_sessions(house: &House) -> Result<()> {
    felt("a session to be there, and to be ended", async || {
        let ended: i64 = sqlx::query_scalar(
            "select count(*) from (select pg_terminate_backend(pid) from pg_stat_activity
                                    where application_name like 'droplane%' and pid <> pg_backend_pid()) as ended",
        )
        .fetch_one(&house.pool)
        .await
        .context("ending sessions")?;
        Ok(ended > 0)
    })
    .await
}
