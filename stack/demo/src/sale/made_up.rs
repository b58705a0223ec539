//! A flash sale that nobody held: many claim one coupon, then some of them order. The same seed gives the same sale.

use common::{CouponId, ProductId, UserId};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Campaign, Order, Product, Sale, User};

/// Prices are round sums between these.
const PRICE_MIN_TENS: i64 = 100;
const PRICE_MAX_TENS: i64 = 5_000;
const WON_PER_TEN: i64 = 10;

/// Two products an order.
const LINES: usize = 2;
/// Pieces on one line.
const QUANTITY_MAX: i64 = 3;
/// The mean of 1 to [`QUANTITY_MAX`], in tenths.
const QUANTITY_MEAN_TENTHS: usize = 20;

/// One order in so many has the hot product, of which there is too little.
const HOT_ONE_IN: u32 = 5;
/// One product in so many is scarce: there is about half of what is asked for.
const SCARCE_ONE_IN: usize = 20;
/// One shopper in so many is poor, and cannot pay.
const POOR_ONE_IN: u32 = 30;
/// One early shopper in so many uses the coupon, if the claim was lucky.
const COUPON_ONE_IN: u32 = 2;
/// One other shopper in so many tries to use a coupon that is not theirs.
const WISHFUL_ONE_IN: u32 = 20;

const BALANCE_RICH_WON: i64 = 10_000_000;
const BALANCE_POOR_WON: i64 = 900;
/// What is not scarce is there in plenty.
const STOCK_PLENTY: i64 = 1_000_000;

const DISCOUNT_PERCENT: i64 = 10;
const DISCOUNT_MAX_WON: i64 = 5_000;
const DISCOUNT_MIN_ORDER_WON: i64 = 10_000;

/// How large a made-up sale is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Shoppers, who claim a coupon once each.
    pub shoppers: usize,
    /// Coupons of the campaign.
    pub coupons: usize,
    /// Orders, of two products each.
    pub orders: usize,
    /// Products; at least two.
    pub products: usize,
}

/// Makes up a sale.
///
/// # Panics
/// If there are fewer than two products, or orders but no shoppers.
pub fn made_up(size: Size, coupon_id: CouponId, seed: u64) -> Sale {
    assert!(size.products >= LINES, "an order of {LINES} products needs as many");
    assert!(size.orders == 0 || size.shoppers > 0, "orders need somebody who orders");
    let mut random = StdRng::seed_from_u64(seed);
    let products = products(size, &mut random);
    let users: Vec<User> = (1..=size.shoppers).map(|number| user(number, &mut random)).collect();
    let claims: Vec<UserId> = users.iter().map(|user| user.user_id.clone()).collect();
    let orders = (0..size.orders).map(|_| order(size, &products, &users, &coupon_id, &mut random)).collect();
    let campaign = Campaign {
        coupon_id,
        total_quantity: size.coupons as i64,
        discount_percent: DISCOUNT_PERCENT,
        max_discount: DISCOUNT_MAX_WON,
        min_order: DISCOUNT_MIN_ORDER_WON,
    };
    Sale { products, users, campaign: Some(campaign), claims, orders }
}

fn products(size: Size, random: &mut StdRng) -> Vec<Product> {
    let hot_orders = size.orders / HOT_ONE_IN as usize;
    let mean_lines = size.orders * LINES / size.products;
    let half_of = |lines: usize| (lines * QUANTITY_MEAN_TENTHS / 10 / 2) as i64;
    let product = |number: usize| {
        let stock = match number {
            1 => half_of(hot_orders),
            _ if number.is_multiple_of(SCARCE_ONE_IN) => half_of(mean_lines),
            _ => STOCK_PLENTY,
        };
        Product {
            product_id: id(format!("P{number:04}")),
            name: format!("Product {number}"),
            price: random.random_range(PRICE_MIN_TENS..=PRICE_MAX_TENS) * WON_PER_TEN,
            stock,
        }
    };
    (1..=size.products).map(product).collect()
}

fn user(number: usize, random: &mut StdRng) -> User {
    let balance = if random.random_ratio(1, POOR_ONE_IN) { BALANCE_POOR_WON } else { BALANCE_RICH_WON };
    User { user_id: id(format!("shopper{number:06}")), balance }
}

fn order(size: Size, products: &[Product], users: &[User], coupon: &CouponId, random: &mut StdRng) -> Order {
    let shopper = random.random_range(0..users.len());
    // Claims are sent in the order of the shoppers, so these are the likely winners.
    let early = shopper < size.coupons;
    let wants_coupon = random.random_ratio(1, if early { COUPON_ONE_IN } else { WISHFUL_ONE_IN });
    let first = if random.random_ratio(1, HOT_ONE_IN) { 0 } else { random.random_range(0..products.len()) };
    // Any other product: so many steps on, but never all the way round.
    let second = (first + random.random_range(1..products.len())) % products.len();
    let items = [first, second].map(|index| {
        let product: &ProductId = &products[index].product_id;
        (product.clone(), random.random_range(1..=QUANTITY_MAX))
    });
    Order {
        user_id: users[shopper].user_id.clone(),
        items: items.into(),
        coupon_id: wants_coupon.then(|| coupon.clone()),
    }
}

fn id<T: std::str::FromStr<Err = common::InvalidId>>(text: String) -> T {
    text.parse().expect("made of letters and digits, and short")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const SIZE: Size = Size { shoppers: 1_000, coupons: 100, orders: 2_000, products: 200 };

    fn sale(seed: u64) -> Sale {
        made_up(SIZE, "flash".parse().unwrap(), seed)
    }

    #[test]
    fn a_sale_has_the_size_that_was_asked_for() {
        let sale = sale(1);
        assert_eq!((sale.products.len(), sale.users.len()), (SIZE.products, SIZE.shoppers));
        assert_eq!((sale.claims.len(), sale.orders.len()), (SIZE.shoppers, SIZE.orders));
        assert_eq!(sale.campaign.unwrap().total_quantity, SIZE.coupons as i64);
        assert_eq!(sale.claims.iter().collect::<BTreeSet<_>>().len(), SIZE.shoppers, "each claims once");
    }

    #[test]
    fn the_seed_decides_everything() {
        assert_eq!(sale(7), sale(7));
        assert_ne!(sale(7), sale(8));
    }

    #[test]
    fn every_order_has_two_different_known_products() {
        let sale = sale(1);
        let known: BTreeSet<_> = sale.products.iter().map(|product| &product.product_id).collect();
        for order in &sale.orders {
            let products: BTreeSet<_> = order.items.iter().map(|(product, _)| product).collect();
            assert_eq!(products.len(), 2, "{order:?}");
            assert!(products.is_subset(&known) && order.items.iter().all(|(_, pieces)| (1..=3).contains(pieces)));
        }
    }

    #[test]
    fn refusals_of_every_kind_are_to_be_expected() {
        let sale = sale(1);
        let asked = |product: &Product| -> i64 {
            let lines = sale.orders.iter().flat_map(|order| &order.items);
            lines.filter(|(id, _)| *id == product.product_id).map(|(_, pieces)| pieces).sum()
        };
        let hot = &sale.products[0];
        assert!(asked(hot) > hot.stock && hot.stock > 0);
        let scarce = sale.products.iter().filter(|product| asked(product) > product.stock).count();
        assert!(scarce > 1 && scarce < sale.products.len() / 4, "{scarce}");
        let poor = sale.users.iter().filter(|user| user.balance < 1_000).count();
        assert!((10..100).contains(&poor), "{poor}");
        let with_coupon = sale.orders.iter().filter(|order| order.coupon_id.is_some()).count();
        assert!((50..500).contains(&with_coupon), "{with_coupon}");
    }
}
