//! Beginning a charge: it is noted before the gateway is asked.

use std::time::Duration;

use chrono::{DateTime, Utc};
use common::{UserId, Won};
use sqlx::{FromRow, PgConnection, PgExecutor};
use uuid::Uuid;

use super::{Doing, StoreError, counted};
use crate::batch::Key;

/// A charge that is to be begun.
#[derive(Debug)]
pub struct NewCharge<'a> {
    /// The request.
    pub charge_id: Uuid,
    /// Whose balance.
    pub user_id: &'a UserId,
    /// How much.
    pub amount: Won,
    /// With what it is paid.
    pub payment_method: &'a str,
    /// Its ticket.
    pub ticket: u64,
    /// When it was accepted.
    pub accepted_at: DateTime<Utc>,
    /// Its idempotency key.
    pub key: Option<&'a Key>,
}

/// A charge that was begun before, or another one with the same key.
#[derive(Debug, FromRow)]
pub struct EarlierCharge {
    /// Its id.
    pub charge_id: Uuid,
    /// Whether it is known what came of it.
    pub settled: bool,
    /// The hash of its body, where it came with a key.
    pub body_hash: Option<Vec<u8>>,
}

/// Looks for the charge, and for the one that has its key; until the end of the transaction neither is settled. Before the
/// look at the record of outcomes: a charge that is not here now either has its outcome there, or never was.
///
/// # Errors
/// When Postgres fails.
pub async fn earlier_charge(
    connection: &mut PgConnection,
    charge_id: Uuid,
    key: Option<&Key>,
) -> Result<Option<EarlierCharge>, StoreError> {
    sqlx::query_as(
        "select charge_id, status <> 'PENDING' as settled, body_hash
           from charges
          where charge_id = $1 or idempotency_key = $2
                -- the charge itself, if both are there
          order by charge_id <> $1
          limit 1
            for no key update",
    )
    .bind(charge_id)
    .bind(key.map(|key| key.digest.as_slice()))
    .fetch_optional(connection)
    .await
    .doing("looking for an earlier charge")
}

/// Until the end of the transaction no other charge of the shopper begins. Answers the highest ticket of those that have.
///
/// Charges have no lane row that could carry a fence; their tickets are the fence.
///
/// # Errors
/// When Postgres fails, or the lock is not to be had in time.
pub async fn lock_charges_of(connection: &mut PgConnection, user_id: &UserId) -> Result<u64, StoreError> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('charge:' || $1, 0))")
        .bind(user_id.as_str())
        .execute(&mut *connection)
        .await
        .doing("locking the charges of a shopper")?;
    // A statement of its own, so that it sees what was committed while the lock was waited for.
    let last: i64 = sqlx::query_scalar(
        "select greatest((select coalesce(max(ticket), 0) from charges where user_id = $1),
                         (select coalesce(max(ticket), 0) from requests where user_id = $1 and lane_group = 'charge'))",
    )
    .bind(user_id.as_str())
    .fetch_one(connection)
    .await
    .doing("looking for later charges of a shopper")?;
    Ok(last.unsigned_abs())
}

/// Whether the charge has begun and is not settled.
///
/// # Errors
/// When Postgres fails.
pub async fn is_pending_charge(connection: &mut PgConnection, charge_id: Uuid) -> Result<bool, StoreError> {
    sqlx::query_scalar("select exists (select from charges where charge_id = $1 and status = 'PENDING')")
        .bind(charge_id)
        .fetch_one(connection)
        .await
        .doing("looking whether a charge is pending")
}

/// Begins a charge, which the caller alone may ask the gateway about for as long as `claim`. Settlement asks from `ask_again`
/// on; a repeat of another charge (`repeat_of`) is settled with it.
///
/// # Errors
/// When Postgres fails; a unique violation says that somebody else began it.
pub async fn begin_charge(
    connection: &mut PgConnection,
    charge: &NewCharge<'_>,
    (batch_id, began_at): (i64, DateTime<Utc>),
    repeat_of: Option<Uuid>,
    (claim, ask_again): (Duration, Duration),
) -> Result<(), StoreError> {
    let key = charge.key.filter(|_| repeat_of.is_none());
    let result = sqlx::query(
        "insert into charges (charge_id, user_id, amount, payment_method, ticket, batch_id, accepted_at, began_at,
                              idempotency_key, body_hash, repeat_of, claimed_until, next_attempt_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
                 case when $11 is null then $8 + make_interval(secs => $12) end,
                 case when $11 is null then $8 + make_interval(secs => $13) end)",
    )
    .bind(charge.charge_id)
    .bind(charge.user_id.as_str())
    .bind(charge.amount)
    .bind(charge.payment_method)
    .bind(charge.ticket.cast_signed())
    .bind(batch_id)
    .bind(charge.accepted_at)
    .bind(began_at)
    .bind(key.map(|key| key.digest.as_slice()))
    .bind(key.map(|key| key.body.as_slice()))
    .bind(repeat_of)
    .bind(claim.as_secs_f64())
    .bind(ask_again.as_secs_f64())
    .execute(connection)
    .await
    .doing("beginning a charge")?;
    counted(result, 1, "beginning a charge")
}

/// Whoever had the charge in hand is gone: settlement asks the gateway at its next look.
///
/// # Errors
/// When Postgres fails.
pub async fn hasten_charge(executor: impl PgExecutor<'_>, charge_id: Uuid) -> Result<(), StoreError> {
    sqlx::query(
        "update charges
            set next_attempt_at = clock_timestamp(), claimed_until = null
          where charge_id = $1 and status = 'PENDING' and attempts = 0 and next_attempt_at is not null",
    )
    .bind(charge_id)
    .execute(executor)
    .await
    .doing("hastening a charge")?;
    Ok(())
}
