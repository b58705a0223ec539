//! Settling charges, once it is known what the gateway did. Whoever locks a charge and a user locks the charge first.

use std::time::Duration;

use chrono::{DateTime, Utc};
use common::{Outcome, Payment, Receipt, RequestId, UserId, Won};
use runtime::postgres::alone;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::lock::{Locked, lock_users, parse_id};
use super::write::insert_ledger;
use super::{Doing, StoreError, counted};

/// A charge that is asked about.
#[derive(Debug, Clone, FromRow)]
pub struct DueCharge {
    /// Its id, and the gateway's idempotency key.
    pub charge_id: Uuid,
    /// Whose balance.
    pub user_id: String,
    /// How much.
    pub amount: Won,
    /// With what it is paid.
    pub payment_method: String,
    /// What the gateway calls it, where it said so.
    pub gateway_id: Option<String>,
    /// What an operator found out.
    pub verdict: Option<String>,
    /// Why asking before did not help.
    pub last_error: Option<String>,
    /// Whether it is so old that the gateway may have forgotten its key.
    pub too_old: bool,
}

/// Claims up to `limit` charges that are to be asked about, those first that have waited for longest. Those older than
/// `asked_max` come, too: they are to be given up.
///
/// # Errors
/// When Postgres fails.
pub async fn claim_due_charges(
    pool: &PgPool,
    limit: usize,
    claim: Duration,
    asked_max: Duration,
) -> Result<Vec<DueCharge>, StoreError> {
    sqlx::query_as(
        "with due as (
           select charge_id
             from charges
            where status = 'PENDING'
              and next_attempt_at <= now()
              and (claimed_until is null or claimed_until <= now())
            order by next_attempt_at
            limit $1
              for no key update skip locked
         )
         update charges
            set claimed_until = clock_timestamp() + make_interval(secs => $2)
           from due
          where charges.charge_id = due.charge_id
         returning charges.charge_id, user_id, amount, payment_method, gateway_id, verdict, last_error,
                   began_at < now() - make_interval(secs => $3) as too_old",
    )
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .bind(claim.as_secs_f64())
    .bind(asked_max.as_secs_f64())
    .fetch_all(alone(pool))
    .await
    .doing("claiming charges that are due")
}

/// Notes that the gateway was asked, and what came of it is not known. It is asked again after `pause`, or at once settled
/// as an operator has found out meanwhile.
///
/// # Errors
/// When Postgres fails.
pub async fn note_unknown_charge(
    pool: &PgPool,
    charge_id: Uuid,
    error: &str,
    gateway_id: Option<&str>,
    pause: Duration,
) -> Result<(), StoreError> {
    sqlx::query(
        "update charges
            set attempts = attempts + 1,
                last_error = $2,
                gateway_id = coalesce($3, gateway_id),
                claimed_until = null,
                -- One that was given up is not asked about any more, but settled as soon as an operator knows.
                next_attempt_at = case when given_up_at is null or verdict is not null then
                                    clock_timestamp() + make_interval(secs => case when verdict is null then $4 else 0 end)
                                  end
          where charge_id = $1 and status = 'PENDING'",
    )
    .bind(charge_id)
    .bind(error)
    .bind(gateway_id)
    .bind(pause.as_secs_f64())
    .execute(alone(pool))
    .await
    .doing("noting that a charge is unknown")?;
    Ok(())
}

/// Gives a charge up: nobody asks any more, an operator must find out. False when it is settled, or was given up before.
///
/// # Errors
/// When Postgres fails.
pub async fn give_up_charge(connection: &mut PgConnection, charge_id: Uuid) -> Result<bool, StoreError> {
    let given_up = sqlx::query(
        "update charges
            set given_up_at = clock_timestamp(), next_attempt_at = null, claimed_until = null
          where charge_id = $1 and status = 'PENDING' and given_up_at is null and verdict is null",
    )
    .bind(charge_id)
    .execute(connection)
    .await
    .doing("giving up a charge")?;
    Ok(given_up.rows_affected() == 1)
}

/// Pending charges, repeats aside.
#[derive(Debug, FromRow)]
pub struct PendingCharges {
    /// How many.
    pub count: i64,
    /// How long the oldest of them has been pending; 0 when there is none.
    pub oldest_seconds: f64,
}

/// Counts what is not settled yet.
///
/// # Errors
/// When Postgres fails.
pub async fn pending_charges(pool: &PgPool) -> Result<PendingCharges, StoreError> {
    sqlx::query_as(
        "select count(*) as count,
                coalesce(greatest(0, extract(epoch from clock_timestamp() - min(began_at))), 0)::float8 as oldest_seconds
           from charges
          where status = 'PENDING' and repeat_of is null",
    )
    .fetch_one(pool)
    .await
    .doing("counting pending charges")
}

#[derive(FromRow)]
struct Settled {
    charge_id: Uuid,
    ticket: i64,
    accepted_at: DateTime<Utc>,
}

/// A charge that is settled now.
#[derive(Debug)]
pub struct SettledCharge {
    /// Its receipt, and those of the charges that repeat it, its own first.
    pub receipts: Vec<Receipt>,
    /// Whether an operator was alerted of it.
    pub was_given_up: bool,
}

/// Settles a charge that is pending, and those that repeat it: the balance, the ledger and the outcomes. None when it was
/// settled before.
///
/// # Errors
/// When Postgres fails, or a statement did not change what was meant.
pub async fn settle_charge(
    connection: &mut PgConnection,
    charge_id: Uuid,
    payment: &Payment,
    gateway_id: Option<&str>,
) -> Result<Option<SettledCharge>, StoreError> {
    let pending: Option<(String, Won, bool)> = sqlx::query_as(
        "select user_id, amount, given_up_at is not null
           from charges
          where charge_id = $1 and status = 'PENDING'
            for no key update",
    )
    .bind(charge_id)
    .fetch_optional(&mut *connection)
    .await
    .doing("locking a charge")?;
    let Some((user, amount, was_given_up)) = pending else {
        return Ok(None);
    };
    let user_id: UserId = parse_id("locking a charge", &user)?;
    let mut locked = Locked::default();
    if *payment == Payment::Taken {
        lock_users(connection, &[user], &mut locked).await?;
    }
    let balance = locked.users.get(&user_id).map_or(0, |user| user.balance);
    let settled_at: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(&mut *connection)
        .await
        .doing("asking for the time")?;
    let (outcome, entry) = common::settle(charge_id, &user_id, amount, balance, payment, settled_at);
    if let Some(entry) = entry {
        let result = sqlx::query("update users set balance = $2 where user_id = $1")
            .bind(user_id.as_str())
            .bind(entry.balance_after)
            .execute(&mut *connection)
            .await
            .doing("raising a balance")?;
        counted(result, 1, "raising a balance")?;
        insert_ledger(connection, &[entry]).await?;
    }
    let settled = record(connection, charge_id, &outcome, settled_at, gateway_id).await?;
    let receipts = settled.into_iter().map(|settled| settled.receipt(&user_id, &outcome, settled_at)).collect();
    Ok(Some(SettledCharge { receipts, was_given_up }))
}

/// Writes what came of a charge, for it and for those that repeat it.
async fn record(
    connection: &mut PgConnection,
    charge_id: Uuid,
    outcome: &Outcome,
    settled_at: DateTime<Utc>,
    gateway_id: Option<&str>,
) -> Result<Vec<Settled>, StoreError> {
    sqlx::query(
        "update charges
            set status = $2, settled_at = $3, gateway_id = coalesce($4, gateway_id),
                next_attempt_at = null, claimed_until = null
          where (charge_id = $1 or repeat_of = $1) and status = 'PENDING'",
    )
    .bind(charge_id)
    .bind(outcome.status())
    .bind(settled_at)
    .bind(gateway_id)
    .execute(&mut *connection)
    .await
    .doing("settling a charge")?;
    sqlx::query_as(
        "with settled as (
           insert into requests (request_id, lane_group, ticket, decision, batch_id, kind, user_id, lanes, status, outcome,
                                 accepted_at, decided_at, idempotency_key, body_hash, repeat_of)
           select charge_id, 'charge', ticket, decision, batch_id, 'BALANCE_CHARGE', user_id, array['charge:' || user_id],
                  $2, $3, accepted_at, $4, kept.idempotency_key,
                  case when kept.idempotency_key is not null then body_hash end, repeat_of
             from charges
                  -- A repeat that could not be decided may have left its key there, and the money must be booked all the same.
             left join lateral (
                    select charges.idempotency_key
                     where not exists (select from requests where requests.idempotency_key = charges.idempotency_key)
                  ) as kept on true
            where charge_id = $1 or repeat_of = $1
           returning request_id as charge_id, ticket, accepted_at
         )
         select * from settled order by charge_id <> $1",
    )
    .bind(charge_id)
    .bind(outcome.status())
    .bind(outcome.to_json())
    .bind(settled_at)
    .fetch_all(connection)
    .await
    .doing("recording what came of a charge")
}

impl Settled {
    fn receipt(self, user_id: &UserId, outcome: &Outcome, settled_at: DateTime<Utc>) -> Receipt {
        Receipt {
            request_id: RequestId::from_uuid(self.charge_id),
            kind: common::Kind::BalanceCharge,
            user_id: Some(user_id.clone()),
            ticket: self.ticket.unsigned_abs(),
            accepted_at: self.accepted_at,
            decided_at: settled_at,
            outcome: outcome.clone(),
        }
    }
}

/// How a charge was settled, and what the gateway called it then.
///
/// # Errors
/// When Postgres fails.
pub async fn settled_as(
    connection: &mut PgConnection,
    charge_id: Uuid,
) -> Result<Option<(String, Option<String>)>, StoreError> {
    sqlx::query_as("select status, gateway_id from charges where charge_id = $1 and status <> 'PENDING'")
        .bind(charge_id)
        .fetch_optional(connection)
        .await
        .doing("looking how a charge was settled")
}
