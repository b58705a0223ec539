//! Charges of which it is not known whether the money was taken, and what an operator found out about them.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use common::{RequestId, Won};
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
use crate::limits::VERDICT_WAIT_SECONDS;
use crate::openapi::codes::R001;
use crate::openapi::{OfOperator, Refused, WithBody, WithInput, shapes};
use crate::page::PageParams;
use crate::problem::Problem;
use crate::shape::Shape;
use crate::state::AppState;
use crate::wait::end_after;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(resolve))
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
struct Charge {
    charge_id: Uuid,
    user_id: String,
    amount: Won,
    payment_method: String,
    #[schema(value_type = shapes::ChargeStatus)]
    status: String,
    accepted_at: DateTime<Utc>,
    began_at: DateTime<Utc>,
    gateway_id: Option<String>,
    attempts: i32,
    last_error: Option<String>,
    next_attempt_at: Option<DateTime<Utc>>,
    given_up_at: Option<DateTime<Utc>>,
    settled_at: Option<DateTime<Utc>>,
    #[schema(value_type = Option<shapes::ChargeVerdict>)]
    verdict: Option<String>,
    verdict_by: Option<String>,
    note: Option<String>,
    #[serde(skip)]
    cursor: String,
}

/// The columns of [`Charge`].
macro_rules! charge_columns {
    () => {
        "charge_id, user_id, amount, payment_method, status, accepted_at, began_at, gateway_id, attempts, last_error, \
         next_attempt_at, given_up_at, settled_at, verdict, verdict_by, note, charge_id::text as cursor"
    };
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Charges {
    charges: Vec<Charge>,
    next_cursor: Option<String>,
}

/// Charges of which it is not known whether the money was taken, or those that are settled, newest first.
#[utoipa::path(
    get,
    path = "/api/admin/charges",
    operation_id = "listCharges",
    params(ListParams),
    responses((status = 200, body = Charges), Refused<(WithInput, OfOperator)>),
)]
async fn list(
    State(state): State<AppState>,
    _: Operator,
    Params(params): Params<ListParams>,
) -> Result<Json<Charges>, Problem> {
    let page = PageParams::of(params.limit, params.cursor).page::<Uuid>()?;
    let status = params.status.unwrap_or_else(|| "pending".to_owned());
    let mut shape = Shape::new();
    shape.demand(["pending", "settled"].contains(&status.as_str()), "status", "must be pending or settled");
    shape.checked()?;
    let rows: Vec<Charge> = sqlx::query_as(concat!(
        "select ",
        charge_columns!(),
        " from charges
         where (status = 'PENDING') = ($1 = 'pending')
               -- what repeats another one is settled with it
           and repeat_of is null
               -- newest first, so the cursor is the oldest that was shown
           and ($2 = '' or charge_id < $2::uuid)
         order by charge_id desc
         limit $3"
    ))
    .bind(&status)
    .bind(&page.after)
    .bind(page.limit())
    .fetch_all(&state.pool)
    .await?;
    let (charges, next_cursor) = page.cut(rows, |row| &row.cursor);
    Ok(Json(Charges { charges, next_cursor }))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = ChargeResolution)]
struct Resolution {
    #[schema(value_type = shapes::ChargeVerdict)]
    outcome: String,
    note: String,
}

/// Settles a charge as the gateway's own records show.
///
/// A worker does it, as it would have with the gateway's word; what the gateway says before that counts.
#[utoipa::path(
    post,
    path = "/api/admin/charges/{chargeId}/resolve",
    operation_id = "resolveCharge",
    request_body = Resolution,
    responses((status = 200, body = Charge), Refused<(WithBody, OfOperator, R001)>),
)]
async fn resolve(
    State(state): State<AppState>,
    operator: Operator,
    PathId(Named(charge_id)): PathId<Named>,
    JsonBody(Resolution { outcome, note }): JsonBody<Resolution>,
) -> Result<Json<Charge>, Problem> {
    let mut shape = Shape::new();
    let outcomes = ["SUCCEEDED", "FAILED"];
    shape.demand(outcomes.contains(&outcome.as_str()), "outcome", "must be SUCCEEDED or FAILED");
    shape.note(&note);
    shape.checked()?;
    let charge_id = charge_id.ok_or_else(not_pending)?;
    // Before the change: a worker may be quick.
    let settled = state.waiters.register(charge_id);
    let charge = note_verdict(&state, &operator, charge_id, &outcome, &note).await?;
    let Some(settled) = settled else {
        return Ok(Json(charge));
    };
    settled.woken(end_after(Duration::from_secs(VERDICT_WAIT_SECONDS))).await;
    let settled: Option<Charge> =
        sqlx::query_as(concat!("select ", charge_columns!(), " from charges where charge_id = $1"))
            .bind(charge_id.as_uuid())
            .fetch_optional(&state.pool)
            .await?;
    Ok(Json(settled.unwrap_or(charge)))
}

async fn note_verdict(
    state: &AppState,
    operator: &Operator,
    charge_id: RequestId,
    outcome: &str,
    note: &str,
) -> Result<Charge, Problem> {
    let mut transaction = change(&state.pool).await?;
    let charge: Option<Charge> = sqlx::query_as(concat!(
        "update charges
            set verdict = $2, verdict_by = $3, verdict_at = clock_timestamp(), note = $4,
                next_attempt_at = clock_timestamp()
          where charge_id = $1 and status = 'PENDING' and repeat_of is null
                -- not while the gateway is asked for the first time
            and attempts > 0
         returning ",
        charge_columns!()
    ))
    .bind(charge_id.as_uuid())
    .bind(outcome)
    .bind(&operator.actor)
    .bind(note)
    .fetch_optional(&mut *transaction)
    .await?;
    let charge = charge.ok_or_else(not_pending)?;
    let change = Change {
        operator,
        action: "charge.resolve",
        subject: format!("charge:{charge_id}"),
        before: Some(json!({"status": "PENDING", "attempts": charge.attempts, "lastError": charge.last_error})),
        after: Some(json!({"outcome": outcome, "note": note})),
        last_ticket: None,
    };
    change.record(&mut transaction).await?;
    transaction.commit().await?;
    Ok(charge)
}

/// A charge that is not there, or is settled already.
fn not_pending() -> Problem {
    Problem::new(Code::R001)
}
