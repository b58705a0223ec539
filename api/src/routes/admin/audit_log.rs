//! Who changed what, and between which decisions.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use runtime::postgres::Transaction;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Operator;
use crate::extract::Params;
use crate::openapi::{OfOperator, Refused, WithInput};
use crate::page::PageParams;
use crate::problem::Problem;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A change, as it is written down.
pub(super) struct Change<'a> {
    /// Who made it.
    pub operator: &'a Operator,
    /// What was done: `product.restock`.
    pub action: &'a str,
    /// To what, as its lane is called: `product:P001`.
    pub subject: String,
    /// The row before; none: there was none.
    pub before: Option<Value>,
    /// The row afterwards; none: there is none.
    pub after: Option<Value>,
    /// The last ticket that was decided on the row before the change; none: it has no line.
    pub last_ticket: Option<i64>,
}

impl Change<'_> {
    /// Writes it down in the transaction that makes it.
    pub(super) async fn record(self, transaction: &mut Transaction) -> Result<(), Problem> {
        sqlx::query(
            "insert into audit_log (actor, action, subject, before, after, last_ticket)
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&self.operator.actor)
        .bind(self.action)
        .bind(self.subject)
        .bind(self.before)
        .bind(self.after)
        .bind(self.last_ticket)
        .execute(&mut **transaction)
        .await?;
        Ok(())
    }
}

#[derive(Serialize, sqlx::FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditLogEntry)]
struct Entry {
    #[serde(skip)]
    entry: String,
    at: DateTime<Utc>,
    actor: String,
    action: String,
    subject: String,
    before: Option<Value>,
    after: Option<Value>,
    last_ticket: Option<i64>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditLog)]
struct Entries {
    entries: Vec<Entry>,
    next_cursor: Option<String>,
}

/// Who changed what, newest first, before and after.
#[utoipa::path(
    get,
    path = "/api/admin/audit-log",
    operation_id = "listChanges",
    params(PageParams),
    responses((status = 200, body = Entries), Refused<(WithInput, OfOperator)>),
)]
async fn list(
    State(state): State<AppState>,
    _: Operator,
    Params(params): Params<PageParams>,
) -> Result<Json<Entries>, Problem> {
    let page = params.page::<u32>()?;
    let rows: Vec<Entry> = sqlx::query_as(
        "select entry::text as entry, at, actor, action, subject, before, after, last_ticket
           from audit_log
                -- newest first, so the cursor is the oldest entry that was shown
          where $1 = '' or entry < $1::bigint
          order by audit_log.entry desc
          limit $2",
    )
    .bind(&page.after)
    .bind(page.limit())
    .fetch_all(&state.pool)
    .await?;
    let (entries, next_cursor) = page.cut(rows, |row| &row.entry);
    Ok(Json(Entries { entries, next_cursor }))
}
