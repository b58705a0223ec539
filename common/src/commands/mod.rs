//! What a shopper can ask for through a line. One file per command: its shape, its checks in their order, its effect.

use serde::{Deserialize, Serialize};

use crate::group::{Group, Kind};
use crate::ids::UserId;

pub mod charge_balance;
pub mod claim_coupon;
pub mod place_order;

use charge_balance::ChargeBalance;
use claim_coupon::ClaimCoupon;
use place_order::PlaceOrder;

/// A command whose shape has been checked. Whether its product, coupon or money exists is decided in the line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// One unit of a coupon.
    #[serde(rename = "COUPON_ISSUE")]
    ClaimCoupon(ClaimCoupon),
    /// An order.
    #[serde(rename = "ORDER_PLACEMENT")]
    PlaceOrder(PlaceOrder),
    /// Money onto a balance.
    #[serde(rename = "BALANCE_CHARGE")]
    ChargeBalance(ChargeBalance),
}

impl Command {
    /// What the command asks for.
    pub fn kind(&self) -> Kind {
        match self {
            Command::ClaimCoupon(_) => Kind::CouponIssue,
            Command::PlaceOrder(_) => Kind::OrderPlacement,
            Command::ChargeBalance(_) => Kind::BalanceCharge,
        }
    }

    /// Who asks.
    pub fn user_id(&self) -> &UserId {
        match self {
            Command::ClaimCoupon(claim) => &claim.user_id,
            Command::PlaceOrder(order) => &order.user_id,
            Command::ChargeBalance(charge) => &charge.user_id,
        }
    }

    /// The group in whose lanes the command stands, with coupons spread over `coupon_groups` groups (1 to 64).
    ///
    /// # Panics
    /// If `coupon_groups` is not within 1 to 64.
    pub fn group(&self, coupon_groups: u8) -> Group {
        match self {
            Command::ClaimCoupon(claim) => Group::coupon(&claim.coupon_id, coupon_groups),
            Command::PlaceOrder(_) => Group::ORDER,
            Command::ChargeBalance(_) => Group::CHARGE,
        }
    }

    /// The bytes that stand for "the same body" when an idempotency key comes again: equal exactly for equal commands,
    /// whatever spaces, unknown members or member order the client sent. The caller hashes them. Hashes outlive a
    /// deployment, so a member that is added later must leave no trace here while it is absent.
    pub fn fingerprint_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a command is made of texts and numbers, which JSON can hold")
    }
}

/// What is wrong with one member of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The path of the member as the client wrote it: `items[3].quantity`.
    pub field: String,
    /// What it should be, in plain English.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::Command;
    use super::charge_balance::ChargeBalance;
    use super::place_order::{OrderItem, PlaceOrder};
    use crate::group::Kind;
    use crate::samples::{claim, id};

    fn order(lines: &[(&str, i64)], coupon: Option<&str>, final_amount: Option<i64>) -> Command {
        let lines = lines.iter().map(|&(product, quantity)| OrderItem { product_id: id(product), quantity });
        let order = PlaceOrder::new(id("u1"), lines.collect(), coupon.map(id), final_amount);
        Command::PlaceOrder(order.expect("a valid order"))
    }

    fn charge(amount: i64, method: Option<&str>) -> Command {
        let charge = ChargeBalance::new(id("u1"), amount, method.map(str::to_owned));
        Command::ChargeBalance(charge.expect("a valid charge"))
    }

    #[test]
    fn a_command_says_what_and_who_and_where() {
        let claim = claim("u2", "C1");
        assert_eq!(claim.kind(), Kind::CouponIssue);
        assert_eq!(claim.user_id().as_str(), "u2");
        assert_eq!(claim.group(4).to_string(), "coupon-1");
        let order = order(&[("A", 1)], None, None);
        assert_eq!(order.kind(), Kind::OrderPlacement);
        assert_eq!(order.user_id().as_str(), "u1");
        assert_eq!(order.group(4).to_string(), "order");
        let charge = charge(1, None);
        assert_eq!(charge.kind(), Kind::BalanceCharge);
        assert_eq!(charge.user_id().as_str(), "u1");
        assert_eq!(charge.group(4).to_string(), "charge");
    }

    /// Pinned to the byte: their hashes are kept for a day and longer, and a repeat may meet a newer build.
    #[test]
    fn fingerprints_stay_as_they_are() {
        fn check(command: &Command, expected: &str) {
            let bytes = command.fingerprint_bytes();
            assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        }
        check(&claim("u1", "C1"), r#"{"COUPON_ISSUE":{"userId":"u1","couponId":"C1"}}"#);
        check(
            &order(&[("A", 1)], None, None),
            r#"{"ORDER_PLACEMENT":{"userId":"u1","items":[{"productId":"A","quantity":1}]}}"#,
        );
        check(
            &order(&[("A", 1), ("B", 2), ("A", 3)], Some("C1"), Some(900)),
            r#"{"ORDER_PLACEMENT":{"userId":"u1","items":[{"productId":"A","quantity":4},{"productId":"B","quantity":2}],"couponId":"C1","finalAmount":900}}"#,
        );
        check(&charge(50_000, None), r#"{"BALANCE_CHARGE":{"userId":"u1","amount":50000}}"#);
        check(&charge(1, Some("pm_1")), r#"{"BALANCE_CHARGE":{"userId":"u1","amount":1,"paymentMethod":"pm_1"}}"#);
    }

    #[test]
    fn another_body_has_another_fingerprint() {
        let commands = [
            claim("u1", "C1"),
            claim("u1", "C2"),
            claim("u2", "C1"),
            order(&[("A", 1)], None, None),
            order(&[("A", 2)], None, None),
            charge(1, None),
            charge(2, None),
            charge(1, Some("pm_1")),
            order(&[("B", 1)], None, None),
            order(&[("A", 1), ("B", 1)], None, None),
            order(&[("A", 1)], Some("C1"), None),
            order(&[("A", 1)], None, Some(0)),
            order(&[("A", 1)], None, Some(1)),
        ];
        for (i, one) in commands.iter().enumerate() {
            for other in &commands[i + 1..] {
                assert_ne!(one.fingerprint_bytes(), other.fingerprint_bytes(), "{one:?} {other:?}");
            }
        }
    }
}
