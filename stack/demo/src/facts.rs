//! What Postgres knows of a load: its batches, and who got what in the order of tickets.

use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// A batch, as it was committed.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Batch {
    /// Commands in it.
    pub size: i32,
    /// When a worker took it.
    pub claimed_at: DateTime<Utc>,
    /// When it was decided.
    pub decided_at: DateTime<Utc>,
}

/// The newest batch so far; what comes later has a higher number.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn newest_batch(connection: &mut PgConnection) -> Result<i64> {
    sqlx::query_scalar("select coalesce(max(batch_id), 0) from batches")
        .fetch_one(connection)
        .await
        .context("looking for the newest batch")
}

/// The batches after this one, oldest first.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn batches_after(connection: &mut PgConnection, batch_id: i64) -> Result<Vec<Batch>> {
    sqlx::query_as("select size, claimed_at, decided_at from batches where batch_id > $1 order by decided_at, batch_id")
        .bind(batch_id)
        .fetch_all(connection)
        .await
        .context("reading batches")
}

/// Commands that were committed in batches after this one.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn committed_after(connection: &mut PgConnection, batch_id: i64) -> Result<u64> {
    let count: i64 = sqlx::query_scalar("select coalesce(sum(size), 0)::bigint from batches where batch_id > $1")
        .bind(batch_id)
        .fetch_one(connection)
        .await
        .context("counting committed commands")?;
    Ok(count.unsigned_abs())
}

/// Commands that were accepted and then refused.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn refused(connection: &mut PgConnection) -> Result<u64> {
    let count: i64 = sqlx::query_scalar("select count(*) from requests where status <> 'SUCCEEDED'")
        .fetch_one(connection)
        .await
        .context("counting refused commands")?;
    Ok(count.unsigned_abs())
}

/// For each command that was alone in a batch after this one: the time from its acceptance until a worker had it.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn waits_after(connection: &mut PgConnection, batch_id: i64) -> Result<Vec<Duration>> {
    let us: Vec<i64> = sqlx::query_scalar(
        "select (extract(epoch from claimed_at - accepted_at) * 1000000)::bigint
           from requests
           join batches using (batch_id)
          where batch_id > $1 and size = 1
          order by batch_id",
    )
    .bind(batch_id)
    .fetch_all(connection)
    .await
    .context("reading how long commands waited for a worker")?;
    Ok(us.into_iter().map(|us| Duration::from_micros(us.unsigned_abs())).collect())
}

/// `SUCCEEDED` or the code of the refusal, for the first so many tickets of the batches after this one, in the order of
/// tickets. To be asked for commands of one group.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn first_outcomes(connection: &mut PgConnection, batch_id: i64, tickets: i64) -> Result<Vec<String>> {
    sqlx::query_scalar(
        "select case status when 'SUCCEEDED' then status else coalesce(outcome ->> 'code', status) end
           from requests
          where batch_id > $1
          order by ticket
          limit $2",
    )
    .bind(batch_id)
    .bind(tickets)
    .fetch_all(connection)
    .await
    .context("reading the outcomes of the first tickets")
}
