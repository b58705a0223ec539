//! How long the disk takes to make one row durable: what no transaction can be quicker than.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sqlx::PgConnection;

use crate::load::Histogram;

/// The latency of one commit.
#[derive(Debug, Clone, Copy)]
pub struct CommitLatency {
    /// Half of all were quicker.
    pub p50: Duration,
    /// One in a hundred was slower.
    pub p99: Duration,
}

/// Commits single rows, one after the other, for so long.
///
/// # Errors
/// When Postgres fails.
pub async fn commit_latency(connection: &mut PgConnection, during: Duration) -> Result<CommitLatency> {
    sqlx::query("create table if not exists commit_latency (entry bigint generated always as identity)")
        .execute(&mut *connection)
        .await
        .context("making a table for single rows")?;
    let mut latencies = Histogram::default();
    let began = Instant::now();
    while began.elapsed() < during || latencies.is_empty() {
        let committing = Instant::now();
        sqlx::query("insert into commit_latency default values")
            .execute(&mut *connection)
            .await
            .context("committing a single row")?;
        latencies.record(committing.elapsed());
    }
    let quantile = |quantile| latencies.quantile(quantile).unwrap_or_default();
    Ok(CommitLatency { p50: quantile(0.5), p99: quantile(0.99) })
}
