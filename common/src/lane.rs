//! The names of lanes. A lane is the line of one resource, and its name says which: `coupon:C1`, `product:P001`,
//! `user:user1`, `charge:user1`. No id contains a colon, so a name can be read back.

use std::fmt;

use crate::commands::Command;
use crate::group::Group;
use crate::ids::{CouponId, ProductId, UserId};

/// The lanes in which a command stands, sorted and distinct: a claim in its coupon's, an order in those of its products
/// and of its user, whose balance, wallet and cart it changes, a charge in that of its user's charges.
pub fn lanes(command: &Command) -> Vec<String> {
    match command {
        Command::ClaimCoupon(claim) => vec![format!("coupon:{}", claim.coupon_id)],
        Command::PlaceOrder(order) => {
            let mut lanes = Vec::with_capacity(order.items.len() + 1);
            lanes.extend(order.items.iter().map(|item| format!("product:{}", item.product_id)));
            lanes.push(format!("user:{}", order.user_id));
            lanes.sort_unstable();
            lanes.dedup();
            lanes
        }
        // Not the user's own: orders must not wait for a gateway.
        Command::ChargeBalance(charge) => vec![format!("charge:{}", charge.user_id)],
    }
}

/// Reads the name of a lane; none if no lane can be called that.
pub fn parse(name: &str) -> Option<LaneName> {
    let (resource, id) = name.split_once(':')?;
    match resource {
        "coupon" => id.parse().ok().map(LaneName::Coupon),
        "product" => id.parse().ok().map(LaneName::Product),
        "user" => id.parse().ok().map(LaneName::User),
        "charge" => id.parse().ok().map(LaneName::Charge),
        _ => None,
    }
}

/// The resource whose line a lane is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneName {
    /// Claims of one coupon.
    Coupon(CouponId),
    /// Orders that contain one product.
    Product(ProductId),
    /// Orders of one shopper.
    User(UserId),
    /// Charges of one shopper.
    Charge(UserId),
}

impl LaneName {
    /// The group that the lane belongs to, with coupons spread over `coupon_groups` groups (1 to 64).
    ///
    /// # Panics
    /// If `coupon_groups` is not within 1 to 64.
    pub fn group(&self, coupon_groups: u8) -> Group {
        match self {
            LaneName::Coupon(id) => Group::coupon(id, coupon_groups),
            LaneName::Product(_) | LaneName::User(_) => Group::ORDER,
            LaneName::Charge(_) => Group::CHARGE,
        }
    }
}

impl fmt::Display for LaneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LaneName::Coupon(id) => write!(f, "coupon:{id}"),
            LaneName::Product(id) => write!(f, "product:{id}"),
            LaneName::User(id) => write!(f, "user:{id}"),
            LaneName::Charge(id) => write!(f, "charge:{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{lanes, parse};
    use crate::commands::Command;
    use crate::commands::charge_balance::ChargeBalance;
    use crate::commands::place_order::{OrderItem, PlaceOrder};
    use crate::samples::{claim, id};

    #[test]
    fn a_claim_stands_in_the_lane_of_its_coupon() {
        assert_eq!(lanes(&claim("user1", "C1")), ["coupon:C1"]);
    }

    #[test]
    fn an_order_stands_in_the_lanes_of_its_products_and_its_user() {
        let lines = ["P9", "P1", "P9", "user1"].map(|product| OrderItem { product_id: id(product), quantity: 1 });
        let order = PlaceOrder::new(id("user1"), lines.into(), Some(id("C1")), None).unwrap();
        assert_eq!(lanes(&Command::PlaceOrder(order)), ["product:P1", "product:P9", "product:user1", "user:user1"]);
    }

    #[test]
    fn a_charge_stands_in_a_lane_beside_the_orders_of_its_user() {
        let charge = ChargeBalance::new(id("user1"), 1, None).unwrap();
        assert_eq!(lanes(&Command::ChargeBalance(charge)), ["charge:user1"]);
    }

    #[test]
    fn names_can_be_read_back() {
        fn check(name: &str, group: &str) {
            let lane = parse(name).unwrap_or_else(|| panic!("{name} is a lane"));
            assert_eq!(lane.to_string(), name);
            assert_eq!(lane.group(4).to_string(), group, "{name}");
        }
        check("coupon:C1", "coupon-1");
        check("product:P001", "order");
        check("user:user1", "order");
        check("charge:user1", "charge");
    }

    #[test]
    fn nothing_else_is_a_lane() {
        for name in ["", "coupon", "coupon:", ":C1", "Coupon:C1", "coupon:C 1", "coupon:a:b", "cart:user1", "*"] {
            assert_eq!(parse(name), None, "{name:?}");
        }
    }
}
