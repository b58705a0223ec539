//! The record: a row for the batch, and the outcome of each of its commands.

use chrono::{DateTime, Utc};
use common::{Kind, Outcome};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Doing, StoreError, counted};

/// A batch as it is recorded.
#[derive(Debug, Clone)]
pub struct BatchRow<'a> {
    /// The group of its lanes.
    pub group: &'a str,
    /// Its lowest ticket.
    pub first_ticket: u64,
    /// Its highest ticket.
    pub last_ticket: u64,
    /// Its commands.
    pub size: usize,
    /// The worker's name.
    pub worker: &'a str,
    /// When it was claimed.
    pub claimed_at: DateTime<Utc>,
}

/// Records a batch. Answers its number, and the time of its decisions: Postgres' clock, so that all workers agree.
///
/// # Errors
/// When Postgres fails.
pub async fn insert_batch(
    connection: &mut PgConnection,
    batch: BatchRow<'_>,
) -> Result<(i64, DateTime<Utc>), StoreError> {
    sqlx::query_as(
        "insert into batches (lane_group, first_ticket, last_ticket, size, worker, claimed_at, decided_at)
         values ($1, $2, $3, $4, $5, $6, clock_timestamp())
         returning batch_id, decided_at",
    )
    .bind(batch.group)
    .bind(batch.first_ticket as i64)
    .bind(batch.last_ticket as i64)
    .bind(i32::try_from(batch.size).expect("a batch has thousands of commands at most"))
    .bind(batch.worker)
    .bind(batch.claimed_at)
    .fetch_one(connection)
    .await
    .doing("recording the batch")
}

/// The outcome of one command as it is recorded.
#[derive(Debug)]
pub struct OutcomeRow<'a> {
    /// The request.
    pub request_id: Uuid,
    /// Its ticket.
    pub ticket: u64,
    /// What was asked.
    pub kind: Kind,
    /// Who asked; nobody where the command could not be read.
    pub user_id: Option<&'a str>,
    /// The lanes in which it stood.
    pub lanes: &'a [String],
    /// When it was accepted.
    pub accepted_at: DateTime<Utc>,
    /// What came of it.
    pub outcome: &'a Outcome,
    /// The idempotency key that this outcome answers from now on, and the hash of the body.
    pub key: Option<(&'a [u8], &'a [u8])>,
    /// The request whose outcome this is a copy of.
    pub repeat_of: Option<Uuid>,
}

/// Records outcomes. Their `decision` numbers are drawn here, after the lanes were locked, in the order given.
///
/// # Errors
/// When Postgres fails; a unique violation says that another batch decided one of them.
pub async fn insert_outcomes(
    connection: &mut PgConnection,
    group: &str,
    batch_id: i64,
    decided_at: DateTime<Utc>,
    rows: &[OutcomeRow<'_>],
) -> Result<(), StoreError> {
    let result = sqlx::query(
        "insert into requests (request_id, lane_group, ticket, batch_id, kind, user_id, lanes, status, outcome,
                               accepted_at, decided_at, idempotency_key, body_hash, repeat_of)
         select request_id, $1, ticket, $2, kind, user_id, string_to_array(lanes, ' '), status, outcome::jsonb,
                accepted_at, $3, idempotency_key, body_hash, repeat_of
           from unnest($4::uuid[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
                       $11::timestamptz[], $12::bytea[], $13::bytea[], $14::uuid[])
                as decided (request_id, ticket, kind, user_id, lanes, status, outcome,
                            accepted_at, idempotency_key, body_hash, repeat_of)",
    )
    .bind(group)
    .bind(batch_id)
    .bind(decided_at)
    .bind(rows.iter().map(|row| row.request_id).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.ticket as i64).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.kind.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.user_id).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.lanes.join(" ")).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.outcome.status()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.outcome.to_json().to_string()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.accepted_at).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.key.map(|(key, _)| key)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.key.map(|(_, body)| body)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.repeat_of).collect::<Vec<_>>())
    .execute(connection)
    .await
    .doing("recording outcomes")?;
    counted(result, rows.len(), "recording outcomes")
}
