//! What a decision changes: the final value of every lane row that moved, and the facts that came to be.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{CouponId, ProductId, UserId};
use crate::money::Won;

/// Everything that must be written for a batch, in one transaction. Facts stand in the order of the commands that made
/// them; refused commands leave nothing here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Stock after the batch, in pieces.
    pub products: BTreeMap<ProductId, i64>,
    /// Balance after the batch.
    pub users: BTreeMap<UserId, Won>,
    /// Units issued after the batch.
    pub coupons: BTreeMap<CouponId, i64>,
    /// Units that came into a wallet.
    pub issued: Vec<Issued>,
    /// Units that were spent.
    pub used: Vec<Used>,
    /// Orders with their lines.
    pub orders: Vec<Order>,
    /// Movements of balances.
    pub ledger: Vec<LedgerEntry>,
    /// What leaves the carts.
    pub cart_removals: Vec<CartRemoval>,
}

/// A unit of a coupon came into a wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Whose wallet.
    pub user_id: UserId,
    /// Which coupon.
    pub coupon_id: CouponId,
    /// The entry's id: that of the claim.
    pub user_coupon_id: Uuid,
    /// When it was decided.
    pub issued_at: DateTime<Utc>,
    /// From when on it is over; none: never.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A unit of a coupon was spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// Whose wallet.
    pub user_id: UserId,
    /// Which coupon.
    pub coupon_id: CouponId,
    /// The order that spent it.
    pub order_id: Uuid,
    /// When it was decided.
    pub used_at: DateTime<Utc>,
}

/// An order was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The order's id: that of the request.
    pub order_id: Uuid,
    /// Who ordered.
    pub user_id: UserId,
    /// The sum of the lines.
    pub total_amount: Won,
    /// What the coupon took off, 0 to the total.
    pub discount_amount: Won,
    /// What was paid: total less discount.
    pub final_amount: Won,
    /// The coupon that was used.
    pub coupon_id: Option<CouponId>,
    /// When it was decided.
    pub created_at: DateTime<Utc>,
    /// Its lines, in the order in which the shopper first named the products.
    pub lines: Vec<OrderLine>,
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLine {
    /// Which product.
    pub product_id: ProductId,
    /// Pieces, at least 1.
    pub quantity: i64,
    /// The price of one piece when the order was decided.
    pub unit_price: Won,
}

/// Why a balance moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LedgerKind {
    /// The balance that an operator opened the account with.
    Opening,
    /// Money that was charged.
    Charge,
    /// An order that was paid.
    Order,
}

impl LedgerKind {
    /// The name in documents and rows: `OPENING`, `CHARGE`, `ORDER`.
    pub fn as_str(self) -> &'static str {
        match self {
            LedgerKind::Opening => "OPENING",
            LedgerKind::Charge => "CHARGE",
            LedgerKind::Order => "ORDER",
        }
    }
}

/// A movement of a balance. The balance is the sum of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Whose balance.
    pub user_id: UserId,
    /// Why.
    pub kind: LedgerKind,
    /// What was added, below 0 for what was taken; never 0.
    pub amount: Won,
    /// The balance afterwards.
    pub balance_after: Won,
    /// The order or charge that moved it.
    pub reference_id: Uuid,
    /// When it was decided.
    pub created_at: DateTime<Utc>,
}

/// Ordered products leave the cart, whatever their quantity there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CartRemoval {
    /// Whose cart.
    pub user_id: UserId,
    /// Which lines of it.
    pub product_ids: Vec<ProductId>,
    /// A line that was changed after this instant stays: the shopper meant something new by it.
    pub accepted_at: DateTime<Utc>,
}
