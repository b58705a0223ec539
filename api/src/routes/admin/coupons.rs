//! Coupons: made and changed. The quantity can only be raised: what was promised stays promised.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use common::CouponId;
use common::limits::{MAX_AMOUNT_WON, MAX_DISCOUNT_PERCENT, MAX_VALID_DAYS};
use lanes::Gate;
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
use crate::extract::{JsonBody, Params, PathId, present};
use crate::limits::{MAX_CLAIMS_PER_ADDRESS, MAX_COUPON_UNITS};
use crate::lines::coupon_lane;
use crate::openapi::codes::{C002, X004};
use crate::openapi::{OfOperator, Refused, WithBody, WithInput, shapes};
use crate::page::PageParams;
use crate::problem::Problem;
use crate::shape::Shape;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(edit))
}

#[derive(Debug, Serialize, sqlx::FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AdminCoupon)]
struct Coupon {
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
    max_per_address: Option<i64>,
    human_check: bool,
    #[serde(skip)]
    last_ticket: i64,
    created_at: DateTime<Utc>,
}

/// The columns of [`Coupon`], which three statements give.
macro_rules! coupon_columns {
    () => {
        "coupon_id, name, discount_type, discount_value, max_discount_amount, min_order_amount, total_quantity, \
         issued_quantity, total_quantity - issued_quantity as remaining_quantity, starts_at, ends_at, valid_days, \
         max_per_address, human_check, last_ticket, created_at"
    };
}

impl Coupon {
    /// Whether it demands anything of a claim before it stands in line.
    fn has_terms(&self) -> bool {
        self.max_per_address.is_some() || self.human_check
    }

    /// The coupon as the audit log shows it.
    fn shown(&self) -> Value {
        json!({
            "name": self.name, "discountType": self.discount_type, "discountValue": self.discount_value,
            "maxDiscountAmount": self.max_discount_amount, "minOrderAmount": self.min_order_amount,
            "totalQuantity": self.total_quantity, "issuedQuantity": self.issued_quantity,
            "startsAt": self.starts_at, "endsAt": self.ends_at, "validDays": self.valid_days,
            "maxPerAddress": self.max_per_address, "humanCheck": self.human_check,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum DiscountType {
    Fixed,
    Percent,
}

impl DiscountType {
    fn as_str(self) -> &'static str {
        match self {
            DiscountType::Fixed => "FIXED",
            DiscountType::Percent => "PERCENT",
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NewCoupon {
    #[schema(value_type = Option<String>)]
    coupon_id: Option<CouponId>,
    name: String,
    #[schema(value_type = shapes::DiscountType)]
    discount_type: DiscountType,
    discount_value: i64,
    max_discount_amount: Option<i64>,
    min_order_amount: Option<i64>,
    total_quantity: i64,
    starts_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
    valid_days: Option<i32>,
    max_per_address: Option<i64>,
    human_check: Option<bool>,
}

impl NewCoupon {
    fn check(&self) -> Result<(), Problem> {
        let mut shape = Shape::new();
        shape.name(&self.name);
        let most = match self.discount_type {
            DiscountType::Fixed => MAX_AMOUNT_WON,
            DiscountType::Percent => MAX_DISCOUNT_PERCENT,
        };
        shape.range("discountValue", self.discount_value, 1..=most);
        if let Some(amount) = self.max_discount_amount {
            shape.amount("maxDiscountAmount", amount);
            // The cap belongs to a share; on a fixed sum it would promise what is not kept.
            let means_nothing = self.discount_type == DiscountType::Fixed && amount < self.discount_value;
            shape.demand(!means_nothing, "maxDiscountAmount", "is for discounts of the type PERCENT");
        }
        shape.amount("minOrderAmount", self.min_order_amount.unwrap_or(0));
        shape.range("totalQuantity", self.total_quantity, 0..=MAX_COUPON_UNITS);
        if let Some(days) = self.valid_days {
            shape.range("validDays", days.into(), 1..=MAX_VALID_DAYS.into());
        }
        if let Some(max) = self.max_per_address {
            shape.range("maxPerAddress", max, 1..=MAX_CLAIMS_PER_ADDRESS);
        }
        if let (Some(starts_at), Some(ends_at)) = (self.starts_at, self.ends_at) {
            shape.demand(starts_at < ends_at, "endsAt", "must be after startsAt");
        }
        shape.checked()
    }
}

/// Makes a coupon. An end that is over is allowed.
#[utoipa::path(
    post,
    path = "/api/admin/coupons",
    operation_id = "createCoupon",
    request_body = NewCoupon,
    responses((status = 201, body = Coupon), Refused<(WithBody, OfOperator, X004)>),
)]
async fn create(
    State(state): State<AppState>,
    operator: Operator,
    JsonBody(new): JsonBody<NewCoupon>,
) -> Result<(StatusCode, Json<Coupon>), Problem> {
    new.check()?;
    demand_terms(&state, false, new.max_per_address, new.human_check).await?;
    let coupon_id = new.coupon_id.map_or_else(|| Uuid::now_v7().to_string(), |id| id.to_string());
    let mut transaction = change(&state.pool).await?;
    let coupon: Option<Coupon> = sqlx::query_as(concat!(
        "insert into coupons (coupon_id, name, discount_type, discount_value, max_discount_amount, min_order_amount,
                              total_quantity, starts_at, ends_at, valid_days, max_per_address, human_check)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         on conflict do nothing
         returning ",
        coupon_columns!()
    ))
    .bind(&coupon_id)
    .bind(&new.name)
    .bind(new.discount_type.as_str())
    .bind(new.discount_value)
    .bind(new.max_discount_amount)
    .bind(new.min_order_amount.unwrap_or(0))
    .bind(new.total_quantity)
    .bind(new.starts_at)
    .bind(new.ends_at)
    .bind(new.valid_days)
    .bind(new.max_per_address)
    .bind(new.human_check.unwrap_or(false))
    .fetch_optional(&mut *transaction)
    .await?;
    let coupon = coupon.ok_or_else(|| Problem::new(Code::X004))?;
    let record = Change {
        operator: &operator,
        action: "coupon.create",
        subject: format!("coupon:{}", coupon.coupon_id),
        before: None,
        after: Some(coupon.shown()),
        last_ticket: Some(coupon.last_ticket),
    };
    record.record(&mut transaction).await?;
    transaction.commit().await?;
    if coupon.has_terms() {
        state.terms.heard().await;
    }
    Ok((StatusCode::CREATED, Json(coupon)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CouponEdit)]
struct Edit {
    total_quantity: Option<i64>,
    /// Null takes the end away.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    ends_at: Option<Option<DateTime<Utc>>>,
    /// Null takes the limit away. Claims that were accepted without one are not counted.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i64>)]
    max_per_address: Option<Option<i64>>,
    human_check: Option<bool>,
}

/// Raises the quantity of a coupon, moves its end, or changes what it demands of a claim.
#[utoipa::path(
    patch,
    path = "/api/admin/coupons/{couponId}",
    operation_id = "changeCoupon",
    request_body = Edit,
    responses((status = 200, body = Coupon), Refused<(WithBody, OfOperator, C002)>),
)]
async fn edit(
    State(state): State<AppState>,
    operator: Operator,
    PathId(coupon_id): PathId<CouponId>,
    JsonBody(edit): JsonBody<Edit>,
) -> Result<Json<Coupon>, Problem> {
    let mut transaction = change(&state.pool).await?;
    let before: Option<Coupon> = sqlx::query_as(concat!(
        "select ",
        coupon_columns!(),
        " from coupons
         where coupon_id = $1
           for no key update"
    ))
    .bind(coupon_id.as_str())
    .fetch_optional(&mut *transaction)
    .await?;
    let before = before.ok_or_else(|| Problem::new(Code::C002))?;
    edit.check(&before)?;
    demand_terms(&state, before.has_terms(), edit.max_per_address.flatten(), edit.human_check).await?;
    let after: Coupon = sqlx::query_as(concat!(
        "update coupons
            set -- only ever raised, whoever else raises it
                total_quantity = greatest(total_quantity, $2),
                ends_at = case when $3 then $4 else ends_at end,
                max_per_address = case when $5 then $6 else max_per_address end,
                human_check = coalesce($7, human_check)
          where coupon_id = $1
         returning ",
        coupon_columns!()
    ))
    .bind(coupon_id.as_str())
    .bind(edit.total_quantity)
    .bind(edit.ends_at.is_some())
    .bind(edit.ends_at.flatten())
    .bind(edit.max_per_address.is_some())
    .bind(edit.max_per_address.flatten())
    .bind(edit.human_check)
    .fetch_one(&mut *transaction)
    .await?;
    if after.shown() == before.shown() {
        return Ok(Json(before));
    }
    let record = Change {
        operator: &operator,
        action: "coupon.edit",
        subject: format!("coupon:{coupon_id}"),
        before: Some(before.shown()),
        after: Some(after.shown()),
        last_ticket: Some(before.last_ticket),
    };
    record.record(&mut transaction).await?;
    transaction.commit().await?;
    open_gate(&state, &coupon_id, &after).await;
    if before.has_terms() || after.has_terms() {
        state.terms.heard().await;
    }
    Ok(Json(after))
}

impl Edit {
    fn check(&self, before: &Coupon) -> Result<(), Problem> {
        let mut shape = Shape::new();
        if let Some(total) = self.total_quantity {
            shape.range("totalQuantity", total, before.total_quantity..=MAX_COUPON_UNITS);
        }
        if let (Some(starts_at), Some(Some(ends_at))) = (before.starts_at, self.ends_at) {
            shape.demand(starts_at < ends_at, "endsAt", "must be after startsAt");
        }
        if let Some(Some(max)) = self.max_per_address {
            shape.range("maxPerAddress", max, 1..=MAX_CLAIMS_PER_ADDRESS);
        }
        shape.checked()
    }
}

/// Demands that what a coupon shall demand can be kept to: there is room for its terms, and somebody says who is a person.
async fn demand_terms(
    state: &AppState,
    has_terms: bool,
    max_per_address: Option<i64>,
    human_check: Option<bool>,
) -> Result<(), Problem> {
    let mut shape = Shape::new();
    let is_asked = human_check == Some(true);
    shape.demand(!is_asked || state.human_check.is_some(), "humanCheck", "needs HUMAN_CHECK_URL to be set");
    shape.checked()?;
    if !has_terms && (max_per_address.is_some() || is_asked) {
        let field = if is_asked { "humanCheck" } else { "maxPerAddress" };
        state.terms.demand_room(field).await?;
    }
    Ok(())
}

/// Tells the gate that there is more. If Redis is away the next claim at the closed gate finds out, because it asks
/// Postgres.
async fn open_gate(state: &AppState, coupon_id: &CouponId, coupon: &Coupon) {
    let lane = common::LaneName::Coupon(coupon_id.clone());
    let Some(line) = state.lines.of_lane(&lane) else {
        return;
    };
    if coupon.total_quantity == 0 {
        // It never had a unit to run out of, and its line may have another reason to say no.
        return;
    }
    let gate = Gate {
        lane: coupon_lane(coupon_id),
        used: coupon.issued_quantity.unsigned_abs(),
        limit: coupon.total_quantity.unsigned_abs(),
    };
    if let Err(error) = line.lanes.raise_gate(&gate).await {
        tracing::warn!(%error, "the gate of coupon {coupon_id} was not raised; the next claim will raise it");
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AdminCoupons)]
struct Coupons {
    coupons: Vec<Coupon>,
    next_cursor: Option<String>,
}

/// All coupons, by id.
#[utoipa::path(
    get,
    path = "/api/admin/coupons",
    operation_id = "listAllCoupons",
    params(PageParams),
    responses((status = 200, body = Coupons), Refused<(WithInput, OfOperator)>),
)]
async fn list(
    State(state): State<AppState>,
    _: Operator,
    Params(params): Params<PageParams>,
) -> Result<Json<Coupons>, Problem> {
    let page = params.page::<CouponId>()?;
    let rows: Vec<Coupon> = sqlx::query_as(concat!(
        "select ",
        coupon_columns!(),
        " from coupons
         where coupon_id > $1
         order by coupon_id
         limit $2"
    ))
    .bind(&page.after)
    .bind(page.limit())
    .fetch_all(&state.pool)
    .await?;
    let (coupons, next_cursor) = page.cut(rows, |row| &row.coupon_id);
    Ok(Json(Coupons { coupons, next_cursor }))
}
