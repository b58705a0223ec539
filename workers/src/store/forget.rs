//! Forgetting what was decided long ago. What it made stays.

use std::time::Duration;

use runtime::postgres::alone;
use sqlx::PgPool;

use super::{Doing, StoreError};

/// Rows that one statement deletes: a transaction that is over in a fraction of a second.
const STEP_ROWS: i64 = 5_000;

/// By id, which rises with the time of asking and has an index; those that were asked long ago and decided lately, because
/// their lane was held, are kept until their time.
pub async fn forget_requests(pool: &PgPool, retention: Duration) -> Result<u64, StoreError> {
    let deleted: i64 = sqlx::query_scalar(
        "with deleted as (
           delete from requests
            where request_id in (
                    select request_id
                      from requests
                            -- The first 48 bits of such an id are the milliseconds of its time.
                     where request_id < rpad(lpad(to_hex((extract(epoch from now() - make_interval(secs => $1))
                                                          * 1000)::bigint), 12, '0'), 32, '0')::uuid
                       and decided_at < now() - make_interval(secs => $1)
                     order by request_id
                     limit $2)
           returning request_id, kind
         ),
         -- A charge keeps its key for as long as its outcome can be repeated.
         forgotten as (
           update charges
              set idempotency_key = null, body_hash = null
             from deleted
            where deleted.kind = 'BALANCE_CHARGE' and charge_id = request_id and idempotency_key is not null
         )
         select count(*) from deleted",
    )
    .bind(retention.as_secs_f64())
    .bind(STEP_ROWS)
    .fetch_one(alone(pool))
    .await
    .doing("forgetting requests")?;
    Ok(deleted.unsigned_abs())
}

/// The newest batch of a group says which tickets were given, so it is kept for ever. A step of a few
/// thousand; answers how many they were.
///
/// # Errors
/// When Postgres fails.
pub async fn forget_batches(pool: &PgPool, retention: Duration) -> Result<u64, StoreError> {
    let deleted = sqlx::query(
        "delete from batches
          where batch_id in (
                  -- the oldest few, whatever they are, so that no more than those are read
                  select batch_id
                    from (select batch_id, lane_group, last_ticket, decided_at
                            from batches
                           order by batch_id
                           limit $2) as old
                   where decided_at < now() - make_interval(secs => $1)
                     and exists (select
                                   from batches as newer
                                  where newer.lane_group = old.lane_group and newer.last_ticket > old.last_ticket))",
    )
    .bind(retention.as_secs_f64())
    .bind(STEP_ROWS)
    .execute(alone(pool))
    .await
    .doing("forgetting batches")?;
    Ok(deleted.rows_affected())
}
