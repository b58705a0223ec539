//! Orders: placed through the line, and shown as they were decided.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, Utc};
use common::{Command, CouponId, OrderItem, PlaceOrder, UserId, Won};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::{Caller, in_whose_name};
use crate::client::Client;
use crate::error_table::Code;
use crate::extract::{JsonBody, Named, Object, Params, PathId};
use crate::openapi::codes::{C002, C003, C005, O001, O002, P001, P002, PAY001};
use crate::openapi::commands::Accepted;
use crate::openapi::shapes::OrderPlaced;
use crate::openapi::{InTheLine, OfShopper, Refused, WithBody, WithInput, shapes};
use crate::page::{OfUser, Whose};
use crate::problem::Problem;
use crate::state::AppState;
use crate::submit::{Wishes, submit};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, place)).routes(routes!(show))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewOrder)]
struct Order {
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
    #[schema(value_type = Vec<shapes::OrderItem>)]
    items: Vec<Object<OrderItem>>,
    #[schema(value_type = Option<String>)]
    coupon_id: Option<CouponId>,
    final_amount: Option<Won>,
}

/// Places an order over all its lines, or over none: a command.
#[utoipa::path(
    post,
    path = "/api/orders",
    operation_id = "placeOrder",
    request_body = Order,
    responses(
        Accepted<OrderPlaced>,
        Refused<(WithBody, OfShopper, InTheLine, P001, P002, C002, C003, C005, O002, PAY001)>,
    ),
)]
async fn place(
    State(state): State<AppState>,
    client: Client,
    headers: HeaderMap,
    JsonBody(order): JsonBody<Order>,
) -> Result<Response, Problem> {
    let wishes = Wishes::read(client, &headers)?;
    let caller = state.auth.caller(&headers).await;
    let (caller, order) = order.checked(caller)?;
    submit(&state, wishes, caller, Command::PlaceOrder(order)).await
}

impl Order {
    /// Shape before identity.
    fn checked(self, caller: Result<Caller, Problem>) -> Result<(Caller, PlaceOrder), Problem> {
        let (user_id, caller) = in_whose_name(caller, self.user_id);
        let items = self.items.into_iter().map(|Object(item)| item).collect();
        let order = PlaceOrder::new(user_id, items, self.coupon_id, self.final_amount).map_err(Problem::fields)?;
        Ok((caller?, order))
    }
}

/// An order as it was decided. Prices and the discount are those of then, names those of now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Order)]
struct Placed {
    order_id: Uuid,
    user_id: String,
    items: Vec<Line>,
    total_amount: Won,
    discount_amount: Won,
    final_amount: Won,
    coupon_id: Option<String>,
    created_at: DateTime<Utc>,
    sync: Sync,
}

#[derive(Serialize, sqlx::FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderLine)]
struct Line {
    #[serde(skip)]
    order_id: Uuid,
    product_id: String,
    product_name: String,
    quantity: i64,
    unit_price: Won,
    subtotal: Won,
}

/// Whether the order system has the order.
#[derive(Serialize, sqlx::FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderSync)]
struct Sync {
    synced: bool,
    sync_attempts: i32,
    last_sync_error: Option<String>,
    next_retry_at: Option<DateTime<Utc>>,
    synced_at: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
struct Row {
    cursor: String,
    order_id: Uuid,
    user_id: String,
    total_amount: Won,
    discount_amount: Won,
    final_amount: Won,
    coupon_id: Option<String>,
    created_at: DateTime<Utc>,
    #[sqlx(flatten)]
    sync: Sync,
}

/// The columns of [`Row`], from orders and their syncs.
macro_rules! order_columns {
    () => {
        "order_id::text as cursor, order_id, user_id, total_amount, discount_amount, final_amount, coupon_id, \
         created_at, synced_at is not null as synced, attempts as sync_attempts, last_error as last_sync_error, \
         case when attempts > 0 and synced_at is null then next_attempt_at end as next_retry_at, synced_at"
    };
}

/// An order as it was decided, and whether the order system has it.
#[utoipa::path(
    get,
    path = "/api/orders/{orderId}",
    operation_id = "showOrder",
    params(Whose),
    responses((status = 200, body = Placed), Refused<(WithInput, OfShopper, O001)>),
)]
async fn show(
    State(state): State<AppState>,
    PathId(Named(order_id)): PathId<Named>,
    headers: HeaderMap,
    Params(params): Params<Whose>,
) -> Result<Json<Placed>, Problem> {
    let user_id = state.auth.shopper(&headers, params.user_id).await?;
    let order_id = order_id.ok_or_else(not_found)?;
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "select ",
        order_columns!(),
        " from orders
          join order_syncs using (order_id)
         where order_id = $1
           -- somebody else's order is as unknown as one that is not there
           and user_id = $2"
    ))
    .bind(order_id.as_uuid())
    .bind(user_id.as_str())
    .fetch_all(&state.pool)
    .await?;
    let placed = with_lines(&state, rows).await?.pop();
    placed.map(Json).ok_or_else(not_found)
}

fn not_found() -> Problem {
    Problem::new(Code::O001)
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Orders {
    orders: Vec<Placed>,
    next_cursor: Option<String>,
}

/// A shopper's orders, newest first.
#[utoipa::path(
    get,
    path = "/api/orders",
    operation_id = "listOrders",
    params(OfUser),
    responses((status = 200, body = Orders), Refused<(WithInput, OfShopper)>),
)]
async fn list(
    State(state): State<AppState>,
    headers: HeaderMap,
    Params(mut params): Params<OfUser>,
) -> Result<Json<Orders>, Problem> {
    let page = params.page::<Uuid>()?;
    let user_id = state.auth.shopper(&headers, params.user_id).await?;
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "select ",
        order_columns!(),
        " from orders
          join order_syncs using (order_id)
         where user_id = $1
               -- newest first: ids of orders rise with their time, so the cursor is the oldest that was shown
           and ($2 = '' or order_id < $2::uuid)
         order by order_id desc
         limit $3"
    ))
    .bind(user_id.as_str())
    .bind(&page.after)
    .bind(page.limit())
    .fetch_all(&state.pool)
    .await?;
    let (rows, next_cursor) = page.cut(rows, |row| &row.cursor);
    let orders = with_lines(&state, rows).await?;
    Ok(Json(Orders { orders, next_cursor }))
}

/// Reads the lines of all these orders at once.
async fn with_lines(state: &AppState, rows: Vec<Row>) -> Result<Vec<Placed>, Problem> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = rows.iter().map(|row| row.order_id).collect();
    let lines: Vec<Line> = sqlx::query_as(
        "select order_id, product_id, name as product_name, quantity, unit_price, unit_price * quantity as subtotal
           from order_lines
           join products using (product_id)
          where order_id = any($1)
          order by order_id, line",
    )
    .bind(ids)
    .fetch_all(&state.pool)
    .await?;
    let mut lines_of: HashMap<Uuid, Vec<Line>> = HashMap::new();
    for line in lines {
        lines_of.entry(line.order_id).or_default().push(line);
    }
    let placed = rows.into_iter().map(|row| Placed {
        items: lines_of.remove(&row.order_id).unwrap_or_default(),
        order_id: row.order_id,
        user_id: row.user_id,
        total_amount: row.total_amount,
        discount_amount: row.discount_amount,
        final_amount: row.final_amount,
        coupon_id: row.coupon_id,
        created_at: row.created_at,
        sync: row.sync,
    });
    Ok(placed.collect())
}
