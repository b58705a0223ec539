//! What is measured: commands that can all be done, so that every answer is a commit that mattered.

use std::path::Path;

use anyhow::{Context, Result};
use common::limits::MAX_AMOUNT_WON;
use common::{CouponId, ProductId, UserId};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

use crate::load::{Door, Letter};
use crate::sale::{self, Campaign, Manner, Order, Product, Replay, Sale, User};

/// Claims of one coupon, as they are called.
pub const CLAIMS: &str = "coupon claims, one coupon";
/// Orders of two products, as they are called.
pub const ORDERS: &str = "orders of two of 1,000 products";
/// Orders of two products, one of them the same for everybody, as they are called.
pub const HOT_ORDERS: &str = "orders sharing one hot product";
/// Real orders, as they are called.
pub const REAL: &str = "real orders";

const SEED: u64 = 1;
/// Products that two-product orders are spread over.
pub const PRODUCTS: usize = 1_000;
const PRICE_WON: i64 = 1_000;
const STOCK_PIECES: i64 = 1_000_000_000;

/// Commands of one kind, and what must be there for them.
#[derive(Debug)]
pub struct Workload {
    /// What it is called.
    pub name: &'static str,
    /// What must be created once, before the first measurement.
    pub sale: Sale,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Every measurement has a coupon of its own, which all of these claim.
    Claims(Vec<UserId>),
    /// The orders of the sale, every time.
    Orders,
}

impl Workload {
    /// So many claims of one coupon, each by another shopper.
    ///
    /// # Errors
    /// Never: the ids are ours.
    pub fn claims(count: usize) -> Result<Workload> {
        let users = (0..count).map(|number| format!("shopper{number}").parse().context("naming a shopper"));
        let kind = Kind::Claims(users.collect::<Result<_>>()?);
        Ok(Workload { name: CLAIMS, sale: Sale::default(), kind })
    }

    /// So many orders of two products each, by so many users.
    ///
    /// # Errors
    /// Never: the ids are ours.
    pub fn orders(count: usize, users: usize) -> Result<Workload> {
        two_products(ORDERS, count, users, |random| random.random_range(0..PRODUCTS))
    }

    /// The same goods and users, but everybody orders the same product, and some other one.
    ///
    /// # Errors
    /// Never: the ids are ours.
    pub fn hot_orders(count: usize, users: usize) -> Result<Workload> {
        two_products(HOT_ORDERS, count, users, |_| 0)
    }

    /// Real orders from a folder, in their order, in stock and affordable in so many measurements.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn real(folder: &Path, rounds: usize) -> Result<Workload> {
        let rounds = i64::try_from(rounds).context("counting rounds")?;
        let sale = Replay { stock_factor: 1.0, rounds }.read(folder)?;
        Ok(Workload { name: REAL, sale, kind: Kind::Orders })
    }

    /// How many commands one measurement has.
    pub fn len(&self) -> usize {
        match &self.kind {
            Kind::Claims(users) => users.len(),
            Kind::Orders => self.sale.orders.len(),
        }
    }

    /// The mean of an order's lines; none for claims.
    pub fn mean_lines(&self) -> Option<f64> {
        let lines: usize = self.sale.orders.iter().map(|order| order.items.len()).sum();
        (lines > 0).then(|| lines as f64 / self.sale.orders.len() as f64)
    }

    /// The commands of one measurement, and the campaign that must be created for it. `waiting`: their answers come when
    /// the outcome is known.
    ///
    /// # Errors
    /// Never: the ids are ours.
    pub fn commands(&self, door: Door, waiting: bool) -> Result<(Option<Campaign>, Vec<Letter>)> {
        let manner = Manner { door, with_keys: false, waiting };
        match &self.kind {
            Kind::Claims(users) => {
                let coupon_id: CouponId = Uuid::now_v7().to_string().parse().context("naming a coupon")?;
                let letters = sale::claims(&coupon_id, users, manner);
                let total_quantity = i64::try_from(users.len()).context("counting shoppers")?;
                let campaign =
                    Campaign { coupon_id, total_quantity, discount_percent: 10, max_discount: 1_000, min_order: 0 };
                Ok((Some(campaign), letters))
            }
            Kind::Orders => Ok((None, self.sale.order_letters(manner))),
        }
    }
}

/// Orders of two products each; `first` draws the one, the other is any other.
fn two_products(
    name: &'static str,
    count: usize,
    users: usize,
    first: impl Fn(&mut StdRng) -> usize,
) -> Result<Workload> {
    let mut random = StdRng::seed_from_u64(SEED);
    let product_ids = (0..PRODUCTS).map(|number| format!("P{number}").parse().context("naming a product"));
    let product_ids: Vec<ProductId> = product_ids.collect::<Result<_>>()?;
    let user_ids = (0..users).map(|number| format!("user{number}").parse().context("naming a user"));
    let user_ids: Vec<UserId> = user_ids.collect::<Result<_>>()?;
    let order = |_| {
        let first = first(&mut random);
        let second = (first + random.random_range(1..PRODUCTS)) % PRODUCTS;
        Order {
            user_id: user_ids[random.random_range(0..users)].clone(),
            items: [first, second].map(|product| (product_ids[product].clone(), 1)).into(),
            coupon_id: None,
        }
    };
    let orders = (0..count).map(order).collect();
    let product = |product_id: &ProductId| Product {
        product_id: product_id.clone(),
        name: format!("Product {product_id}"),
        price: PRICE_WON,
        stock: STOCK_PIECES,
    };
    let user = |user_id: &UserId| User { user_id: user_id.clone(), balance: MAX_AMOUNT_WON };
    let products = product_ids.iter().map(product).collect();
    let users = user_ids.iter().map(user).collect();
    let sale = Sale { products, users, orders, ..Sale::default() };
    Ok(Workload { name, sale, kind: Kind::Orders })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measurement_has_a_coupon_of_its_own() {
        let workload = Workload::claims(3).unwrap();
        let door = Door::new("127.0.0.1:1".parse().unwrap());
        let [(first, letters), (second, _)] = [false, true].map(|waiting| workload.commands(door, waiting).unwrap());
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_ne!(first.coupon_id, second.coupon_id);
        assert_eq!((first.total_quantity, letters.len(), workload.len()), (3, 3, 3));
        assert_eq!(workload.mean_lines(), None);
    }

    #[test]
    fn orders_have_two_products_and_can_be_paid() {
        let workload = Workload::orders(5_000, 100).unwrap();
        let hot = Workload::hot_orders(5_000, 100).unwrap();
        for workload in [&workload, &hot] {
            assert_eq!((workload.len(), workload.mean_lines()), (5_000, Some(2.0)));
            assert!(workload.sale.orders.iter().all(|order| order.items[0].0 != order.items[1].0));
        }
        assert!(hot.sale.orders.iter().all(|order| order.items[0].0.as_str() == "P0"));
        assert_eq!((&hot.sale.products, &hot.sale.users), (&workload.sale.products, &workload.sale.users));
        let dearest = 2 * PRICE_WON * 5_000;
        assert!(workload.sale.users.iter().all(|user| user.balance >= dearest));
    }
}
