//! Coupons: which there are, and the claim of one.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, Utc};
use common::{ClaimCoupon, Command, CouponId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::client::Client;
use crate::extract::{JsonBody, Params, PathId};
use crate::openapi::codes::{C001, C002, C003, C004, C006};
use crate::openapi::commands::Accepted;
use crate::openapi::shapes::CouponIssued;
use crate::openapi::{FromPostgres, InTheLine, OfShopper, Refused, WithBody, WithInput, shapes};
use crate::page::PageParams;
use crate::problem::Problem;
use crate::state::AppState;
use crate::submit::{Wishes, submit};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(issue))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CouponClaim)]
struct Claim {
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
}

/// Claims one unit of a coupon: a command, first come, first served.
#[utoipa::path(
    post,
    path = "/api/coupons/{couponId}/issue",
    operation_id = "claimCoupon",
    params(
        (
            "Human-Token" = Option<String>,
            Header,
            description = "A proof of being human, where the coupon's `humanCheck` demands one: what the verifier's widget gave. It is good once; a repeat with the same `Idempotency-Key` needs none.",
            example = "03AFcWeA5",
        ),
    ),
    request_body = Claim,
    responses(Accepted<CouponIssued>, Refused<(WithBody, OfShopper, InTheLine, C001, C002, C003, C004, C006)>),
)]
async fn issue(
    State(state): State<AppState>,
    PathId(coupon_id): PathId<CouponId>,
    client: Client,
    headers: HeaderMap,
    JsonBody(claim): JsonBody<Claim>,
) -> Result<Response, Problem> {
    let wishes = Wishes::read(client, &headers)?;
    let caller = state.auth.caller(&headers).await?;
    let user_id = caller.acts_for(claim.user_id)?;
    submit(&state, wishes, caller, Command::ClaimCoupon(ClaimCoupon { user_id, coupon_id })).await
}

#[derive(Serialize, sqlx::FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Coupon)]
struct Offer {
    coupon_id: String,
    name: String,
    #[schema(value_type = shapes::DiscountType)]
    discount_type: String,
    discount_value: i64,
    max_discount_amount: Option<i64>,
    min_order_amount: i64,
    total_quantity: i64,
    issued_quantity: i64,
    remaining_quantity: i64,
    starts_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
    valid_days: Option<i32>,
    human_check: bool,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Coupons)]
struct Offers {
    coupons: Vec<Offer>,
    next_cursor: Option<String>,
}

/// The coupons that can be claimed now or later, and those that are sold out.
#[utoipa::path(
    get,
    path = "/api/coupons",
    operation_id = "listCoupons",
    params(PageParams),
    responses((status = 200, body = Offers), Refused<(WithInput, FromPostgres)>),
)]
async fn list(State(state): State<AppState>, Params(params): Params<PageParams>) -> Result<Json<Offers>, Problem> {
    let page = params.page::<CouponId>()?;
    let rows: Vec<Offer> = sqlx::query_as(
        "select coupon_id, name, discount_type, discount_value, max_discount_amount, min_order_amount,
                total_quantity, issued_quantity, total_quantity - issued_quantity as remaining_quantity,
                starts_at, ends_at, valid_days, human_check
           from coupons
          where coupon_id > $1
                -- what is over cannot be claimed any more; what is sold out is still shown
            and (ends_at is null or ends_at > now())
          order by coupon_id
          limit $2",
    )
    .bind(&page.after)
    .bind(page.limit())
    .fetch_all(&state.pool)
    .await?;
    let (coupons, next_cursor) = page.cut(rows, |row| &row.coupon_id);
    Ok(Json(Offers { coupons, next_cursor }))
}
