//! Place an order: all of it or nothing of it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::FieldError;
use crate::changes::{CartRemoval, Changes, LedgerEntry, LedgerKind, Order, OrderLine, Used};
use crate::envelope::Accepted;
use crate::ids::{CouponId, ProductId, UserId};
use crate::limits::{MAX_AMOUNT_WON, MAX_ORDER_LINES, MAX_QUANTITY_PIECES, MAX_SUMMED_QUANTITY_PIECES};
use crate::money::Won;
use crate::outcome::{InsufficientItem, NotApplicable, Refusal, Success};
use crate::state::{Coupon, Product, State, WalletEntry};

/// One shopper orders some products, perhaps with a coupon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "StoredOrder")]
pub struct PlaceOrder {
    /// Who orders and pays.
    pub user_id: UserId,
    /// What is ordered: each product once, in order of first appearance, 1 to 50 of them.
    pub items: Vec<OrderItem>,
    /// The coupon to be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coupon_id: Option<CouponId>,
    /// What the shopper saw as the sum to pay, in won; a difference is a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_amount: Option<Won>,
}

/// So many pieces of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderItem {
    /// Which product.
    pub product_id: ProductId,
    /// Pieces, 1 to 100,000 on a line as sent.
    pub quantity: i64,
}

impl PlaceOrder {
    /// Checks the lines as they were sent, then sums those that name the same product: line by line, two lines could
    /// each find the stock that only one of them can have.
    ///
    /// # Errors
    /// Every member that is out of its bounds.
    pub fn new(
        user_id: UserId,
        lines: Vec<OrderItem>,
        coupon_id: Option<CouponId>,
        final_amount: Option<Won>,
    ) -> Result<Self, Vec<FieldError>> {
        let errors = shape_errors(&lines, MAX_QUANTITY_PIECES, final_amount);
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut items: Vec<OrderItem> = Vec::with_capacity(lines.len());
        for line in lines {
            match items.iter_mut().find(|item| item.product_id == line.product_id) {
                Some(item) => item.quantity += line.quantity,
                None => items.push(line),
            }
        }
        Ok(PlaceOrder { user_id, items, coupon_id, final_amount })
    }

    /// Decides the order and, if it succeeds, moves the state on and notes what must be written.
    pub(crate) fn decide(
        &self,
        accepted: &Accepted,
        decided_at: DateTime<Utc>,
        state: &mut State,
        changes: &mut Changes,
    ) -> Result<Success, Refusal> {
        let bill = self.check(state, accepted.accepted_at)?;

        // ── every check is passed; from here on nothing can fail ──

        Ok(self.carry_out(bill, accepted, decided_at, state, changes))
    }

    /// The checks, in the order in which they are answered: P001, P002, C002, C005 (not owned, already used), C003,
    /// C005 (below the minimum), O002, PAY001.
    fn check(&self, state: &State, accepted_at: DateTime<Utc>) -> Result<Bill, Refusal> {
        let products = self.known_products(state)?;
        self.check_stock(&products)?;

        let total_amount = self.total_of(&products);
        let discount_amount = match &self.coupon_id {
            None => 0,
            Some(coupon_id) => check_coupon(
                state.coupon(coupon_id),
                state.wallet_entry(&self.user_id, coupon_id),
                total_amount,
                accepted_at,
            )?,
        };
        let final_amount = total_amount - discount_amount;

        if let Some(seen) = self.final_amount.filter(|seen| *seen != final_amount) {
            return Err(Refusal::AmountMismatch { expected_amount: final_amount, actual_amount: seen });
        }
        let balance = state.balance(&self.user_id);
        if balance < final_amount {
            return Err(Refusal::InsufficientBalance {
                required_amount: final_amount,
                current_balance: balance,
                shortfall: final_amount - balance,
            });
        }

        let lines = self.items.iter().zip(products);
        Ok(Bill {
            total_amount,
            discount_amount,
            final_amount,
            remaining_balance: balance - final_amount,
            lines: lines
                .map(|(item, product)| OrderLine {
                    product_id: item.product_id.clone(),
                    quantity: item.quantity,
                    unit_price: product.price,
                })
                .collect(),
        })
    }

    /// The products of the items, in the items' order; a refusal names the first that does not exist.
    fn known_products<'a>(&self, state: &'a State) -> Result<Vec<&'a Product>, Refusal> {
        let mut products = Vec::with_capacity(self.items.len());
        for item in &self.items {
            match state.product(&item.product_id) {
                Some(product) => products.push(product),
                None => {
                    return Err(Refusal::ProductNotFound { product_id: item.product_id.clone() });
                }
            }
        }
        Ok(products)
    }

    /// A refusal lists every short product, so that the shopper mends the whole order at once.
    fn check_stock(&self, products: &[&Product]) -> Result<(), Refusal> {
        let insufficient_items: Vec<_> = self
            .items
            .iter()
            .zip(products)
            .filter(|(item, product)| product.stock < item.quantity)
            .map(|(item, product)| InsufficientItem {
                product_id: item.product_id.clone(),
                product_name: product.name.clone(),
                requested_quantity: item.quantity,
                available_stock: product.stock,
            })
            .collect();
        if insufficient_items.is_empty() { Ok(()) } else { Err(Refusal::InsufficientStock { insufficient_items }) }
    }

    fn total_of(&self, products: &[&Product]) -> Won {
        // Within the limits no sum overflows (see `limits`). A price above them can only have been written by hand
        // around the API: then the sum stops at a number that no balance reaches, and the order is refused instead of
        // the line being stopped by a panic.
        let amounts = self.items.iter().zip(products);
        amounts.map(|(item, product)| product.price.saturating_mul(item.quantity)).fold(0, Won::saturating_add)
    }

    fn carry_out(
        &self,
        bill: Bill,
        accepted: &Accepted,
        decided_at: DateTime<Utc>,
        state: &mut State,
        changes: &mut Changes,
    ) -> Success {
        let order_id = accepted.request_id.as_uuid();
        for item in &self.items {
            let stock = state.take_from_stock(&item.product_id, item.quantity);
            changes.products.insert(item.product_id.clone(), stock);
        }
        // A ledger entry over nothing says nothing; and an order that costs nothing leaves the balance as it is.
        if bill.final_amount != 0 {
            state.set_balance(&self.user_id, bill.remaining_balance);
            changes.users.insert(self.user_id.clone(), bill.remaining_balance);
            changes.ledger.push(LedgerEntry {
                user_id: self.user_id.clone(),
                kind: LedgerKind::Order,
                amount: -bill.final_amount,
                balance_after: bill.remaining_balance,
                reference_id: order_id,
                created_at: decided_at,
            });
        }
        if let Some(coupon_id) = &self.coupon_id {
            state.mark_used(&self.user_id, coupon_id);
            changes.used.push(Used {
                user_id: self.user_id.clone(),
                coupon_id: coupon_id.clone(),
                order_id,
                used_at: decided_at,
            });
        }
        changes.cart_removals.push(CartRemoval {
            user_id: self.user_id.clone(),
            product_ids: self.items.iter().map(|item| item.product_id.clone()).collect(),
            accepted_at: accepted.accepted_at,
        });
        changes.orders.push(Order {
            order_id,
            user_id: self.user_id.clone(),
            total_amount: bill.total_amount,
            discount_amount: bill.discount_amount,
            final_amount: bill.final_amount,
            coupon_id: self.coupon_id.clone(),
            created_at: decided_at,
            lines: bill.lines,
        });
        Success::OrderPlaced {
            order_id,
            total_amount: bill.total_amount,
            discount_amount: bill.discount_amount,
            final_amount: bill.final_amount,
            remaining_balance: bill.remaining_balance,
        }
    }
}

/// What `coupon`, held as `held`, takes off an order of `total_amount` won asked at `accepted_at`; the checks stand in
/// the order in which they are answered.
///
/// A unit ends when its shopper was told that it would: an operator who moves the end of the coupon afterwards moves it
/// for those who claim later.
///
/// # Errors
/// The first refusal that holds.
pub fn check_coupon(
    coupon: Option<&Coupon>,
    held: Option<&WalletEntry>,
    total_amount: Won,
    accepted_at: DateTime<Utc>,
) -> Result<Won, Refusal> {
    let not_applicable = |reason| Err(Refusal::CouponNotApplicable { reason });
    let Some(coupon) = coupon else {
        return Err(Refusal::CouponNotFound);
    };
    let Some(held) = held else {
        return not_applicable(NotApplicable::NotOwned);
    };
    if held.used {
        return not_applicable(NotApplicable::AlreadyUsed);
    }
    if held.expires_at.is_some_and(|expires_at| expires_at <= accepted_at) {
        return Err(Refusal::CouponExpired);
    }
    if total_amount < coupon.min_order_amount {
        return not_applicable(NotApplicable::BelowMinOrderAmount);
    }
    Ok(coupon.discount.amount_on(total_amount))
}

/// What an order that passed its checks comes to.
struct Bill {
    total_amount: Won,
    discount_amount: Won,
    final_amount: Won,
    remaining_balance: Won,
    lines: Vec<OrderLine>,
}

/// The members that are out of their bounds. More lines than an order may have are not looked at one by one: the answer
/// must not grow with the nonsense that was sent.
fn shape_errors(lines: &[OrderItem], max_quantity: i64, final_amount: Option<Won>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut wrong = |field: String, message: String| errors.push(FieldError { field, message });
    if lines.is_empty() || lines.len() > MAX_ORDER_LINES {
        wrong("items".to_owned(), format!("must have 1 to {MAX_ORDER_LINES} lines"));
    } else {
        for (index, line) in lines.iter().enumerate() {
            if !(1..=max_quantity).contains(&line.quantity) {
                wrong(format!("items[{index}].quantity"), format!("must be between 1 and {max_quantity}"));
            }
        }
    }
    if final_amount.is_some_and(|amount| !(0..=MAX_AMOUNT_WON).contains(&amount)) {
        wrong("finalAmount".to_owned(), format!("must be between 0 and {MAX_AMOUNT_WON}"));
    }
    errors
}

/// An order as it comes back from where it was stored; what the shape check promised must still hold.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredOrder {
    user_id: UserId,
    items: Vec<OrderItem>,
    coupon_id: Option<CouponId>,
    final_amount: Option<Won>,
}

impl TryFrom<StoredOrder> for PlaceOrder {
    type Error = String;

    fn try_from(stored: StoredOrder) -> Result<Self, String> {
        let StoredOrder { user_id, items, coupon_id, final_amount } = stored;
        if let Some(error) = shape_errors(&items, MAX_SUMMED_QUANTITY_PIECES, final_amount).first() {
            return Err(format!("{} {}", error.field, error.message));
        }
        let repeated = (1..items.len()).find(|&i| items[..i].iter().any(|item| item.product_id == items[i].product_id));
        if let Some(index) = repeated {
            return Err(format!("items[{index}] names a product for the second time"));
        }
        Ok(PlaceOrder { user_id, items, coupon_id, final_amount })
    }
}

#[cfg(test)]
mod tests;
