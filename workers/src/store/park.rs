//! Commands that cannot be decided: set aside, so that the line moves on.

use chrono::{DateTime, Utc};
use runtime::metrics::alert_kind;
use runtime::postgres::alone;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Doing, StoreError};

/// Commands that a group may park in a minute. More look like a fault of ours and not of the commands; then nobody is
/// told FAILED, the group is held, and an admin must look.
pub const PARKED_PER_MINUTE_MAX: i64 = 20;

/// How many commands the group parked in the last minute.
///
/// # Errors
/// When Postgres fails.
pub async fn parked_lately(pool: &PgPool, group: &str) -> Result<i64, StoreError> {
    sqlx::query_scalar(
        "select count(*) from parked_commands where lane_group = $1 and parked_at > clock_timestamp() - interval '1 minute'",
    )
    .bind(group)
    .fetch_one(pool)
    .await
    .doing("counting parked commands")
}

/// Keeps what could not be decided, and why.
///
/// # Errors
/// When Postgres fails.
pub async fn insert_parked(
    connection: &mut PgConnection,
    request_id: Uuid,
    group: &str,
    envelope: &[u8],
    reason: &str,
    parked_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into parked_commands (request_id, lane_group, envelope, reason, parked_at) values ($1, $2, $3, $4, $5)",
    )
    .bind(request_id)
    .bind(group)
    .bind(envelope)
    .bind(reason)
    .bind(parked_at)
    .execute(connection)
    .await
    .doing("parking a command")?;
    Ok(())
}

/// Records that the whole group is held, and raises an alert, once per hold. Answers whether it was raised.
///
/// # Errors
/// When Postgres fails.
pub async fn hold_group(pool: &PgPool, group: &str, actor: &str) -> Result<bool, StoreError> {
    let raised = sqlx::query(
        "with held as (
           insert into paused_lanes (lane_group, lane, paused_by) values ($1, '*', $2)
           on conflict do nothing
           returning lane_group
         )
         insert into alerts (alert_id, kind, text, details)
         select $3, $5,
                format('Group %s was held: more than %s of its commands could not be decided within a minute. Nothing '
                       'was lost; look at parked_commands, mend the cause, then resume the group.', lane_group, $4),
                jsonb_build_object('group', lane_group)
           from held",
    )
    .bind(group)
    .bind(actor)
    .bind(Uuid::now_v7())
    .bind(PARKED_PER_MINUTE_MAX.to_string())
    .bind(alert_kind::GROUP_HELD)
    .execute(alone(pool))
    .await
    .doing("holding a group")?;
    Ok(raised.rows_affected() == 1)
}
