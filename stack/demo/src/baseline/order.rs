//! An order of two products, the usual way.

use anyhow::{Context, Result};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::UsualWay;

const LOCK_PRODUCT: &str = include_str!("order_lock_product.sql");
const LOCK_USER: &str = include_str!("order_lock_user.sql");
const TAKE_STOCK: &str = include_str!("order_take_stock.sql");
const TAKE_BALANCE: &str = include_str!("order_take_balance.sql");
const ADD_ORDER: &str = include_str!("order_add_order.sql");
const ADD_LINE: &str = include_str!("order_add_line.sql");
const ADD_LEDGER_ENTRY: &str = include_str!("order_add_ledger_entry.sql");
const ADD_OUTBOX_ENTRY: &str = include_str!("order_add_outbox_entry.sql");
const EMPTY_CART: &str = include_str!("order_empty_cart.sql");

/// Large primes, so that products and users of neighbouring orders are far apart and every one has its turn.
const PRODUCT_STRIDE: u64 = 7_919;
const SECOND_STRIDE: u64 = 104_729;
const USER_STRIDE: u64 = 15_485_863;

/// Orders of two products each, over many products and by many users.
#[derive(Debug, Clone, Copy)]
pub struct Orders {
    products: u64,
    users: u64,
    hot: bool,
}

impl Orders {
    /// Makes products of which there is enough, and users who can pay.
    ///
    /// # Errors
    /// When Postgres fails.
    pub async fn prepare(connection: &mut PgConnection, products: u64, users: u64) -> Result<Orders> {
        sqlx::query(
            "insert into products (product_id, name, price, stock, stocked)
             select 'P' || number, 'Product ' || number, 1000, 1000000000, 1000000000
               from generate_series(0, $1 - 1) as number",
        )
        .bind(products.cast_signed())
        .execute(&mut *connection)
        .await
        .context("making the baseline's products")?;
        sqlx::query(
            "insert into users (user_id, balance)
             select 'user' || number, 1000000000000 from generate_series(0, $1 - 1) as number",
        )
        .bind(users.cast_signed())
        .execute(connection)
        .await
        .context("making the baseline's users")?;
        Ok(Orders { products, users, hot: false })
    }

    /// The same, but everybody wants the same product, and some other one.
    #[must_use]
    pub fn with_hot_product(self) -> Orders {
        Orders { hot: true, ..self }
    }

    /// The two products of an order, in the order in which everybody locks them: nobody waits in a circle.
    fn products_of(self, number: u64) -> [String; 2] {
        let first = if self.hot { 0 } else { number.wrapping_mul(PRODUCT_STRIDE) % self.products };
        let steps = 1 + number.wrapping_mul(SECOND_STRIDE) % (self.products - 1);
        let mut products = [first, (first + steps) % self.products].map(|product| format!("P{product}"));
        products.sort_unstable();
        products
    }
}

impl UsualWay for Orders {
    #[expect(clippy::disallowed_methods, reason = "the usual way sets no time-outs, and they would slow it down")]
    async fn serve(&self, connection: &mut PgConnection, number: u64) -> Result<bool> {
        const QUANTITY: i64 = 1;
        let user_id = format!("user{}", number.wrapping_mul(USER_STRIDE) % self.users);
        let products = self.products_of(number);
        let order_id = Uuid::now_v7();

        let mut transaction = connection.begin().await.context("beginning")?;
        let mut prices = Vec::with_capacity(products.len());
        for product in &products {
            let (price, stock): (i64, i64) = sqlx::query_as(LOCK_PRODUCT)
                .bind(product)
                .fetch_one(&mut *transaction)
                .await
                .context("locking a product")?;
            if stock < QUANTITY {
                transaction.rollback().await.context("rolling back")?;
                return Ok(false);
            }
            prices.push(price);
        }
        let total: i64 = prices.iter().map(|price| price * QUANTITY).sum();
        let balance: i64 = sqlx::query_scalar(LOCK_USER)
            .bind(&user_id)
            .fetch_one(&mut *transaction)
            .await
            .context("locking the user")?;
        if balance < total {
            transaction.rollback().await.context("rolling back")?;
            return Ok(false);
        }
        for product in &products {
            let query = sqlx::query(TAKE_STOCK).bind(product).bind(QUANTITY);
            query.execute(&mut *transaction).await.context("taking from the shelf")?;
        }
        let query = sqlx::query(TAKE_BALANCE).bind(&user_id).bind(total);
        query.execute(&mut *transaction).await.context("taking from the balance")?;
        let query = sqlx::query(ADD_ORDER).bind(order_id).bind(&user_id).bind(total);
        query.execute(&mut *transaction).await.context("adding the order")?;
        for (line, (product, price)) in (1i16..).zip(products.iter().zip(&prices)) {
            let query = sqlx::query(ADD_LINE).bind(order_id).bind(line).bind(product).bind(QUANTITY).bind(price);
            query.execute(&mut *transaction).await.context("adding a line")?;
        }
        let query = sqlx::query(ADD_LEDGER_ENTRY).bind(&user_id).bind(-total).bind(balance - total).bind(order_id);
        query.execute(&mut *transaction).await.context("adding to the ledger")?;
        let query = sqlx::query(ADD_OUTBOX_ENTRY).bind(order_id);
        query.execute(&mut *transaction).await.context("telling the outbox")?;
        let query = sqlx::query(EMPTY_CART).bind(&user_id).bind(&products);
        query.execute(&mut *transaction).await.context("emptying the cart")?;
        transaction.commit().await.context("committing")?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn orders_have_two_products_and_reach_all_of_them() {
        let orders = Orders { products: 1_000, users: 10, hot: false };
        for orders in [orders, orders.with_hot_product()] {
            let mut reached = BTreeSet::new();
            for number in 0..10_000 {
                let [first, second] = orders.products_of(number);
                assert!(first < second && (!orders.hot || first == "P0"), "order {number}: {first} {second}");
                reached.extend([first, second]);
            }
            assert_eq!(reached.len(), 1_000);
        }
    }
}
