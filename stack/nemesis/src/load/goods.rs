//! What is sold to whom, and its way into the shop.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use demo::sale::Replay;
use futures::{StreamExt, TryStreamExt, stream};
use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::{Value, json};

use crate::house::House;

/// The coupon that has enough for everybody, so that its lane is never empty.
pub const WIDE: &str = "WIDE";

/// A coupon that no fault touches.
pub(super) const CALM: &str = "CALM";

/// Products that no fault touches, and shoppers who want nothing else.
const QUIET: i64 = 1_000;

/// Of what must not run out.
const PLENTY: i64 = 1_000_000_000;

/// Sent to the operators' door at once when the shop is stocked.
const STOCKED_TOGETHER: usize = 16;

/// Real orders come round again for as long as a run lasts.
const ROUNDS: i64 = 1_000;

/// Written past the door, because thousands of requests would take longer than many a run.
const STOCK_QUIET: &str = "
    with shelves as (
           insert into products (product_id, name, price, stock, stocked)
           select 'Q' || number, 'Quiet ' || number, 100, $2, $2 from generate_series(1, $1) as number
         ),
         shoppers as (
           insert into users (user_id, balance)
           select 'quiet' || number, $2 from generate_series(1, $1) as number
           returning user_id, balance
         )
    insert into ledger (user_id, kind, amount, balance_after, reference_id, created_at)
    select user_id, 'OPENING', balance, balance, gen_random_uuid(), now() from shoppers";

/// What is sold to whom.
#[derive(Debug, Clone)]
pub struct Goods {
    /// Coupons and how many there are.
    pub coupons: Vec<(String, i64)>,
    /// Products, their price and stock. The first one is wanted by many when something is hot.
    pub products: Vec<(String, i64, i64)>,
    /// Shoppers and their balance.
    pub users: Vec<(String, i64)>,
    /// Orders that are sent as they are, again and again; none: they are made up.
    pub orders: Arc<[Value]>,
}

impl Goods {
    /// A few scarce coupons and many products, some of which run out, for shoppers of whom some are poor.
    pub fn made_up() -> Goods {
        const PRODUCTS: i64 = 60;
        const USERS: i64 = 80;
        Goods {
            coupons: coupons(),
            products: (1..=PRODUCTS)
                .map(|number| (format!("P{number}"), 100 + number, if number % 7 == 0 { 40 } else { PLENTY }))
                .collect(),
            users: (1..=USERS)
                .map(|number| (format!("user{number}"), if number % 9 == 0 { 2_000 } else { PLENTY }))
                .collect(),
            orders: Arc::default(),
        }
    }

    /// The orders of a real shop, as `cargo demo -- --orders` reads them, beside the same coupons.
    ///
    /// # Errors
    /// When a file is not there, or not what it should be.
    pub fn real(folder: &Path) -> Result<Goods> {
        let sale = Replay { stock_factor: 1.0, rounds: ROUNDS }.read(folder).context("reading real orders")?;
        let order = |order: &demo::sale::Order| {
            let items = order.items.iter();
            let items: Vec<Value> =
                items.map(|(product, quantity)| json!({"productId": product.as_str(), "quantity": quantity})).collect();
            json!({"userId": order.user_id.as_str(), "items": items})
        };
        Ok(Goods {
            coupons: coupons(),
            products: sale
                .products
                .iter()
                .map(|product| (product.product_id.to_string(), product.price, product.stock))
                .collect(),
            users: sale.users.iter().map(|user| (user.user_id.to_string(), user.balance)).collect(),
            orders: sale.orders.iter().map(order).collect(),
        })
    }

    /// The product that is wanted when something is hot.
    pub fn hot(&self) -> &str {
        &self.products[0].0
    }

    /// Creates everything in the shop.
    ///
    /// # Errors
    /// When something is refused.
    pub async fn stock(&self, house: &House) -> Result<()> {
        let coupons = self.coupons.iter().map(|(id, total)| {
            let coupon = json!({"couponId": id, "name": id, "discountType": "FIXED", "discountValue": 100,
                                "totalQuantity": total, "validDays": 30});
            ("/coupons", coupon)
        });
        let products = self.products.iter().map(|(id, price, stock)| {
            ("/products", json!({"productId": id, "name": id, "price": price, "stock": stock}))
        });
        let users = self.users.iter().map(|(id, balance)| ("/users", json!({"userId": id, "balance": balance})));
        let all: Vec<(&str, Value)> = coupons.chain(products).chain(users).collect();
        stream::iter(&all)
            .map(|(path, body)| house.admin(Method::POST, path, Some(body)))
            .buffer_unordered(STOCKED_TOGETHER)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await?;
        sqlx::query(STOCK_QUIET)
            .bind(QUIET)
            .bind(PLENTY)
            .execute(&house.pool)
            .await
            .context("stocking what is quiet")?;
        Ok(())
    }
}

fn coupons() -> Vec<(String, i64)> {
    vec![("RUSH".to_owned(), 600), (WIDE.to_owned(), 1_000_000), (CALM.to_owned(), PLENTY)]
}

/// An order of somebody whom no fault touches.
pub(super) fn quiet_order(random: &mut StdRng) -> Value {
    let mut number = || random.random_range(1..=QUIET);
    json!({"userId": format!("quiet{}", number()), "items": [{"productId": format!("Q{}", number()), "quantity": 1}]})
}
