//! One row for each job and tick: whoever writes it does the job.

use chrono::{DateTime, Utc};
use runtime::postgres::alone;
use sqlx::PgPool;

/// How long it is remembered who took a tick. It only has to outlive the differences of clocks; the rest is for whoever
/// wants to look back.
const REMEMBERED_DAYS: i32 = 7;

/// Old rows that one tick deletes at most: many more than one tick writes.
const FORGOTTEN_MAX_ROWS: i64 = 100;

/// Takes the tick; false when somebody else has it.
pub(super) async fn take(pool: &PgPool, job: &str, tick: DateTime<Utc>, worker: &str) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query("insert into cron_runs (job, tick, worker) values ($1, $2, $3) on conflict do nothing")
        .bind(job)
        .bind(tick)
        .bind(worker)
        .execute(alone(pool))
        .await?;
    Ok(taken.rows_affected() == 1)
}

/// Notes how it ended, and forgets old ticks of the job.
pub(super) async fn end(pool: &PgPool, job: &str, tick: DateTime<Utc>, error: Option<&str>) -> Result<(), sqlx::Error> {
    sqlx::query("update cron_runs set ended_at = clock_timestamp(), error = $3 where job = $1 and tick = $2")
        .bind(job)
        .bind(tick)
        .bind(error)
        .execute(alone(pool))
        .await?;
    sqlx::query(
        "delete from cron_runs
          where job = $1
            and tick in (select tick from cron_runs
                          where job = $1 and tick < now() - make_interval(days => $2)
                          order by tick
                          limit $3)",
    )
    .bind(job)
    .bind(REMEMBERED_DAYS)
    .bind(FORGOTTEN_MAX_ROWS)
    .execute(alone(pool))
    .await?;
    Ok(())
}

/// When the job last succeeded, whoever did it.
pub(super) async fn last_success(pool: &PgPool, job: &str) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar("select max(ended_at) from cron_runs where job = $1 and ended_at is not null and error is null")
        .bind(job)
        .fetch_one(pool)
        .await
}
