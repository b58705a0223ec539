//! Shapes of what crates hand over that know no HTTP, and of texts that are one of a few words. Real answers are compared
//! with them by a test.
#![expect(dead_code, reason = "only their shape matters; a test compares it with real answers")]

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use common::Won;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// What a request asks for.
#[derive(ToSchema)]
#[schema(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RequestKind {
    CouponIssue,
    OrderPlacement,
    BalanceCharge,
}

/// Where a request stands; the last two are final.
#[derive(ToSchema)]
#[schema(as = RequestStatus, rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    Queued,
    Processing,
    Succeeded,
    Failed,
}

/// Where a request without an outcome stands.
#[derive(ToSchema)]
#[schema(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LineStatus {
    Queued,
    Processing,
}

/// How a request was decided.
#[derive(ToSchema)]
#[schema(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FinalStatus {
    Succeeded,
    Failed,
}

/// Whether a coupon takes off a sum or a share.
#[derive(ToSchema)]
#[schema(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DiscountType {
    Fixed,
    Percent,
}

/// Whether a coupon in the wallet can be used.
#[derive(ToSchema)]
#[schema(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WalletStatus {
    Available,
    Used,
    Expired,
}

/// What an operator found out about a charge.
#[derive(ToSchema)]
#[schema(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ChargeVerdict {
    Succeeded,
    Failed,
}

/// Whether it is known what came of a charge.
#[derive(ToSchema)]
#[schema(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ChargeStatus {
    Pending,
    Succeeded,
    Failed,
}

/// Why a balance moved.
#[derive(ToSchema)]
#[schema(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LedgerKind {
    Opening,
    Charge,
    Order,
}

/// What is wrong with one member.
#[derive(ToSchema)]
pub struct FieldError {
    /// The member as it was sent.
    field: String,
    /// What it should be.
    message: String,
}

/// A product of which there is too little.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct InsufficientItem {
    product_id: String,
    product_name: String,
    /// Pieces that were asked for, all lines together.
    requested_quantity: i64,
    /// Pieces that there are.
    available_stock: i64,
}

/// So many pieces of a product.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct OrderItem {
    product_id: String,
    quantity: i64,
}

/// What came of a command that succeeded, by its kind.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum CommandResult {
    Coupon(CouponIssued),
    Order(OrderPlaced),
    Charge(BalanceCharged),
}

/// A unit of a coupon came into the wallet.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CouponIssued {
    /// The wallet entry; its id is that of the request.
    user_coupon_id: Uuid,
    coupon_id: String,
    /// From when on it is over; null: never.
    expires_at: Option<DateTime<Utc>>,
}

/// An order was placed and paid.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderPlaced {
    /// The order; its id is that of the request.
    order_id: Uuid,
    total_amount: Won,
    discount_amount: Won,
    final_amount: Won,
    /// The balance afterwards.
    remaining_balance: Won,
}

/// Money came onto the balance.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BalanceCharged {
    /// The charge; its id is that of the request.
    charge_id: Uuid,
    previous_balance: Won,
    charged_amount: Won,
    current_balance: Won,
}

/// Why a command was refused: the code, and the members that a problem of this code has.
#[derive(Serialize, ToSchema)]
pub struct CommandError {
    /// What programs tell errors apart by.
    code: String,
    /// The same as a word.
    error: String,
    /// What a shopper is told, in the language of the answer.
    message: String,
    #[serde(flatten)]
    members: HashMap<String, Value>,
}

/// The popular products.
#[derive(ToSchema)]
#[schema(as = PopularProducts)]
pub struct Popular {
    period: Period,
    /// Most orders first.
    products: Vec<Ranked>,
}

/// The span that was counted.
#[derive(ToSchema)]
#[schema(as = PopularPeriod, rename_all = "camelCase")]
pub struct Period {
    days: u8,
    /// Its first moment.
    start_date: DateTime<Utc>,
    /// The first moment after it.
    end_date: DateTime<Utc>,
}

/// A product among the popular ones.
#[derive(ToSchema)]
#[schema(as = PopularProduct, rename_all = "camelCase")]
pub struct Ranked {
    rank: i64,
    product_id: String,
    name: String,
    price: Won,
    stock: i64,
    order_count: i64,
}

/// What the audit found.
#[derive(ToSchema)]
pub struct AuditReport {
    /// Whether every check holds.
    ok: bool,
    checks: Vec<AuditCheck>,
}

/// One promise, checked over all rows.
#[derive(ToSchema)]
pub struct AuditCheck {
    name: String,
    ok: bool,
    examined: i64,
    violations: i64,
    samples: Vec<String>,
}

/// Whether the process can do its work.
#[derive(ToSchema)]
#[schema(as = Readiness)]
pub struct Ready {
    ready: bool,
    checks: Vec<ReadyCheck>,
}

/// How one check went.
#[derive(ToSchema)]
#[schema(as = ReadinessCheck)]
pub struct ReadyCheck {
    name: String,
    ok: bool,
    /// What is wrong, or what a passed check wants to be known.
    detail: Option<String>,
}

/// An order as the order system gets it.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct SyncedOrder {
    order_id: Uuid,
    user_id: String,
    items: Vec<SyncedItem>,
    total_amount: Won,
    discount_amount: Won,
    final_amount: Won,
    coupon_id: Option<String>,
    created_at: DateTime<Utc>,
}

/// A line of it.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct SyncedItem {
    product_id: String,
    quantity: i64,
    unit_price: Won,
}

/// What admins are told. The order, the attempts and the last error are there when an order could not be sent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminAlert {
    text: String,
    order_id: Option<Uuid>,
    attempts: Option<i32>,
    last_error: Option<String>,
    #[serde(flatten)]
    others: HashMap<String, Value>,
}
