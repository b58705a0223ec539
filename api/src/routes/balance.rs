//! A shopper's balance: what it is, how it came about, and more of it.

use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use common::{ChargeBalance, Command, UserId, Won};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::auth::in_whose_name;
use crate::extract::{JsonBody, Params};
use crate::limits::CHARGE_WAIT_SECONDS;
use crate::page::OfUser;
use crate::problem::Problem;
use crate::state::AppState;
use crate::submit::{Wishes, submit};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/users/balance", get(show))
        .route("/api/users/balance/history", get(history))
        .route("/api/users/balance/charge", post(charge))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Charge {
    user_id: Option<UserId>,
    amount: Won,
    payment_method: Option<String>,
}

/// Waits for the outcome by itself: whoever pays wants to hear at once whether it worked.
async fn charge(
    State(state): State<AppState>,
    headers: HeaderMap,
    JsonBody(charge): JsonBody<Charge>,
) -> Result<Response, Problem> {
    let wishes = Wishes::read(&headers)?.waiting(Duration::from_secs(CHARGE_WAIT_SECONDS));
    let (user_id, caller) = in_whose_name(state.auth.caller(&headers).await, charge.user_id);
    let command = ChargeBalance::new(user_id, charge.amount, charge.payment_method).map_err(Problem::fields)?;
    submit(&state, wishes, caller?, Command::ChargeBalance(command)).await
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Balance {
    user_id: UserId,
    balance: Won,
}

async fn show(
    State(state): State<AppState>,
    headers: HeaderMap,
    Params(params): Params<OfUser>,
) -> Result<Json<Balance>, Problem> {
    let user_id = state.auth.shopper(&headers, params.user_id).await?;
    let balance: Option<Won> = sqlx::query_scalar("select balance from users where user_id = $1")
        .bind(user_id.as_str())
        .fetch_optional(&state.pool)
        .await?;
    // Who never charged has no row.
    Ok(Json(Balance { user_id, balance: balance.unwrap_or(0) }))
}

#[derive(Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(skip)]
    entry: String,
    #[serde(rename = "type")]
    kind: String,
    amount: Won,
    balance_after: Won,
    reference_id: Uuid,
    created_at: DateTime<Utc>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct History {
    entries: Vec<Entry>,
    next_cursor: Option<String>,
}

async fn history(
    State(state): State<AppState>,
    headers: HeaderMap,
    Params(mut params): Params<OfUser>,
) -> Result<Json<History>, Problem> {
    let page = params.page::<u64>()?;
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
