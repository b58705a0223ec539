//! A shopper's coupons, and what one would take off an order.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use common::{Coupon, CouponId, Discount, Refusal, UserId, WalletEntry, Won, check_coupon};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::extract::{JsonBody, Params};
use crate::openapi::codes::{C002, C003, C005};
use crate::openapi::{OfShopper, Refused, WithBody, WithInput, shapes};
use crate::page::PageParams;
use crate::problem::Problem;
use crate::shape::Shape;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(validate))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
struct ListParams {
    user_id: Option<String>,
    status: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

#[derive(Serialize, sqlx::FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WalletEntry)]
struct Held {
    #[serde(skip)]
    entry: String,
    user_coupon_id: Uuid,
    coupon_id: String,
    name: String,
    #[schema(value_type = shapes::DiscountType)]
    discount_type: String,
    discount_value: i64,
    max_discount_amount: Option<Won>,
    min_order_amount: Won,
    #[schema(value_type = shapes::WalletStatus)]
    status: String,
    issued_at: DateTime<Utc>,
    used_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Wallet {
    coupons: Vec<Held>,
    next_cursor: Option<String>,
}

/// A shopper's coupons, newest first.
#[utoipa::path(
    get,
    path = "/api/users/coupons",
    operation_id = "listWallet",
    params(ListParams),
    responses((status = 200, body = Wallet), Refused<(WithInput, OfShopper)>),
)]
async fn list(
    State(state): State<AppState>,
    headers: HeaderMap,
    Params(params): Params<ListParams>,
) -> Result<Json<Wallet>, Problem> {
    let page = PageParams::of(params.limit, params.cursor).page::<Uuid>()?;
    let known = ["available", "used", "expired"];
    let status = params.status.unwrap_or_default();
    let mut shape = Shape::new();
    let asked_for = status.is_empty() || known.contains(&status.as_str());
    shape.demand(asked_for, "status", "must be available, used or expired");
    shape.checked()?;
    let user_id = state.auth.shopper(&headers, params.user_id).await?;
    let rows: Vec<Held> = sqlx::query_as(
        "select user_coupon_id::text as entry, held.*
           from (select user_coupon_id, coupon_id, name, discount_type, discount_value, max_discount_amount,
                        min_order_amount, issued_at, used_at, expires_at,
                        case when used_at is not null then 'USED'
                             when expires_at <= now() then 'EXPIRED'
                             else 'AVAILABLE'
                         end as status
                   from user_coupons
                   join coupons using (coupon_id)
                  where user_id = $1) as held
          where ($2 = '' or status = upper($2))
                -- newest first: ids of claims rise with their time, so the cursor is the oldest that was shown
            and ($3 = '' or user_coupon_id < $3::uuid)
          order by user_coupon_id desc
          limit $4",
    )
    .bind(user_id.as_str())
    .bind(&status)
    .bind(&page.after)
    .bind(page.limit())
    .fetch_all(&state.pool)
    .await?;
    let (coupons, next_cursor) = page.cut(rows, |row| &row.entry);
    Ok(Json(Wallet { coupons, next_cursor }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CouponQuestion)]
struct Question {
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
    #[schema(value_type = String)]
    coupon_id: CouponId,
    order_amount: Won,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CouponAnswer)]
struct Valid {
    valid: bool,
    #[schema(value_type = String)]
    coupon_id: CouponId,
    discount_amount: Won,
    final_amount: Won,
}

/// What a coupon would take off an order: what the line would say if the order came now.
#[utoipa::path(
    post,
    path = "/api/coupons/validate",
    operation_id = "validateCoupon",
    request_body = Question,
    responses((status = 200, body = Valid), Refused<(WithBody, OfShopper, C002, C003, C005)>),
)]
async fn validate(
    State(state): State<AppState>,
    headers: HeaderMap,
    JsonBody(question): JsonBody<Question>,
) -> Result<Json<Valid>, Problem> {
    let mut shape = Shape::new();
    shape.amount("orderAmount", question.order_amount);
    shape.checked()?;
    let user_id = state.auth.caller(&headers).await?.acts_for(question.user_id)?;
    let row: Option<Row> = sqlx::query_as(
        "select discount_type, discount_value, max_discount_amount, min_order_amount, total_quantity,
                issued_quantity, starts_at, ends_at, valid_days,
                user_coupon_id, expires_at, used_at is not null as used, clock_timestamp() as now
           from coupons
           left join user_coupons as held on held.coupon_id = coupons.coupon_id and held.user_id = $2
          where coupons.coupon_id = $1",
    )
    .bind(question.coupon_id.as_str())
    .bind(user_id.as_str())
    .fetch_optional(&state.pool)
    .await?;
    let row = row.ok_or_else(|| Problem::refused(&Refusal::CouponNotFound))?;
    let (coupon, held, now) = row.read()?;
    let order_amount = question.order_amount;
    let discount_amount =
        check_coupon(Some(&coupon), held.as_ref(), order_amount, now).map_err(|refusal| Problem::refused(&refusal))?;
    let final_amount = order_amount - discount_amount;
    Ok(Json(Valid { valid: true, coupon_id: question.coupon_id, discount_amount, final_amount }))
}

#[derive(sqlx::FromRow)]
struct Row {
    discount_type: String,
    discount_value: i64,
    max_discount_amount: Option<Won>,
    min_order_amount: Won,
    total_quantity: i64,
    issued_quantity: i64,
    starts_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
    valid_days: Option<i32>,
    user_coupon_id: Option<Uuid>,
    expires_at: Option<DateTime<Utc>>,
    used: bool,
    now: DateTime<Utc>,
}

impl Row {
    /// The coupon, what the shopper holds of it, and the time.
    fn read(self) -> Result<(Coupon, Option<WalletEntry>, DateTime<Utc>), Problem> {
        let discount = Discount::of(&self.discount_type, self.discount_value, self.max_discount_amount)
            .ok_or_else(|| Problem::internal(anyhow::anyhow!("a coupon's discount cannot be read")))?;
        let coupon = Coupon {
            discount,
            min_order_amount: self.min_order_amount,
            total_quantity: self.total_quantity,
            issued_quantity: self.issued_quantity,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            valid_days: self.valid_days,
        };
        let held = self.user_coupon_id.map(|user_coupon_id| WalletEntry {
            user_coupon_id,
            expires_at: self.expires_at,
            used: self.used,
        });
        Ok((coupon, held, self.now))
    }
}
