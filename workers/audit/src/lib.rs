//! The audit: every promise, checked over all rows, in one snapshot.
//!
//! It believes nobody: neither the constraints of the schema, nor the counters, nor the code that wrote the rows. What
//! can be counted is counted again. It writes nothing and locks no row, so it can run beside the busiest sale.

mod checks;

use std::io;
use std::time::Duration;

use runtime::limits::SNAPSHOT_STATEMENT_TIMEOUT_SECONDS;
use runtime::postgres::{Timeouts, Transaction, begin_snapshot};
use serde::Serialize;
use sqlx::PgPool;
use tokio::time::timeout;

use crate::checks::Promise;

/// The answer to a check is waited for so long: a little longer than Postgres may work on it, in case that it was lost on a
/// connection that is dead without a word.
const ANSWER_MAX: Duration = Duration::from_secs(SNAPSHOT_STATEMENT_TIMEOUT_SECONDS + 5);

/// What the audit found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether every check holds.
    pub ok: bool,
    /// The checks.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// Rows examined.
    pub examined: i64,
    /// Violations found.
    pub violations: i64,
    /// A few of them, in words.
    pub samples: Vec<String>,
}

/// The audit could not be made. That says nothing about the promises; a broken promise is a [`Check`] that is not ok.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// There was no snapshot to look at.
    #[error("opening the snapshot for the audit")]
    Snapshot(#[source] sqlx::Error),
    /// Postgres did not answer one of the checks.
    #[error("audit check {name}, which asks whether {promise}")]
    Check {
        /// The check.
        name: &'static str,
        /// What it would have proved.
        promise: &'static str,
        /// What Postgres or the driver said.
        source: sqlx::Error,
    },
}

/// Runs the audit: all checks, one after the other, on one moment of the shop.
///
/// # Errors
/// When Postgres fails, or a check takes longer than `SNAPSHOT_STATEMENT_TIMEOUT_SECONDS`. The checks before it are
/// lost, too: half an audit proves nothing.
pub async fn audit(pool: &PgPool) -> Result<Report, AuditError> {
    let mut snapshot = begin_snapshot(pool, Timeouts::SNAPSHOT).await.map_err(AuditError::Snapshot)?;
    let mut checks = Vec::with_capacity(checks::ALL.len());
    for promise in checks::ALL {
        checks.push(check(&mut snapshot, promise).await?);
    }
    Ok(Report { ok: checks.iter().all(|check| check.ok), checks })
}

async fn check(snapshot: &mut Transaction, promise: &Promise) -> Result<Check, AuditError> {
    let Promise { name, promise, sql, bounds } = *promise;
    let question = bounds.iter().fold(sqlx::query_as(sql), |question, bound| question.bind(bound));
    let answer: Result<(i64, i64, Vec<String>), sqlx::Error> = timeout(ANSWER_MAX, question.fetch_one(&mut **snapshot))
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())));
    let (examined, violations, samples) = answer.map_err(|source| AuditError::Check { name, promise, source })?;
    Ok(Check { name, ok: violations == 0, examined, violations, samples })
}
