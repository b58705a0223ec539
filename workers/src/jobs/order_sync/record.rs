//! Noting what came of attempts: many in one transaction, because a commit for each would be slower than sending. Times
//! are Postgres', as those that say what is due.

use anyhow::Context;
use runtime::config::RetryDelays;
use runtime::metrics::{self, sync_result};
use runtime::postgres::{Timeouts, Transaction, begin};
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::next_after;
use crate::clients::http::Attempt;
use crate::jobs;
use crate::jobs::alerts::{self, Alert};

/// Attempts that one transaction notes at most.
const TOGETHER_MAX: usize = 256;

/// Attempts that wait to be noted: as many as can be under way, and more before it.
const WAITING_MAX: usize = 1_024;

#[derive(Debug, Clone)]
struct Noted {
    order_id: Uuid,
    attempts_before: i32,
    attempt: Attempt,
}

/// Takes what came of attempts. A copy shares the task that writes.
#[derive(Debug, Clone)]
pub(super) struct Recorder(mpsc::Sender<(Noted, oneshot::Sender<()>)>);

impl Recorder {
    /// Starts the task that writes. It ends when the last copy is gone, and what was given to it is written.
    pub(super) fn start(pool: PgPool, delays: RetryDelays) -> Recorder {
        let (sender, mut waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(async move {
            let mut together = Vec::with_capacity(TOGETHER_MAX);
            while waiting.recv_many(&mut together, TOGETHER_MAX).await > 0 {
                let (noted, written): (Vec<Noted>, Vec<oneshot::Sender<()>>) = together.drain(..).unzip();
                if let Err(error) = jobs::noted(|| write(&pool, &noted, &delays)).await {
                    let count = noted.len();
                    tracing::error!(
                        "what came of {count} orders that were sent could not be noted; they will be sent again: {error:#}"
                    );
                }
                // Whoever does not wait for it any more need not hear of it.
                for written in written {
                    let _ = written.send(());
                }
            }
        });
        Recorder(sender)
    }

    /// Notes an attempt, and returns once it is written, or was tried for long enough.
    pub(super) async fn note(&self, order_id: Uuid, attempts_before: i32, attempt: Attempt) {
        let result = if attempt.error.is_none() { sync_result::SUCCEEDED } else { sync_result::FAILED };
        metrics::sync_attempts(result).increment(1);
        let (written, waiting) = oneshot::channel();
        // Without the task nothing can be written: the claim runs out, and the order is sent again.
        if self.0.send((Noted { order_id, attempts_before, attempt }, written)).await.is_ok() {
            let _ = waiting.await;
        }
    }
}

async fn write(pool: &PgPool, noted: &[Noted], delays: &RetryDelays) -> anyhow::Result<()> {
    let mut transaction = begin(pool, Timeouts::CHANGE).await.context("beginning")?;
    insert_attempts(&mut transaction, noted).await?;
    let (sent, failed): (Vec<&Noted>, Vec<&Noted>) = noted.iter().partition(|noted| noted.attempt.error.is_none());
    if !sent.is_empty() {
        note_success(&mut transaction, &sent).await?;
    }
    let mut raised = Vec::new();
    if !failed.is_empty() {
        for given_up in note_failures(&mut transaction, &failed, delays).await? {
            let alert = given_up.alert();
            alerts::raise(&mut transaction, &alert).await?;
            raised.push(alert);
        }
    }
    transaction.commit().await.context("committing")?;
    raised.iter().for_each(Alert::told);
    Ok(())
}

/// An attempt that raced another one after its claim had run out has the other one's number; what came first stays.
async fn insert_attempts(transaction: &mut Transaction, noted: &[Noted]) -> anyhow::Result<()> {
    let each = |noted: &Noted| {
        (noted.attempt.status.map(i32::from), i64::try_from(noted.attempt.took.as_millis()).unwrap_or(i64::MAX))
    };
    let (statuses, took): (Vec<Option<i32>>, Vec<i64>) = noted.iter().map(each).unzip();
    sqlx::query(
        "insert into sync_attempts (order_id, attempt, at, duration_ms, status, error, answer)
         select order_id, attempts_before + 1, clock_timestamp() - make_interval(secs => duration_ms / 1000.0),
                duration_ms, status, error, answer
           from unnest($1::uuid[], $2::integer[], $3::bigint[], $4::integer[], $5::text[], $6::text[])
                as noted (order_id, attempts_before, duration_ms, status, error, answer)
         on conflict do nothing",
    )
    .bind(noted.iter().map(|noted| noted.order_id).collect::<Vec<_>>())
    .bind(noted.iter().map(|noted| noted.attempts_before).collect::<Vec<_>>())
    .bind(took)
    .bind(statuses)
    .bind(noted.iter().map(|noted| noted.attempt.error.as_deref()).collect::<Vec<_>>())
    .bind(noted.iter().map(|noted| noted.attempt.answer.as_deref()).collect::<Vec<_>>())
    .execute(&mut **transaction)
    .await
    .context("inserting attempts")?;
    Ok(())
}

/// The order system has it, whoever sent it. A failure that was open is over.
async fn note_success(transaction: &mut Transaction, sent: &[&Noted]) -> anyhow::Result<()> {
    let orders: Vec<Uuid> = sent.iter().map(|noted| noted.order_id).collect();
    let resolved: Vec<Option<Uuid>> = sqlx::query_scalar(
        "update order_syncs
            set synced_at = coalesce(synced_at, clock_timestamp()),
                attempts = greatest(attempts, noted.attempts_before + 1),
                next_attempt_at = null, claimed_until = null, last_error = null,
                resolved_at = case when failed_at is not null then coalesce(resolved_at, clock_timestamp()) end
           from unnest($1::uuid[], $2::integer[]) as noted (order_id, attempts_before)
          where order_syncs.order_id = noted.order_id
         returning case when failed_at is not null then order_syncs.order_id end",
    )
    .bind(&orders)
    .bind(sent.iter().map(|noted| noted.attempts_before).collect::<Vec<_>>())
    .fetch_all(&mut **transaction)
    .await
    .context("noting what was sent")?;
    let resolved: Vec<Uuid> = resolved.into_iter().flatten().collect();
    if !resolved.is_empty() {
        alerts::resolve_orders(transaction, &resolved).await?;
    }
    Ok(())
}

/// An order whose last retry failed just now.
#[derive(sqlx::FromRow)]
struct GivenUp {
    order_id: Uuid,
    attempts: i32,
    last_error: String,
}

impl GivenUp {
    fn alert(self) -> Alert {
        Alert::sync_failed(self.order_id, self.attempts, self.last_error)
    }
}

/// Notes failures, and gives those orders that have no retry left and were not on the desk before.
async fn note_failures(
    transaction: &mut Transaction,
    failed: &[&Noted],
    delays: &RetryDelays,
) -> anyhow::Result<Vec<GivenUp>> {
    let pauses: Vec<Option<f64>> = failed
        .iter()
        .map(|noted| next_after(delays, noted.attempts_before + 1).map(|pause| pause.as_secs_f64()))
        .collect();
    sqlx::query_as(
        "with noted as (
           select * from unnest($1::uuid[], $2::integer[], $3::float8[], $4::text[])
                      as noted (order_id, attempts_before, pause, error)
         ),
         before as (
           select order_id, failed_at as failed_before from order_syncs where order_id = any($1) for update
         ),
         changed as (
           update order_syncs
              set attempts = noted.attempts_before + 1,
                  last_error = noted.error,
                  claimed_until = null,
                  -- A retry by hand is one attempt, whatever comes of it.
                  next_attempt_at = case when failed_before is null then clock_timestamp() + make_interval(secs => pause) end,
                  failed_at = case when failed_before is null and pause is null then clock_timestamp() else failed_before end
             from noted
             join before using (order_id)
            where order_syncs.order_id = noted.order_id
                  -- Not what somebody else has sent or tried meanwhile.
              and synced_at is null
              and attempts = noted.attempts_before
           returning order_syncs.order_id, attempts, last_error,
                     failed_before is null and failed_at is not null as given_up
         )
         select order_id, attempts, last_error from changed where given_up",
    )
    .bind(failed.iter().map(|noted| noted.order_id).collect::<Vec<_>>())
    .bind(failed.iter().map(|noted| noted.attempts_before).collect::<Vec<_>>())
    .bind(pauses)
    .bind(failed.iter().map(|noted| noted.attempt.error.as_deref()).collect::<Vec<_>>())
    .fetch_all(&mut **transaction)
    .await
    .context("noting failures")
}
