//! The rows that a batch is decided on, as they were loaded, and as they are after each command.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::changes::Changes;
use crate::ids::{CouponId, ProductId, UserId};
use crate::money::{Discount, Won};
use crate::needs::Needs;

/// A product's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// What shoppers call it.
    pub name: String,
    /// The price of one piece, at or above 0.
    pub price: Won,
    /// Pieces that can be sold, at or above 0.
    pub stock: i64,
}

/// A shopper's row. A shopper without one has balance 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Money that can be spent, at or above 0.
    pub balance: Won,
}

/// A coupon's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coupon {
    /// What it takes off.
    pub discount: Discount,
    /// The total from which on it can be used.
    pub min_order_amount: Won,
    /// Units there are.
    pub total_quantity: i64,
    /// Units that were issued, 0 to the total.
    pub issued_quantity: i64,
    /// The first instant at which it can be claimed; none: from the start.
    pub starts_at: Option<DateTime<Utc>>,
    /// The first instant at which it is over; none: never.
    pub ends_at: Option<DateTime<Utc>>,
    /// Days of 24 hours for which a unit is good; none: until `ends_at`.
    pub valid_days: Option<i32>,
}

impl Coupon {
    /// From when on a unit claimed at `accepted_at` is over: after its days, or at the coupon's end, whichever is
    /// earlier; none: never.
    pub fn expiry_of_unit(&self, accepted_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // Days that lead beyond the last date there is are days without end.
        let after_days = self.valid_days.and_then(|days| accepted_at.checked_add_signed(TimeDelta::days(days.into())));
        match (after_days, self.ends_at) {
            (Some(after_days), Some(ends_at)) => Some(after_days.min(ends_at)),
            (after_days, ends_at) => after_days.or(ends_at),
        }
    }
}

/// A unit of a coupon in a shopper's wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletEntry {
    /// The entry's id: that of the claim.
    pub user_coupon_id: Uuid,
    /// The first instant at which it is over; none: never.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether an order spent it.
    pub used: bool,
}

/// The rows of a batch. A row that was looked for and not found is here as absent; a row that is not here at all was
/// never looked for, and reading it is a fault of the program, not of the shopper: every access to one panics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    // Ordered maps, because their order is the same in every run; a hash map draws its order by lot.
    products: BTreeMap<ProductId, Option<Product>>,
    users: BTreeMap<UserId, Option<User>>,
    coupons: BTreeMap<CouponId, Option<Coupon>>,
    // By coupon first: the claims of a batch are for few coupons, and look up by two borrowed ids.
    wallet: BTreeMap<CouponId, BTreeMap<UserId, Option<WalletEntry>>>,
}

impl State {
    /// No rows.
    pub fn new() -> Self {
        State::default()
    }

    /// All rows that are needed, none of them found yet: whoever loads inserts those that exist.
    pub fn absent(needs: &Needs) -> Self {
        let mut state = State::new();
        for id in &needs.products {
            state.insert_product(id.clone(), None);
        }
        for id in &needs.users {
            state.insert_user(id.clone(), None);
        }
        for id in needs.coupons.union(&needs.coupon_terms) {
            state.insert_coupon(id.clone(), None);
        }
        for key in &needs.wallet {
            state.insert_wallet(key.clone(), None);
        }
        state
    }

    /// A product as it was loaded; none: there is no such product.
    pub fn insert_product(&mut self, id: ProductId, product: Option<Product>) {
        self.products.insert(id, product);
    }

    /// A shopper as loaded; none: there is no row, the balance is 0.
    pub fn insert_user(&mut self, id: UserId, user: Option<User>) {
        self.users.insert(id, user);
    }

    /// A coupon as loaded; none: there is no such coupon.
    pub fn insert_coupon(&mut self, id: CouponId, coupon: Option<Coupon>) {
        self.coupons.insert(id, coupon);
    }

    /// What a shopper holds of a coupon; none: nothing.
    pub fn insert_wallet(&mut self, (user, coupon): (UserId, CouponId), entry: Option<WalletEntry>) {
        self.wallet.entry(coupon).or_default().insert(user, entry);
    }

    /// The product; none: there is no such product.
    ///
    /// # Panics
    /// If the row was not declared.
    pub fn product(&self, id: &ProductId) -> Option<&Product> {
        let Some(row) = self.products.get(id) else {
            undeclared("product", id);
        };
        row.as_ref()
    }

    /// The shopper's balance, 0 without a row.
    ///
    /// # Panics
    /// If the row was not declared.
    pub fn balance(&self, id: &UserId) -> Won {
        let Some(row) = self.users.get(id) else {
            undeclared("user", id);
        };
        row.as_ref().map_or(0, |user| user.balance)
    }

    /// The coupon; none: there is no such coupon.
    ///
    /// # Panics
    /// If the row was not declared.
    pub fn coupon(&self, id: &CouponId) -> Option<&Coupon> {
        let Some(row) = self.coupons.get(id) else {
            undeclared("coupon", id);
        };
        row.as_ref()
    }

    /// What the shopper holds of the coupon; none: nothing.
    ///
    /// # Panics
    /// If the row was not declared.
    pub fn wallet_entry(&self, user: &UserId, coupon: &CouponId) -> Option<&WalletEntry> {
        let Some(row) = self.wallet.get(coupon).and_then(|users| users.get(user)) else {
            undeclared("wallet entry", format_args!("{user}/{coupon}"));
        };
        row.as_ref()
    }

    /// Brings rows loaded before a decision to where the decision left them.
    ///
    /// # Panics
    /// If the changes touch a row that was not declared, or that does not exist.
    pub fn apply(&mut self, changes: &Changes) {
        for (id, &stock) in &changes.products {
            self.product_mut(id).stock = stock;
        }
        for (id, &balance) in &changes.users {
            self.set_balance(id, balance);
        }
        for (id, &issued_quantity) in &changes.coupons {
            self.set_issued_quantity(id, issued_quantity);
        }
        for issued in &changes.issued {
            let entry =
                WalletEntry { user_coupon_id: issued.user_coupon_id, expires_at: issued.expires_at, used: false };
            self.put_in_wallet(&issued.user_id, &issued.coupon_id, entry);
        }
        for used in &changes.used {
            self.mark_used(&used.user_id, &used.coupon_id);
        }
    }

    /// Takes pieces and says how many are left.
    pub(crate) fn take_from_stock(&mut self, id: &ProductId, quantity: i64) -> i64 {
        let product = self.product_mut(id);
        product.stock -= quantity;
        product.stock
    }

    pub(crate) fn set_balance(&mut self, id: &UserId, balance: Won) {
        let Some(row) = self.users.get_mut(id) else {
            undeclared("user", id);
        };
        *row = Some(User { balance });
    }

    pub(crate) fn set_issued_quantity(&mut self, id: &CouponId, issued_quantity: i64) {
        let Some(Some(coupon)) = self.coupons.get_mut(id) else {
            undeclared("coupon", id);
        };
        coupon.issued_quantity = issued_quantity;
    }

    pub(crate) fn put_in_wallet(&mut self, user: &UserId, coupon: &CouponId, entry: WalletEntry) {
        *self.wallet_slot(user, coupon) = Some(entry);
    }

    pub(crate) fn mark_used(&mut self, user: &UserId, coupon: &CouponId) {
        let Some(entry) = self.wallet_slot(user, coupon) else {
            undeclared("wallet entry", format_args!("{user}/{coupon}"));
        };
        entry.used = true;
    }

    fn product_mut(&mut self, id: &ProductId) -> &mut Product {
        let Some(Some(product)) = self.products.get_mut(id) else {
            undeclared("product", id);
        };
        product
    }

    fn wallet_slot(&mut self, user: &UserId, coupon: &CouponId) -> &mut Option<WalletEntry> {
        let users = self.wallet.get_mut(coupon);
        let Some(slot) = users.and_then(|users| users.get_mut(user)) else {
            undeclared("wallet entry", format_args!("{user}/{coupon}"));
        };
        slot
    }
}

/// A decision on a row that nobody loaded, and so nobody locked, could be wrong: it is better not made.
fn undeclared(what: &str, id: impl std::fmt::Display) -> ! {
    panic!("the {what} {id} was used without having been declared and loaded")
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::{Coupon, Product, State};
    use crate::changes::Changes;
    use crate::money::Discount;
    use crate::needs::Needs;
    use crate::samples::{at, id};

    #[test]
    fn absent_is_not_undeclared() {
        let needs = Needs {
            coupons: [id("C1")].into(),
            coupon_terms: [id("C1"), id("C2")].into(),
            products: [id("A")].into(),
            users: [id("u1")].into(),
            wallet: [(id("u1"), id("C1"))].into(),
        };
        let state = State::absent(&needs);
        assert_eq!(state.product(&id("A")), None);
        assert_eq!(state.balance(&id("u1")), 0);
        assert_eq!(state.coupon(&id("C1")), None);
        assert_eq!(state.coupon(&id("C2")), None);
        assert_eq!(state.wallet_entry(&id("u1"), &id("C1")), None);
    }

    #[test]
    fn a_row_that_was_not_declared_cannot_be_read() {
        fn check(row: &str, read: impl Fn(&State)) {
            let mut state = State::new();
            state.insert_product(id("other"), None);
            state.insert_user(id("other"), None);
            state.insert_coupon(id("other"), None);
            state.insert_wallet((id("other"), id("C1")), None);
            let panic = catch_unwind(AssertUnwindSafe(|| read(&state))).expect_err(row);
            let text = panic.downcast_ref::<String>().expect("a formatted text");
            assert_eq!(text, &format!("the {row} was used without having been declared and loaded"));
        }
        check("product A", |state| {
            state.product(&id("A"));
        });
        check("user u1", |state| {
            state.balance(&id("u1"));
        });
        check("coupon C1", |state| {
            state.coupon(&id("C1"));
        });
        check("wallet entry u1/C1", |state| {
            state.wallet_entry(&id("u1"), &id("C1"));
        });
        check("product A", |state| {
            let changes = Changes { products: [(id("A"), 1)].into(), ..Changes::default() };
            state.clone().apply(&changes);
        });
    }

    #[test]
    fn a_row_that_does_not_exist_cannot_be_changed() {
        let mut state = State::new();
        state.insert_product(id("A"), None::<Product>);
        let changes = Changes { products: [(id("A"), 1)].into(), ..Changes::default() };
        assert!(catch_unwind(AssertUnwindSafe(|| state.apply(&changes))).is_err());
    }

    #[test]
    fn a_unit_ends_after_its_days_or_with_the_coupon() {
        const DAY: i64 = 24 * 60 * 60;
        fn check(valid_days: Option<i32>, ends_at: Option<i64>, expected: Option<i64>) {
            let coupon = Coupon {
                discount: Discount::Fixed { amount: 1 },
                min_order_amount: 0,
                total_quantity: 1,
                issued_quantity: 0,
                starts_at: None,
                ends_at: ends_at.map(at),
                valid_days,
            };
            assert_eq!(coupon.expiry_of_unit(at(7)), expected.map(at), "{coupon:?}");
        }
        check(None, None, None);
        check(Some(1), None, Some(7 + DAY));
        check(None, Some(9), Some(9));
        check(Some(1), Some(6 + DAY), Some(6 + DAY));
        check(Some(1), Some(7 + DAY), Some(7 + DAY));
        check(Some(1), Some(8 + DAY), Some(7 + DAY));
        check(Some(36_500), None, Some(7 + 36_500 * DAY));
        // Beyond the last date there is.
        check(Some(i32::MAX), None, None);
        check(Some(i32::MAX), Some(9), Some(9));
    }
}
