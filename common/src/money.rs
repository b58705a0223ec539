//! Money is a whole number of won, and discounts never invent a fraction of one.

use crate::limits::MAX_DISCOUNT_PERCENT;

/// An amount of money in won. Balances, prices and totals are at or above 0; a ledger entry that takes money is below.
pub type Won = i64;

/// What a coupon takes off an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discount {
    /// The same sum off every order.
    Fixed {
        /// Won, above 0.
        amount: Won,
    },
    /// A share of the order's total.
    Percent {
        /// 1 to 100.
        percent: i64,
        /// Won that the discount never exceeds; none: no such cap.
        max_discount: Option<Won>,
    },
}

impl Discount {
    /// A discount as it is stored and sent: `FIXED` or `PERCENT`, its value, and the cap of a share. None where that is no
    /// discount.
    pub fn of(discount_type: &str, value: i64, max_discount: Option<Won>) -> Option<Discount> {
        match discount_type {
            "FIXED" if value > 0 => Some(Discount::Fixed { amount: value }),
            "PERCENT" if (1..=MAX_DISCOUNT_PERCENT).contains(&value) => {
                Some(Discount::Percent { percent: value, max_discount })
            }
            _ => None,
        }
    }

    /// What is taken off an order of `total` won (at or above 0): a share is floored to the won, capped, and nothing
    /// takes more than the total.
    pub fn amount_on(&self, total: Won) -> Won {
        let amount = match *self {
            Discount::Fixed { amount } => amount,
            Discount::Percent { percent, max_discount } => {
                // Hundreds and the rest apart: the same floor as `total * percent / 100`, which overflows for the
                // largest orders.
                let share = (total / 100) * percent + (total % 100) * percent / 100;
                max_discount.map_or(share, |cap| share.min(cap))
            }
        };
        amount.min(total)
    }
}

#[cfg(test)]
mod tests {
    use super::{Discount, Won};
    use crate::limits::{MAX_AMOUNT_WON, MAX_SUMMED_QUANTITY_PIECES};

    fn check(discount: Discount, total: Won, expected: Won) {
        assert_eq!(discount.amount_on(total), expected, "{discount:?} on {total}");
    }

    fn percent(percent: i64, max_discount: Option<Won>) -> Discount {
        Discount::Percent { percent, max_discount }
    }

    #[test]
    fn what_is_stored_is_a_discount_or_none() {
        let rows = [
            ("FIXED", 3_000, Some(Discount::Fixed { amount: 3_000 })),
            ("FIXED", 0, None),
            ("PERCENT", 1, Some(percent(1, Some(500)))),
            ("PERCENT", 100, Some(percent(100, Some(500)))),
            ("PERCENT", 0, None),
            ("PERCENT", 101, None),
            ("percent", 10, None),
            ("", 10, None),
        ];
        for (discount_type, value, meant) in rows {
            assert_eq!(Discount::of(discount_type, value, Some(500)), meant, "{discount_type} {value}");
        }
    }

    #[test]
    fn a_fixed_sum_never_exceeds_the_total() {
        let fixed = Discount::Fixed { amount: 3_000 };
        check(fixed, 10_000, 3_000);
        check(fixed, 3_001, 3_000);
        check(fixed, 3_000, 3_000);
        check(fixed, 2_999, 2_999);
        check(fixed, 0, 0);
    }

    #[test]
    fn a_share_is_floored_then_capped() {
        check(percent(10, None), 10_000, 1_000);
        check(percent(10, None), 9_999, 999);
        check(percent(1, None), 99, 0);
        check(percent(1, None), 100, 1);
        check(percent(33, None), 101, 33);
        check(percent(99, None), 1, 0);
        check(percent(100, None), 12_345, 12_345);
        check(percent(50, None), 0, 0);
        check(percent(10, Some(999)), 10_000, 999);
        check(percent(10, Some(1_000)), 10_000, 1_000);
        check(percent(10, Some(1_001)), 10_000, 1_000);
        check(percent(10, Some(0)), 10_000, 0);
        check(percent(100, Some(20_000)), 10_000, 10_000);
    }

    #[test]
    fn a_share_of_the_dearest_order_does_not_overflow() {
        let dearest = MAX_SUMMED_QUANTITY_PIECES * MAX_AMOUNT_WON;
        check(percent(100, None), dearest, dearest);
        check(percent(33, None), dearest, dearest / 100 * 33);
        check(percent(100, None), Won::MAX, Won::MAX);
        check(percent(99, None), Won::MAX, 9_131_138_316_486_228_048);
    }

    #[test]
    fn a_share_equals_the_product_divided() {
        for share in 1..=100 {
            for total in (0..2_000).chain(1_000_000_007..1_000_000_207) {
                check(percent(share, None), total, total * share / 100);
            }
        }
    }
}
