//! The operators' endpoints. Every change is a row of the audit log, in the same transaction.

use runtime::postgres::{Timeouts, Transaction, begin};
use sqlx::PgPool;
use utoipa_axum::router::OpenApiRouter;

use crate::problem::Problem;
use crate::state::AppState;

mod alerts;
mod audit;
mod audit_log;
mod charges;
mod coupons;
mod lanes;
mod products;
mod requests;
mod sync_failures;
mod users;

/// Routes below `/api/admin`. Each handler demands an [`Operator`](crate::auth::Operator).
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(products::routes())
        .merge(coupons::routes())
        .merge(users::routes())
        .merge(lanes::routes())
        .merge(requests::routes())
        .merge(sync_failures::routes())
        .merge(charges::routes())
        .merge(alerts::routes())
        .merge(audit::routes())
        .merge(audit_log::routes())
}

/// Begins a change. It waits shortly for a row that a batch holds, and holds none for long.
async fn change(pool: &PgPool) -> Result<Transaction, Problem> {
    Ok(begin(pool, Timeouts::CHANGE).await?)
}
