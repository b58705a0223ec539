//! What admins were told of, and whether they were reached. Most alerts end with what they are about: an order arrives, a charge
//! is settled, a group goes on. Some have no such end, and every one may be ended by hand.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::audit_log::Change;
use super::change;
use crate::auth::Operator;
use crate::error_table::Code;
use crate::extract::{JsonBody, Named, Params, PathId};
use crate::openapi::codes::R001;
use crate::openapi::{OfOperator, Refused, WithBody, WithInput};
use crate::page::PageParams;
use crate::problem::Problem;
use crate::shape::Shape;
use crate::state::AppState;

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
struct Alert {
    alert_id: Uuid,
    kind: String,
    text: String,
    details: Value,
    raised_at: DateTime<Utc>,
    resolved_at: Option<DateTime<Utc>>,
    /// One for each way that is configured.
    #[sqlx(skip)]
    deliveries: Vec<Delivery>,
    #[serde(skip)]
    cursor: String,
}

#[derive(Serialize, sqlx::FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AlertDelivery)]
struct Delivery {
    #[serde(skip)]
    alert_id: Uuid,
    channel: String,
    attempts: i32,
    delivered_at: Option<DateTime<Utc>>,
    last_error: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Alerts {
    alerts: Vec<Alert>,
    next_cursor: Option<String>,
}

/// What admins were told of, newest first, and how far each delivery has come.
#[utoipa::path(
    get,
    path = "/api/admin/alerts",
    operation_id = "listAlerts",
    params(ListParams),
    responses((status = 200, body = Alerts), Refused<(WithInput, OfOperator)>),
)]
async fn list(
    State(state): State<AppState>,
    _: Operator,
    Params(params): Params<ListParams>,
) -> Result<Json<Alerts>, Problem> {
    let page = PageParams::of(params.limit, params.cursor).page::<Uuid>()?;
    let status = params.status.unwrap_or_default();
    let mut shape = Shape::new();
    shape.demand(["", "open", "resolved"].contains(&status.as_str()), "status", "must be open or resolved");
    shape.checked()?;
    let rows: Vec<Alert> = sqlx::query_as(
        "select alert_id, kind, text, details, raised_at, resolved_at, alert_id::text as cursor
           from alerts
          where ($1 = '' or (resolved_at is not null) = ($1 = 'resolved'))
                -- newest first, so the cursor is the oldest that was shown
            and ($2 = '' or alert_id < $2::uuid)
          order by alert_id desc
          limit $3",
    )
    .bind(&status)
    .bind(&page.after)
    .bind(page.limit())
    .fetch_all(&state.pool)
    .await?;
    let (mut alerts, next_cursor) = page.cut(rows, |row| &row.cursor);
    add_deliveries(&state, &mut alerts).await?;
    Ok(Json(Alerts { alerts, next_cursor }))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = AlertResolution)]
struct Resolution {
    note: String,
}

/// The operator has dealt with what the alert is about. It changes nothing there.
#[utoipa::path(
    post,
    path = "/api/admin/alerts/{alertId}/resolve",
    operation_id = "resolveAlert",
    request_body = Resolution,
    responses((status = 200, body = Alert), Refused<(WithBody, OfOperator, R001)>),
)]
async fn resolve(
    State(state): State<AppState>,
    operator: Operator,
    PathId(Named(alert_id)): PathId<Named>,
    JsonBody(Resolution { note }): JsonBody<Resolution>,
) -> Result<Json<Alert>, Problem> {
    let mut shape = Shape::new();
    shape.note(&note);
    shape.checked()?;
    let alert_id = alert_id.ok_or_else(not_open)?.as_uuid();
    let mut transaction = change(&state.pool).await?;
    let alert: Option<Alert> = sqlx::query_as(
        "update alerts
            set resolved_at = clock_timestamp()
          where alert_id = $1 and resolved_at is null
         returning alert_id, kind, text, details, raised_at, resolved_at, alert_id::text as cursor",
    )
    .bind(alert_id)
    .fetch_optional(&mut *transaction)
    .await?;
    let mut alert = alert.ok_or_else(not_open)?;
    let change = Change {
        operator: &operator,
        action: "alert.resolve",
        subject: format!("alert:{alert_id}"),
        before: Some(json!({"kind": alert.kind, "details": alert.details})),
        after: Some(json!({"note": note})),
        last_ticket: None,
    };
    change.record(&mut transaction).await?;
    transaction.commit().await?;
    add_deliveries(&state, std::slice::from_mut(&mut alert)).await?;
    Ok(Json(alert))
}

/// An alert that is not there, or has ended already.
fn not_open() -> Problem {
    Problem::new(Code::R001)
}

async fn add_deliveries(state: &AppState, alerts: &mut [Alert]) -> Result<(), Problem> {
    let deliveries: Vec<Delivery> = sqlx::query_as(
        "select alert_id, channel, attempts, delivered_at, last_error
           from alert_deliveries
          where alert_id = any($1)
          order by alert_id, channel",
    )
    .bind(alerts.iter().map(|alert| alert.alert_id).collect::<Vec<_>>())
    .fetch_all(&state.pool)
    .await?;
    let mut by_alert: HashMap<Uuid, Vec<Delivery>> = HashMap::new();
    for delivery in deliveries {
        by_alert.entry(delivery.alert_id).or_default().push(delivery);
    }
    for alert in alerts {
        alert.deliveries = by_alert.remove(&alert.alert_id).unwrap_or_default();
    }
    Ok(())
}
