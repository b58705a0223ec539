//! Marking wallet entries whose time has passed.

use runtime::postgres::alone;
use sqlx::PgPool;

use super::{Doing, StoreError};

/// Entries that one statement marks: a transaction that is over in a fraction of a second.
const STEP_ROWS: i64 = 5_000;

/// Marks some of the entries whose time passed before they were used, and answers how many.
///
/// An entry that a batch holds is left for the next step: marking waits for nobody, so no batch and no other worker can
/// deadlock with it.
///
/// # Errors
/// When Postgres fails.
pub async fn expire_entries(pool: &PgPool) -> Result<u64, StoreError> {
    let marked = sqlx::query(
        "update user_coupons
            set expired_at = now()
           from (select user_id, coupon_id
                   from user_coupons
                  where expires_at is not null and used_at is null and expired_at is null
                    and expires_at <= now()
                  order by expires_at
                  limit $1
                    for update skip locked) as due
          where user_coupons.user_id = due.user_id and user_coupons.coupon_id = due.coupon_id",
    )
    .bind(STEP_ROWS)
    .execute(alone(pool))
    .await
    .doing("marking expired wallet entries")?;
    Ok(marked.rows_affected())
}
