//! What comes of a command. A "no" is an outcome like a "yes": stored, final, and the same for ever.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::group::Kind;
use crate::ids::{CouponId, ProductId};
use crate::money::Won;

/// What comes of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Succeeded(Success),
    /// It was refused, and changed nothing.
    Failed(Refusal),
}

/// What was done, in the form of the `result` of a request document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Success {
    /// A unit of a coupon came into the wallet.
    CouponIssued {
        /// The wallet entry's id: that of the request.
        user_coupon_id: Uuid,
        /// Which coupon.
        coupon_id: CouponId,
        /// From when on it is over; none: never.
        expires_at: Option<DateTime<Utc>>,
    },
    /// An order was placed and paid.
    OrderPlaced {
        /// The order's id: that of the request.
        order_id: Uuid,
        /// The sum of the lines.
        total_amount: Won,
        /// What the coupon took off.
        discount_amount: Won,
        /// What was paid.
        final_amount: Won,
        /// The balance afterwards.
        remaining_balance: Won,
    },
    /// Money came onto the balance.
    BalanceCharged {
        /// The charge's id: that of the request.
        charge_id: Uuid,
        /// The balance before.
        previous_balance: Won,
        /// What was charged.
        charged_amount: Won,
        /// The balance afterwards.
        current_balance: Won,
    },
}

/// Why a command was refused: the code of the contract with the members that belong to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all_fields = "camelCase")]
pub enum Refusal {
    /// There is no such product.
    #[serde(rename = "P001")]
    ProductNotFound {
        /// The first of the order's products that does not exist.
        product_id: ProductId,
    },
    /// There is not enough of at least one product.
    #[serde(rename = "P002")]
    InsufficientStock {
        /// Every short product, in the order's order.
        insufficient_items: Vec<InsufficientItem>,
    },
    /// The last unit is gone.
    #[serde(rename = "C001")]
    CouponSoldOut,
    /// There is no such coupon.
    #[serde(rename = "C002")]
    CouponNotFound,
    /// It is over.
    #[serde(rename = "C003")]
    CouponExpired,
    /// The shopper has had one.
    #[serde(rename = "C004")]
    AlreadyIssued,
    /// It cannot be used for this order.
    #[serde(rename = "C005")]
    CouponNotApplicable {
        /// Why not.
        reason: NotApplicable,
    },
    /// It cannot be claimed yet.
    #[serde(rename = "C006")]
    CouponNotStarted,
    /// The shopper saw another sum than the one that was computed.
    #[serde(rename = "O002")]
    AmountMismatch {
        /// What was computed, from today's prices.
        expected_amount: Won,
        /// What was sent.
        actual_amount: Won,
    },
    /// The balance does not cover the order.
    #[serde(rename = "PAY001")]
    InsufficientBalance {
        /// What the order costs.
        required_amount: Won,
        /// What there is.
        current_balance: Won,
        /// What is missing.
        shortfall: Won,
    },
    /// The gateway did not take the money.
    #[serde(rename = "PAY002")]
    PaymentFailed {
        /// Why, as the gateway puts it.
        reason: String,
    },
    /// The idempotency key belongs to another body.
    #[serde(rename = "R002")]
    IdempotencyKeyReused,
    /// The command could not be decided, whatever was tried, and gave way to those behind it.
    #[serde(rename = "X003")]
    Internal,
}

/// A product of which there is too little.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InsufficientItem {
    /// Which product.
    pub product_id: ProductId,
    /// What shoppers call it.
    pub product_name: String,
    /// Pieces that the order asks for, all its lines together.
    pub requested_quantity: i64,
    /// Pieces that there are.
    pub available_stock: i64,
}

/// Why a coupon cannot be used for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NotApplicable {
    /// The shopper does not hold it.
    NotOwned,
    /// An order spent it.
    AlreadyUsed,
    /// The order's total is too small.
    BelowMinOrderAmount,
}

/// A stored outcome that cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum OutcomeError {
    /// Only `SUCCEEDED` and `FAILED` are stored.
    #[error("no outcome has the status {status:?}")]
    UnknownStatus {
        /// The text as it was found.
        status: String,
    },
    /// It is not the result of a request of this kind.
    #[error("the stored result of a {kind} cannot be read")]
    UnreadableResult {
        /// What the request asked for.
        kind: Kind,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// It is no refusal of the contract.
    #[error("the stored refusal cannot be read")]
    UnreadableRefusal {
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

const SUCCEEDED: &str = "SUCCEEDED";
const FAILED: &str = "FAILED";

impl Outcome {
    /// The final status: `SUCCEEDED` or `FAILED`.
    pub fn status(&self) -> &'static str {
        match self {
            Outcome::Succeeded(_) => SUCCEEDED,
            Outcome::Failed(_) => FAILED,
        }
    }

    /// What is stored: the result, or the refusal with its `code` and members.
    pub fn to_json(&self) -> Value {
        let json = match self {
            Outcome::Succeeded(success) => serde_json::to_value(success),
            Outcome::Failed(refusal) => serde_json::to_value(refusal),
        };
        json.expect("an outcome is made of texts and numbers, which JSON can hold")
    }

    /// Reads back what [`Outcome::to_json`] stored for a request of this kind.
    ///
    /// # Errors
    /// If the status is unknown, or the value is no outcome of this kind and status.
    pub fn from_json(kind: Kind, status: &str, value: Value) -> Result<Outcome, OutcomeError> {
        match status {
            SUCCEEDED => Success::from_json(kind, value).map(Outcome::Succeeded),
            FAILED => serde_json::from_value(value)
                .map(Outcome::Failed)
                .map_err(|source| OutcomeError::UnreadableRefusal { source }),
            _ => Err(OutcomeError::UnknownStatus { status: status.to_owned() }),
        }
    }
}

impl From<Result<Success, Refusal>> for Outcome {
    fn from(decided: Result<Success, Refusal>) -> Self {
        match decided {
            Ok(success) => Outcome::Succeeded(success),
            Err(refusal) => Outcome::Failed(refusal),
        }
    }
}

impl Success {
    /// Reads back the result of a request of this kind.
    ///
    /// # Errors
    /// If the value is not such a result.
    pub fn from_json(kind: Kind, value: Value) -> Result<Success, OutcomeError> {
        let tagged = Value::from_iter([(kind.as_str(), value)]);
        SuccessOfKind::deserialize(tagged).map_err(|source| OutcomeError::UnreadableResult { kind, source })
    }
}

/// How a [`Success`] is read: it carries no tag of its own, so the kind of its request is the tag.
#[derive(Deserialize)]
#[serde(remote = "Success", rename_all_fields = "camelCase")]
enum SuccessOfKind {
    #[serde(rename = "COUPON_ISSUE")]
    CouponIssued { user_coupon_id: Uuid, coupon_id: CouponId, expires_at: Option<DateTime<Utc>> },
    #[serde(rename = "ORDER_PLACEMENT")]
    OrderPlaced { order_id: Uuid, total_amount: Won, discount_amount: Won, final_amount: Won, remaining_balance: Won },
    #[serde(rename = "BALANCE_CHARGE")]
    BalanceCharged { charge_id: Uuid, previous_balance: Won, charged_amount: Won, current_balance: Won },
}

impl Refusal {
    /// The code of the contract: `C001`.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::ProductNotFound { .. } => "P001",
            Refusal::InsufficientStock { .. } => "P002",
            Refusal::CouponSoldOut => "C001",
            Refusal::CouponNotFound => "C002",
            Refusal::CouponExpired => "C003",
            Refusal::AlreadyIssued => "C004",
            Refusal::CouponNotApplicable { .. } => "C005",
            Refusal::CouponNotStarted => "C006",
            Refusal::AmountMismatch { .. } => "O002",
            Refusal::InsufficientBalance { .. } => "PAY001",
            Refusal::PaymentFailed { .. } => "PAY002",
            Refusal::IdempotencyKeyReused => "R002",
            Refusal::Internal => "X003",
        }
    }
}

#[cfg(test)]
mod tests;
