//! A shopper's balance.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use common::{UserId, Won};
use serde::{Deserialize, Serialize};

use crate::extract::Params;
use crate::problem::Problem;
use crate::state::AppState;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/users/balance", get(show))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfUser {
    user_id: Option<String>,
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
    let named = params.user_id.map(|id| id.parse::<UserId>()).transpose();
    let named = named.map_err(|error| Problem::field("userId", error))?;
    let user_id = state.auth.caller(&headers)?.acts_for(named)?;
    let balance: Option<Won> = sqlx::query_scalar("select balance from users where user_id = $1")
        .bind(user_id.as_str())
        .fetch_optional(&state.pool)
        .await?;
    // Who never charged has no row.
    Ok(Json(Balance { user_id, balance: balance.unwrap_or(0) }))
}
