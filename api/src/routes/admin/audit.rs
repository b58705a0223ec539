//! The proof: every promise, checked over all rows.

use audit::Report;
use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Operator;
use crate::error_table::Code;
use crate::openapi::{OfOperator, Refused, shapes};
use crate::problem::Problem;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show))
}

/// Every promise, checked over all rows.
///
/// A broken promise is an answer of this question, so it is 200, too. 503: the audit could not be made.
#[utoipa::path(
    get,
    path = "/api/admin/audit",
    operation_id = "audit",
    responses((status = 200, body = shapes::AuditReport), Refused<(OfOperator,)>),
)]
async fn show(State(state): State<AppState>, _: Operator) -> Result<Json<Report>, Problem> {
    let report = audit::audit(&state.pool).await.map_err(|error| Problem::new(Code::R005).retry().because(error))?;
    Ok(Json(report))
}
