//! What is left for whoever looks around after the sale.

use common::Won;

use super::{Campaign, Sale, User};

/// The storefront's demo shoppers, each with something to spend.
const SHOPPERS: [&str; 4] = ["user1", "user2", "user3", "user4"];
const BALANCE_WON: Won = 500_000;
const DISCOUNT_MAX_WON: Won = 10_000;
const DISCOUNT_PERCENT: i64 = 20;
const COUPONS: i64 = 1_000;

/// A campaign that is still open, and the shoppers whom the storefront's sign-in page offers.
pub fn open_house() -> Sale {
    let user = |id: &str| User { user_id: id.parse().expect("an id of letters and digits"), balance: BALANCE_WON };
    Sale {
        users: SHOPPERS.into_iter().map(user).collect(),
        campaign: Some(Campaign {
            coupon_id: "OPEN-HOUSE".parse().expect("an id of letters"),
            total_quantity: COUPONS,
            discount_percent: DISCOUNT_PERCENT,
            max_discount: DISCOUNT_MAX_WON,
            min_order: 0,
        }),
        ..Sale::default()
    }
}
