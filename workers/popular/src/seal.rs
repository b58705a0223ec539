//! Sealing: counting the hours to which nothing can be added any more.

use chrono::{DateTime, TimeDelta, Utc};
use runtime::postgres::{Timeouts, Transaction, alone, begin};
use sqlx::PgPool;

use crate::limits::{KEPT_HOURS, SEAL_AFTER_END_SECONDS, SEAL_STEP_HOURS};

/// Seals every hour that is complete, forgets those that nobody can ask for any more, and answers how many were sealed.
/// Whoever comes while somebody else seals has nothing to do.
///
/// # Errors
/// When Postgres fails. What was sealed until then stays sealed.
pub async fn seal_hours(pool: &PgPool) -> Result<i64, sqlx::Error> {
    let complete = complete_until(pool, SEAL_AFTER_END_SECONDS).await?;
    sqlx::query("insert into sealed_hours (until) values ($1) on conflict do nothing")
        .bind(complete - TimeDelta::hours(KEPT_HOURS))
        .execute(alone(pool))
        .await?;
    let mut hours = 0;
    while let Some(sealed) = seal_step(pool, complete).await? {
        hours += sealed;
    }
    Ok(hours)
}

/// The end of the last hour that is complete. An order is decided at a moment of its own transaction and may be committed
/// later, so an hour is complete when it is over, and every transaction that is open began after it. What ended before
/// this was asked is seen by every statement after it.
async fn complete_until(pool: &PgPool, after_end_seconds: i64) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar(
        "select date_trunc('hour',
                           least(clock_timestamp() - make_interval(secs => $1), min(xact_start)),
                           'UTC')
           from pg_stat_activity
          where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()",
    )
    .bind(after_end_seconds as f64)
    .fetch_one(pool)
    .await
}

/// Seals the next hours; none when there are no more, or somebody else is at it.
async fn seal_step(pool: &PgPool, complete: DateTime<Utc>) -> Result<Option<i64>, sqlx::Error> {
    let mut transaction = begin(pool, Timeouts::SNAPSHOT).await?;
    let until: Option<DateTime<Utc>> = sqlx::query_scalar("select until from sealed_hours for update skip locked")
        .fetch_optional(&mut *transaction)
        .await?;
    let Some(until) = until.filter(|until| *until < complete) else {
        return Ok(None);
    };
    // After a long rest the hours that are too old already are not worth counting.
    let from = until.max(complete - TimeDelta::hours(KEPT_HOURS));
    let to = complete.min(from + TimeDelta::hours(SEAL_STEP_HOURS));
    seal(&mut transaction, from, to).await?;
    transaction.commit().await?;
    Ok(Some((to - from).num_hours()))
}

async fn seal(transaction: &mut Transaction, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into product_hours (hour, product_id, orders)
         select date_trunc('hour', created_at, 'UTC'), product_id, count(*)
           from orders
           join order_lines using (order_id)
          where created_at >= $1 and created_at < $2
          group by 1, 2",
    )
    .bind(from)
    .bind(to)
    .execute(&mut **transaction)
    .await?;
    sqlx::query("update sealed_hours set until = $1").bind(to).execute(&mut **transaction).await?;
    sqlx::query("delete from product_hours where hour < $1")
        .bind(to - TimeDelta::hours(KEPT_HOURS))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::DurationRound;
    use sqlx::PgPool;

    use super::*;

    /// Tests cannot wait for the end of an hour, so they ask for one that will be over in an hour.
    const AN_HOUR_AHEAD_SECONDS: i64 = -3_600;

    fn hour_of(moment: DateTime<Utc>) -> DateTime<Utc> {
        moment.duration_trunc(TimeDelta::hours(1)).expect("an hour divides any date there is")
    }

    #[tokio::test]
    async fn an_hour_is_complete_when_no_open_transaction_can_add_to_it() {
        let pool = PgPool::connect(&stack::fresh_database()).await.expect("the database is there");
        let mut open = begin(&pool, Timeouts::SNAPSHOT).await.expect("a transaction");
        let began: DateTime<Utc> =
            sqlx::query_scalar("select now()").fetch_one(&mut *open).await.expect("its first moment");
        let complete = complete_until(&pool, AN_HOUR_AHEAD_SECONDS).await.expect("asked");
        assert_eq!(complete, hour_of(began), "what is decided in it may still be of this hour");
        open.commit().await.expect("ended");
        let complete = complete_until(&pool, AN_HOUR_AHEAD_SECONDS).await.expect("asked");
        assert!(complete > hour_of(began), "{complete}");
    }
}
