//! The desk for orders that the order system did not take. An order is on it from its last retry on, until a later attempt
//! succeeds or an operator says that it is settled.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::audit_log::Change;
use super::change;
use crate::auth::Operator;
use crate::error_table::Code;
use crate::extract::{JsonBody, Named, Params, PathId};
use crate::limits::RETRIED_ORDERS_MAX;
use crate::openapi::codes::O001;
use crate::openapi::{OfOperator, Refused, WithBody, WithInput};
use crate::page::PageParams;
use crate::problem::Problem;
use crate::shape::Shape;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(retry_all))
        .routes(routes!(retry))
        .routes(routes!(resolve))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ListParams {
    status: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

#[derive(Serialize, sqlx::FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SyncFailure)]
struct Failure {
    order_id: Uuid,
    user_id: String,
    final_amount: i64,
    created_at: DateTime<Utc>,
    sync_attempts: i32,
    last_sync_error: Option<String>,
    failed_at: DateTime<Utc>,
    /// A retry by hand is due from then on; none: nobody has asked for one.
    next_retry_at: Option<DateTime<Utc>>,
    synced_at: Option<DateTime<Utc>>,
    resolved_at: Option<DateTime<Utc>>,
    resolved_by: Option<String>,
    note: Option<String>,
    #[sqlx(skip)]
    attempts: Vec<Attempt>,
    #[serde(skip)]
    cursor: String,
}

#[derive(Serialize, sqlx::FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SyncAttempt)]
struct Attempt {
    #[serde(skip)]
    order_id: Uuid,
    attempt: i32,
    at: DateTime<Utc>,
    duration_ms: i32,
    status: Option<i16>,
    error: Option<String>,
    answer: Option<String>,
}

/// The columns of [`Failure`].
macro_rules! failure_columns {
    () => {
        "order_id, user_id, final_amount, created_at, attempts as sync_attempts, last_error as last_sync_error, \
         failed_at, next_attempt_at as next_retry_at, synced_at, resolved_at, resolved_by, note, \
         order_id::text as cursor"
    };
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SyncFailures)]
struct Failures {
    failures: Vec<Failure>,
    /// Orders that are on the desk now, whichever are listed.
    open_count: i64,
    next_cursor: Option<String>,
}

/// Orders that the order system did not take in all retries, newest first.
#[utoipa::path(
    get,
    path = "/api/admin/sync-failures",
    operation_id = "listSyncFailures",
    params(ListParams),
    responses((status = 200, body = Failures), Refused<(WithInput, OfOperator)>),
)]
async fn list(
    State(state): State<AppState>,
    _: Operator,
    Params(params): Params<ListParams>,
) -> Result<Json<Failures>, Problem> {
    let page = PageParams::of(params.limit, params.cursor).page::<Uuid>()?;
    let status = params.status.unwrap_or_else(|| "open".to_owned());
    let mut shape = Shape::new();
    shape.demand(["open", "resolved"].contains(&status.as_str()), "status", "must be open or resolved");
    shape.checked()?;
    let rows: Vec<Failure> = sqlx::query_as(concat!(
        "select ",
        failure_columns!(),
        " from order_syncs
          join orders using (order_id)
         where failed_at is not null
           and (resolved_at is not null) = ($1 = 'resolved')
               -- newest order first, so the cursor is the oldest that was shown
           and ($2 = '' or order_id < $2::uuid)
         order by order_id desc
         limit $3"
    ))
    .bind(&status)
    .bind(&page.after)
    .bind(page.limit())
    .fetch_all(&state.pool)
    .await?;
    let (mut failures, next_cursor) = page.cut(rows, |row| &row.cursor);
    add_attempts(&state, &mut failures).await?;
    let open_count =
        sqlx::query_scalar("select count(*) from order_syncs where failed_at is not null and resolved_at is null")
            .fetch_one(&state.pool)
            .await?;
    Ok(Json(Failures { failures, open_count, next_cursor }))
}

async fn add_attempts(state: &AppState, failures: &mut [Failure]) -> Result<(), Problem> {
    let attempts: Vec<Attempt> = sqlx::query_as(
        "select order_id, attempt, at, duration_ms, status, error, answer
           from sync_attempts
          where order_id = any($1)
          order by order_id, attempt",
    )
    .bind(failures.iter().map(|failure| failure.order_id).collect::<Vec<_>>())
    .fetch_all(&state.pool)
    .await?;
    let mut by_order: HashMap<Uuid, Vec<Attempt>> = HashMap::new();
    for attempt in attempts {
        by_order.entry(attempt.order_id).or_default().push(attempt);
    }
    for failure in failures {
        failure.attempts = by_order.remove(&failure.order_id).unwrap_or_default();
    }
    Ok(())
}

/// One more attempt, as soon as a worker finds it. It raises no new alert.
#[utoipa::path(
    post,
    path = "/api/admin/sync-failures/{orderId}/retry",
    operation_id = "retrySync",
    responses((status = 200, body = Failure), Refused<(WithInput, OfOperator, O001)>),
)]
async fn retry(
    State(state): State<AppState>,
    operator: Operator,
    PathId(Named(order_id)): PathId<Named>,
) -> Result<Json<Failure>, Problem> {
    let order_id = order_id.ok_or_else(not_on_the_desk)?.as_uuid();
    let mut transaction = change(&state.pool).await?;
    let failure: Option<Failure> = sqlx::query_as(concat!(
        "with changed as (
           update order_syncs
              set next_attempt_at = clock_timestamp()
            where order_id = $1 and failed_at is not null and resolved_at is null
           returning *
         )
         select ",
        failure_columns!(),
        " from changed join orders using (order_id)"
    ))
    .bind(order_id)
    .fetch_optional(&mut *transaction)
    .await?;
    let failure = failure.ok_or_else(not_on_the_desk)?;
    record(&operator, "sync.retry", &failure, None).record(&mut transaction).await?;
    transaction.commit().await?;
    shown(&state, failure).await
}

#[derive(Serialize, ToSchema)]
#[schema(as = SyncsRetried)]
struct Retried {
    retried: i64,
}

/// One more attempt for each that has none ahead.
///
/// Of very many only a part; who gets that many asks again.
#[utoipa::path(
    post,
    path = "/api/admin/sync-failures/retry-all",
    operation_id = "retryAllSyncs",
    responses((status = 200, body = Retried), Refused<(OfOperator,)>),
)]
async fn retry_all(State(state): State<AppState>, operator: Operator) -> Result<Json<Retried>, Problem> {
    let mut transaction = change(&state.pool).await?;
    let changed = sqlx::query(
        "update order_syncs
            set next_attempt_at = clock_timestamp()
          where order_id in (select order_id
                               from order_syncs
                              where failed_at is not null and resolved_at is null and next_attempt_at is null
                              order by order_id desc
                              limit $1)",
    )
    .bind(RETRIED_ORDERS_MAX)
    .execute(&mut *transaction)
    .await?;
    let retried = changed.rows_affected().cast_signed();
    let record = Change {
        operator: &operator,
        action: "sync.retry-all",
        subject: "order-sync".to_owned(),
        before: None,
        after: Some(json!({"retried": retried})),
        last_ticket: None,
    };
    record.record(&mut transaction).await?;
    transaction.commit().await?;
    Ok(Json(Retried { retried }))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = SyncResolution)]
struct Resolution {
    note: String,
}

/// The operator has settled it by other means; nothing is sent any more.
#[utoipa::path(
    post,
    path = "/api/admin/sync-failures/{orderId}/resolve",
    operation_id = "resolveSync",
    request_body = Resolution,
    responses((status = 200, body = Failure), Refused<(WithBody, OfOperator, O001)>),
)]
async fn resolve(
    State(state): State<AppState>,
    operator: Operator,
    PathId(Named(order_id)): PathId<Named>,
    JsonBody(Resolution { note }): JsonBody<Resolution>,
) -> Result<Json<Failure>, Problem> {
    let mut shape = Shape::new();
    shape.note(&note);
    shape.checked()?;
    let order_id = order_id.ok_or_else(not_on_the_desk)?.as_uuid();
    let mut transaction = change(&state.pool).await?;
    let failure: Option<Failure> = sqlx::query_as(concat!(
        "with changed as (
           update order_syncs
              set resolved_at = clock_timestamp(), resolved_by = $2, note = $3, next_attempt_at = null
            where order_id = $1 and failed_at is not null and resolved_at is null
           returning *
         )
         select ",
        failure_columns!(),
        " from changed join orders using (order_id)"
    ))
    .bind(order_id)
    .bind(&operator.actor)
    .bind(&note)
    .fetch_optional(&mut *transaction)
    .await?;
    let failure = failure.ok_or_else(not_on_the_desk)?;
    sqlx::query(
        "update alerts
            set resolved_at = clock_timestamp()
          where resolved_at is null and details ->> 'orderId' = $1",
    )
    .bind(order_id.to_string())
    .execute(&mut *transaction)
    .await?;
    record(&operator, "sync.resolve", &failure, Some(&note)).record(&mut transaction).await?;
    transaction.commit().await?;
    shown(&state, failure).await
}

async fn shown(state: &AppState, mut failure: Failure) -> Result<Json<Failure>, Problem> {
    add_attempts(state, std::slice::from_mut(&mut failure)).await?;
    Ok(Json(failure))
}

fn record<'a>(operator: &'a Operator, action: &'a str, failure: &Failure, note: Option<&str>) -> Change<'a> {
    Change {
        operator,
        action,
        subject: format!("order:{}", failure.order_id),
        before: None,
        after: Some(json!({"syncAttempts": failure.sync_attempts, "note": note})),
        last_ticket: None,
    }
}

/// An order that is not there, or whose sync has not failed, or is settled already.
fn not_on_the_desk() -> Problem {
    Problem::new(Code::O001)
}
