//! The proof: every promise, checked over all rows.

use audit::Report;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

use crate::auth::Operator;
use crate::error_table::Code;
use crate::problem::Problem;
use crate::state::AppState;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/admin/audit", get(show))
}

/// A broken promise is an answer of this question, so it is 200, too. 503: the audit could not be made.
async fn show(State(state): State<AppState>, _: Operator) -> Result<Json<Report>, Problem> {
    let report = audit::audit(&state.pool).await.map_err(|error| Problem::new(Code::R005).retry().because(error))?;
    Ok(Json(report))
}
