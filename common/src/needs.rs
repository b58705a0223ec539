//! Say what will be read before reading it: the rows that a batch touches, so that they are loaded at once and locked
//! in one order.

use std::collections::BTreeSet;

use crate::commands::Command;
use crate::ids::{CouponId, ProductId, UserId};

/// The rows that a batch of commands reads. Sets, so that each is named once and in the order in which it is locked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Coupons that are claimed: lanes of the batch, to be locked.
    pub coupons: BTreeSet<CouponId>,
    /// Coupons that orders want to use: only read, their lanes belong to other batches. A coupon that is also claimed
    /// in the same batch stands in both sets.
    pub coupon_terms: BTreeSet<CouponId>,
    /// Products that are ordered: lanes of the batch, to be locked.
    pub products: BTreeSet<ProductId>,
    /// Shoppers who order: lanes of the batch, to be locked.
    pub users: BTreeSet<UserId>,
    /// Whether the shopper holds the coupon: for claims and for orders that use one. Only read.
    pub wallet: BTreeSet<(UserId, CouponId)>,
}

/// The rows that these commands read, and the only ones: reading another one later is an assertion failure.
pub fn needs<'a>(commands: impl IntoIterator<Item = &'a Command>) -> Needs {
    let mut needs = Needs::default();
    for command in commands {
        match command {
            Command::ClaimCoupon(claim) => {
                needs.coupons.insert(claim.coupon_id.clone());
                needs.wallet.insert((claim.user_id.clone(), claim.coupon_id.clone()));
            }
            Command::PlaceOrder(order) => {
                needs.users.insert(order.user_id.clone());
                let products = order.items.iter().map(|item| item.product_id.clone());
                needs.products.extend(products);
                if let Some(coupon_id) = &order.coupon_id {
                    needs.coupon_terms.insert(coupon_id.clone());
                    needs.wallet.insert((order.user_id.clone(), coupon_id.clone()));
                }
            }
            // Its balance is read when it is settled.
            Command::ChargeBalance(_) => {}
        }
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::{Needs, needs};
    use crate::commands::Command;
    use crate::commands::place_order::{OrderItem, PlaceOrder};
    use crate::samples::{claim, id};

    fn order(user: &str, products: &[&str], coupon: Option<&str>) -> Command {
        let lines = products.iter().map(|product| OrderItem { product_id: id(product), quantity: 1 });
        let order = PlaceOrder::new(id(user), lines.collect(), coupon.map(id), None);
        Command::PlaceOrder(order.expect("a valid order"))
    }

    #[test]
    fn each_command_names_its_rows() {
        fn check(commands: &[Command], expected: Needs) {
            assert_eq!(needs(commands), expected, "{commands:?}");
        }
        check(&[], Needs::default());
        // A claim touches no balance, so the shopper's row is nobody's business.
        check(
            &[claim("u2", "C1"), claim("u1", "C1"), claim("u2", "C1")],
            Needs {
                coupons: [id("C1")].into(),
                wallet: [(id("u1"), id("C1")), (id("u2"), id("C1"))].into(),
                ..Needs::default()
            },
        );
        check(
            &[order("u1", &["B", "A", "B"], None)],
            Needs { products: [id("A"), id("B")].into(), users: [id("u1")].into(), ..Needs::default() },
        );
        check(
            &[order("u1", &["A"], Some("C2")), claim("u2", "C2")],
            Needs {
                coupons: [id("C2")].into(),
                coupon_terms: [id("C2")].into(),
                products: [id("A")].into(),
                users: [id("u1")].into(),
                wallet: [(id("u1"), id("C2")), (id("u2"), id("C2"))].into(),
            },
        );
    }
}
