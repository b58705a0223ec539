//! Kinds of requests, and the groups of lanes in which they stand.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::CouponId;
use crate::limits::MAX_COUPON_GROUPS;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// One unit of a coupon for one shopper.
    CouponIssue,
    /// An order over one or more products.
    OrderPlacement,
    /// Money onto a shopper's balance.
    BalanceCharge,
}

/// A text that names no [`Kind`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no kind of request is called {text:?}")]
pub struct UnknownKind {
    /// The text as it was found.
    pub text: String,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::CouponIssue, Kind::OrderPlacement, Kind::BalanceCharge];

    /// The name in documents and rows: `COUPON_ISSUE`, `ORDER_PLACEMENT`, `BALANCE_CHARGE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::CouponIssue => "COUPON_ISSUE",
            Kind::OrderPlacement => "ORDER_PLACEMENT",
            Kind::BalanceCharge => "BALANCE_CHARGE",
        }
    }

    /// The name of the kind's group of lanes, before any spread.
    fn group_name(self) -> &'static str {
        match self {
            Kind::CouponIssue => "coupon",
            Kind::OrderPlacement => "order",
            Kind::BalanceCharge => "charge",
        }
    }

    /// Two bits, never both 0: a byte of zeros names no group.
    fn bits(self) -> u8 {
        match self {
            Kind::CouponIssue => 1,
            Kind::OrderPlacement => 2,
            Kind::BalanceCharge => 3,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let found = Kind::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| UnknownKind { text: text.to_owned() })
    }
}

/// A group of lanes that shares one counter of tickets: `order`, `charge`, `coupon`, or one of the groups that coupons
/// are spread over (`coupon-3`). Tickets can be compared only within a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// What stands in the group's lanes.
    pub kind: Kind,
    /// Which of the coupon groups, 0 to 63; 0 for every other kind.
    pub spread: u8,
}

/// A text that names no [`Group`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no group of lanes is called {text:?}")]
pub struct InvalidGroup {
    /// The text as it was found.
    pub text: String,
}

impl Group {
    /// The group of orders.
    pub const ORDER: Group = Group { kind: Kind::OrderPlacement, spread: 0 };

    /// The group of charges.
    pub const CHARGE: Group = Group { kind: Kind::BalanceCharge, spread: 0 };

    /// The group of a coupon when coupons are spread over `groups` groups (1 to 64): the 64-bit FNV-1a hash of the id's
    /// bytes, modulo `groups`. It is the same for ever and everywhere, because a lane that changed its group would
    /// leave its line behind; `groups` itself may only change while the lines are empty.
    ///
    /// # Panics
    /// If `groups` is not within 1 to 64.
    pub fn coupon(id: &CouponId, groups: u8) -> Group {
        assert!(
            (1..=MAX_COUPON_GROUPS).contains(&groups),
            "coupons can be spread over 1 to {MAX_COUPON_GROUPS} groups, not over {groups}"
        );
        let [.., spread] = (fnv1a(id.as_str().as_bytes()) % u64::from(groups)).to_be_bytes();
        Group { kind: Kind::CouponIssue, spread }
    }

    /// The group as the last byte of a request id: the kind in the two upper bits, the spread in the six lower ones.
    pub(crate) fn to_byte(self) -> u8 {
        assert!(self.spread < MAX_COUPON_GROUPS, "a spread of {} does not fit into six bits", self.spread);
        self.kind.bits() << 6 | self.spread
    }

    /// The group that [`Group::to_byte`] wrote; none: the byte was not written by it.
    pub(crate) fn from_byte(byte: u8) -> Option<Group> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.bits() == byte >> 6)?;
        Group::checked(kind, byte & 0b11_1111)
    }

    /// Only coupons are spread; for other kinds there is no second group.
    fn checked(kind: Kind, spread: u8) -> Option<Group> {
        let exists = match kind {
            Kind::CouponIssue => spread < MAX_COUPON_GROUPS,
            Kind::OrderPlacement | Kind::BalanceCharge => spread == 0,
        };
        exists.then_some(Group { kind, spread })
    }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.kind.group_name();
        match self.spread {
            0 => f.write_str(name),
            spread => write!(f, "{name}-{spread}"),
        }
    }
}

impl FromStr for Group {
    type Err = InvalidGroup;

    /// Reads what `Display` writes, and no other spelling: the text is part of keys.
    fn from_str(text: &str) -> Result<Self, InvalidGroup> {
        let (name, spread) = match text.split_once('-') {
            None => (text, Some(0)),
            Some((name, number)) => (name, number.parse().ok()),
        };
        let kind = Kind::ALL.into_iter().find(|kind| kind.group_name() == name);
        kind.zip(spread)
            .and_then(|(kind, spread)| Group::checked(kind, spread))
            .filter(|group| group.to_string() == text)
            .ok_or_else(|| InvalidGroup { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Group, Kind, fnv1a};
    use crate::ids::CouponId;
    use crate::samples::id;

    #[test]
    fn kinds_have_one_name_everywhere() {
        for kind in Kind::ALL {
            let name = kind.as_str();
            assert_eq!(name.parse(), Ok(kind));
            assert_eq!(kind.to_string(), name);
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{name}\""));
        }
        for text in ["", "coupon_issue", "CouponIssue", "REFUND"] {
            assert!(text.parse::<Kind>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn groups_have_names() {
        fn check(kind: Kind, spread: u8, name: &str) {
            let group = Group { kind, spread };
            assert_eq!(group.to_string(), name);
            assert_eq!(name.parse(), Ok(group));
        }
        check(Kind::CouponIssue, 0, "coupon");
        check(Kind::CouponIssue, 1, "coupon-1");
        check(Kind::CouponIssue, 63, "coupon-63");
        check(Kind::OrderPlacement, 0, "order");
        check(Kind::BalanceCharge, 0, "charge");
    }

    #[test]
    fn no_group_has_two_names() {
        for text in [
            "",
            "Coupon",
            "coupon-",
            "coupon-0",
            "coupon-03",
            "coupon-+3",
            "coupon--3",
            "coupon-64",
            "coupon-100",
            "coupon-256",
            "coupon-3-3",
            "coupon ",
            "order-0",
            "order-3",
            "charge-1",
            "refund",
        ] {
            assert!(text.parse::<Group>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_hash_is_the_one_that_is_written_down() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_coupon_stays_in_its_group() {
        let coupon: CouponId = id("C1");
        assert_eq!(Group::coupon(&coupon, 1).to_string(), "coupon");
        // Pinned: a build that puts a coupon elsewhere would leave its line behind.
        assert_eq!(Group::coupon(&coupon, 4).spread, 1);
        assert_eq!(Group::coupon(&coupon, 64).spread, 57);
    }

    #[test]
    fn coupons_spread_over_all_groups() {
        let ids = (0..1_000).map(|n| id::<CouponId>(&format!("C{n}")));
        let groups: BTreeSet<_> = ids.map(|id| Group::coupon(&id, 64)).collect();
        assert_eq!(groups.len(), 64);
    }

    #[test]
    fn a_spread_out_of_bounds_is_refused() {
        for groups in [0, 65, 255] {
            let tried = std::panic::catch_unwind(|| Group::coupon(&id("C1"), groups));
            assert!(tried.is_err(), "{groups}");
        }
    }
}
