//! Users with an opening balance. Nobody needs one: a shopper without a row has balance 0.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use common::limits::MAX_NAME_CHARS;
use common::{LedgerKind, UserId};
use runtime::postgres::Transaction;
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
use crate::extract::{JsonBody, Params};
use crate::openapi::codes::X004;
use crate::openapi::{OfOperator, Refused, WithBody, WithInput};
use crate::page::PageParams;
use crate::problem::Problem;
use crate::shape::Shape;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create))
}

#[derive(Debug, Serialize, sqlx::FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
struct User {
    user_id: String,
    name: String,
    balance: i64,
    #[serde(skip)]
    last_ticket: i64,
    created_at: DateTime<Utc>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NewUser {
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    balance: i64,
}

/// Makes a user with an opening balance.
#[utoipa::path(
    post,
    path = "/api/admin/users",
    operation_id = "createUser",
    request_body = NewUser,
    responses((status = 201, body = User), Refused<(WithBody, OfOperator, X004)>),
)]
async fn create(
    State(state): State<AppState>,
    operator: Operator,
    JsonBody(new): JsonBody<NewUser>,
) -> Result<(StatusCode, Json<User>), Problem> {
    let mut shape = Shape::new();
    shape.text("name", &new.name, 0..=MAX_NAME_CHARS);
    shape.amount("balance", new.balance);
    shape.checked()?;
    let user_id = new.user_id.map_or_else(|| Uuid::now_v7().to_string(), |id| id.to_string());

    let mut transaction = change(&state.pool).await?;
    let user: Option<User> = sqlx::query_as(
        "insert into users (user_id, name, balance)
         values ($1, $2, $3)
         on conflict do nothing
         returning user_id, name, balance, last_ticket, created_at",
    )
    .bind(&user_id)
    .bind(&new.name)
    .bind(new.balance)
    .fetch_optional(&mut *transaction)
    .await?;
    let user = user.ok_or_else(|| Problem::new(Code::X004))?;
    open_ledger(&mut transaction, &user).await?;
    let record = Change {
        operator: &operator,
        action: "user.create",
        subject: format!("user:{}", user.user_id),
        before: None,
        after: Some(json!({"name": user.name, "balance": user.balance})),
        last_ticket: Some(user.last_ticket),
    };
    record.record(&mut transaction).await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(user)))
}

/// A balance is the sum of its ledger from the first won on.
async fn open_ledger(transaction: &mut Transaction, user: &User) -> Result<(), Problem> {
    if user.balance == 0 {
        return Ok(());
    }
    sqlx::query(
        "insert into ledger (user_id, kind, amount, balance_after, reference_id, created_at)
         values ($1, $2, $3, $3, $4, $5)",
    )
    .bind(&user.user_id)
    .bind(LedgerKind::Opening.as_str())
    .bind(user.balance)
    .bind(Uuid::now_v7())
    .bind(user.created_at)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Users {
    users: Vec<User>,
    next_cursor: Option<String>,
}

/// All users, by id.
#[utoipa::path(
    get,
    path = "/api/admin/users",
    operation_id = "listUsers",
    params(PageParams),
    responses((status = 200, body = Users), Refused<(WithInput, OfOperator)>),
)]
async fn list(
    State(state): State<AppState>,
    _: Operator,
    Params(params): Params<PageParams>,
) -> Result<Json<Users>, Problem> {
    let page = params.page::<UserId>()?;
    let rows: Vec<User> = sqlx::query_as(
        "select user_id, name, balance, last_ticket, created_at
           from users
          where user_id > $1
          order by user_id
          limit $2",
    )
    .bind(&page.after)
    .bind(page.limit())
    .fetch_all(&state.pool)
    .await?;
    let (users, next_cursor) = page.cut(rows, |row| &row.user_id);
    Ok(Json(Users { users, next_cursor }))
}
