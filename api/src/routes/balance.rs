//! A shopper's balance: what it is, how it came about, and more of it.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, Utc};
use common::{ChargeBalance, Command, UserId, Won};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::in_whose_name;
use crate::client::Client;
use crate::extract::{JsonBody, Params};
use crate::limits::CHARGE_WAIT_SECONDS;
use crate::openapi::codes::PAY002;
use crate::openapi::commands::Accepted;
use crate::openapi::shapes::BalanceCharged;
use crate::openapi::{InTheLine, OfShopper, Refused, WithBody, WithInput, shapes};
use crate::page::{OfUser, Whose};
use crate::problem::Problem;
use crate::state::AppState;
use crate::submit::{Wishes, submit};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(history)).routes(routes!(charge))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewCharge)]
struct Charge {
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
    amount: Won,
    payment_method: Option<String>,
}

/// Charges a card and puts the money onto the balance: a command, which waits for its outcome by itself.
#[utoipa::path(
    post,
    path = "/api/users/balance/charge",
    operation_id = "chargeBalance",
    request_body = Charge,
    responses(Accepted<BalanceCharged>, Refused<(WithBody, OfShopper, InTheLine, PAY002)>),
)]
async fn charge(
    State(state): State<AppState>,
    client: Client,
    headers: HeaderMap,
    JsonBody(charge): JsonBody<Charge>,
) -> Result<Response, Problem> {
    let wishes = Wishes::read(client, &headers)?.waiting(Duration::from_secs(CHARGE_WAIT_SECONDS));
    let (user_id, caller) = in_whose_name(state.auth.caller(&headers).await, charge.user_id);
    let command = ChargeBalance::new(user_id, charge.amount, charge.payment_method).map_err(Problem::fields)?;
    submit(&state, wishes, caller?, Command::ChargeBalance(command)).await
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Balance {
    #[schema(value_type = String)]
    user_id: UserId,
    balance: Won,
}

/// A shopper's balance; 0 for somebody who never charged.
#[utoipa::path(
    get,
    path = "/api/users/balance",
    operation_id = "showBalance",
    params(Whose),
    responses((status = 200, body = Balance), Refused<(WithInput, OfShopper)>),
)]
async fn show(
    State(state): State<AppState>,
    headers: HeaderMap,
    Params(params): Params<Whose>,
) -> Result<Json<Balance>, Problem> {
    let user_id = state.auth.shopper(&headers, params.user_id).await?;
    let balance: Option<Won> = sqlx::query_scalar("select balance from users where user_id = $1")
        .bind(user_id.as_str())
        .fetch_optional(&state.pool)
        .await?;
    // Who never charged has no row.
    Ok(Json(Balance { user_id, balance: balance.unwrap_or(0) }))
}

#[derive(Serialize, sqlx::FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LedgerEntry)]
struct Entry {
    #[serde(skip)]
    entry: String,
    #[serde(rename = "type")]
    #[schema(value_type = shapes::LedgerKind)]
    kind: String,
    amount: Won,
    balance_after: Won,
    reference_id: Uuid,
    created_at: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Ledger)]
struct History {
    entries: Vec<Entry>,
    next_cursor: Option<String>,
}

/// The ledger: how the balance came about, newest first.
#[utoipa::path(
    get,
    path = "/api/users/balance/history",
    operation_id = "listLedger",
    params(OfUser),
    responses((status = 200, body = History), Refused<(WithInput, OfShopper)>),
)]
async fn history(
    State(state): State<AppState>,
    headers: HeaderMap,
    Params(mut params): Params<OfUser>,
) -> Result<Json<History>, Problem> {
    let page = params.page::<i64>()?;
    let user_id = state.auth.shopper(&headers, params.user_id).await?;
    let rows: Vec<Entry> = sqlx::query_as(
        "select entry::text as entry, kind, amount, balance_after, reference_id, created_at
           from ledger
          where user_id = $1
                -- newest first, so the cursor is the oldest entry that was shown
            and ($2 = '' or entry < $2::bigint)
          order by ledger.entry desc
          limit $3",
    )
    .bind(user_id.as_str())
    .bind(&page.after)
    .bind(page.limit())
    .fetch_all(&state.pool)
    .await?;
    let (entries, next_cursor) = page.cut(rows, |row| &row.entry);
    Ok(Json(History { entries, next_cursor }))
}
