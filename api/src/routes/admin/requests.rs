//! The whole history of a request: when it came, where it stood, who decided it with whom, and why.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use common::{Envelope, Group, Kind, RequestId, UserId};
use lanes::Status;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Operator;
use crate::error_table::Code;
use crate::extract::{Named, Params, PathId};
use crate::openapi::codes::R001;
use crate::openapi::{OfOperator, Refused, WithInput, shapes};
use crate::page::PageParams;
use crate::problem::Problem;
use crate::state::AppState;
use crate::status::{PendingCharge, pending_charge, time_of};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = RequestHistory)]
enum History {
    /// Without an outcome yet.
    #[serde(rename_all = "camelCase")]
    InLine {
        request_id: Uuid,
        #[schema(value_type = shapes::RequestKind)]
        kind: &'static str,
        lane_group: String,
        user_id: String,
        lanes: Vec<String>,
        /// QUEUED, or PROCESSING where a worker has it.
        #[schema(value_type = shapes::LineStatus)]
        status: &'static str,
        ticket: u64,
        accepted_at: DateTime<Utc>,
        /// Commands ahead on the longest of its lanes; none: a worker has it.
        position: Option<u64>,
    },
    /// Decided.
    Decided(Box<Decided>),
}

#[derive(Serialize, sqlx::FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DecidedRequest)]
struct Decided {
    request_id: Uuid,
    #[schema(value_type = shapes::RequestKind)]
    kind: String,
    lane_group: String,
    /// None: the command could not be read.
    user_id: Option<String>,
    lanes: Vec<String>,
    #[schema(value_type = shapes::FinalStatus)]
    status: String,
    ticket: i64,
    accepted_at: DateTime<Utc>,
    decided_at: DateTime<Utc>,
    /// The order of all decisions, whatever their group.
    decision: i64,
    /// The result, or the code of the refusal with its members.
    outcome: Value,
    has_idempotency_key: bool,
    /// The request whose key it came with; its outcome is that one's.
    repeat_of: Option<Uuid>,
    /// Why it was set aside as X003; none: it was decided.
    parked_because: Option<String>,
    #[sqlx(flatten)]
    batch: Batch,
    #[serde(skip)]
    cursor: String,
}

/// Who decided it, with whom. Empty where retention has removed it.
#[derive(Serialize, sqlx::FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DecidedBatch)]
struct Batch {
    batch_id: i64,
    size: Option<i32>,
    first_ticket: Option<i64>,
    last_ticket: Option<i64>,
    worker: Option<String>,
    claimed_at: Option<DateTime<Utc>>,
}

/// The columns of [`Decided`], from requests and their batches.
macro_rules! decided_columns {
    () => {
        "request_id, kind, requests.lane_group, user_id, lanes, status, ticket, accepted_at, requests.decided_at, \
         decision, outcome, idempotency_key is not null as has_idempotency_key, repeat_of, \
         reason as parked_because, requests.batch_id, size, first_ticket, last_ticket, worker, claimed_at, \
         request_id::text as cursor"
    };
}

/// The whole history of a request.
#[utoipa::path(
    get,
    path = "/api/admin/requests/{requestId}",
    operation_id = "showHistory",
    responses((status = 200, body = History), Refused<(WithInput, OfOperator, R001)>),
)]
async fn show(
    State(state): State<AppState>,
    _: Operator,
    PathId(Named(id)): PathId<Named>,
) -> Result<Json<History>, Problem> {
    let id = id.ok_or_else(|| Problem::new(Code::R001))?;
    let waiting = match in_line(&state, id).await? {
        Some((waiting, false)) => return Ok(Json(waiting)),
        in_line => in_line.map(|(waiting, _)| waiting),
    };
    // First, so that one that is settled meanwhile is found as decided.
    if let Some(charge) = pending_charge(&state, id).await? {
        return Ok(Json(History::of_pending(id, charge)));
    }
    let row: Option<Decided> = sqlx::query_as(concat!(
        "select ",
        decided_columns!(),
        " from requests
          left join batches using (batch_id)
          left join parked_commands using (request_id)
         where request_id = $1"
    ))
    .bind(id.as_uuid())
    .fetch_optional(&state.pool)
    .await?;
    let decided = row.map(|row| History::Decided(Box::new(row)));
    decided.or(waiting).map(Json).ok_or_else(|| Problem::new(Code::R001))
}

impl History {
    fn of_pending(id: RequestId, charge: PendingCharge) -> History {
        History::InLine {
            request_id: id.as_uuid(),
            kind: Kind::BalanceCharge.as_str(),
            lane_group: Group::CHARGE.to_string(),
            lanes: vec![format!("charge:{}", charge.user_id)],
            user_id: charge.user_id,
            status: "PROCESSING",
            ticket: charge.ticket.unsigned_abs(),
            accepted_at: charge.accepted_at,
            position: None,
        }
    }
}

/// The request, if it stands in line, and whether it may be decided nevertheless.
async fn in_line(state: &AppState, id: RequestId) -> Result<Option<(History, bool)>, Problem> {
    let Some((group, line)) = id.group().and_then(|group| Some((group, state.lines.of(group)?))) else {
        return Ok(None);
    };
    let Status::Waiting { ticket, accepted_at_us, in_flight, position, may_be_decided, envelope } =
        line.lanes.status(id.as_uuid()).await?
    else {
        return Ok(None);
    };
    let command = Envelope::decode(&envelope).map_err(Problem::internal)?.command;
    let waiting = History::InLine {
        request_id: id.as_uuid(),
        kind: group.kind.as_str(),
        lane_group: group.to_string(),
        user_id: command.user_id().to_string(),
        lanes: common::lanes(&command),
        status: if in_flight { "PROCESSING" } else { "QUEUED" },
        ticket,
        accepted_at: time_of(accepted_at_us),
        position: (!in_flight).then_some(position),
    };
    Ok(Some((waiting, may_be_decided)))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
struct ListParams {
    #[param(required)]
    user_id: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DecidedRequests)]
struct Requests {
    requests: Vec<Decided>,
    next_cursor: Option<String>,
}

/// What was decided for a shopper, newest first.
///
/// Who still stands in line is found by the request's id.
#[utoipa::path(
    get,
    path = "/api/admin/requests",
    operation_id = "listDecided",
    params(ListParams),
    responses((status = 200, body = Requests), Refused<(WithInput, OfOperator)>),
)]
async fn list(
    State(state): State<AppState>,
    _: Operator,
    Params(params): Params<ListParams>,
) -> Result<Json<Requests>, Problem> {
    let page = PageParams::of(params.limit, params.cursor).page::<Uuid>()?;
    let user_id = params.user_id.ok_or_else(|| Problem::field("userId", "must be given"))?;
    let user_id: UserId = user_id.parse().map_err(|error| Problem::field("userId", error))?;
    let rows: Vec<Decided> = sqlx::query_as(concat!(
        "select ",
        decided_columns!(),
        " from requests
          left join batches using (batch_id)
          left join parked_commands using (request_id)
         where user_id = $1
               -- ids rise with the time of asking, so the cursor is the oldest that was shown
           and ($2 = '' or request_id < $2::uuid)
         order by request_id desc
         limit $3"
    ))
    .bind(user_id.as_str())
    .bind(&page.after)
    .bind(page.limit())
    .fetch_all(&state.pool)
    .await?;
    let (requests, next_cursor) = page.cut(rows, |row| &row.cursor);
    Ok(Json(Requests { requests, next_cursor }))
}
