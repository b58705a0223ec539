//! Locking the rows of a batch's lanes. From here to the end of the transaction nobody else changes them.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use common::{Coupon, CouponId, Discount, LaneName, Product, ProductId, User, UserId};
use sqlx::{FromRow, PgConnection};

use super::{Doing, StoreError};

/// The locked rows, and the fence of each lane.
#[derive(Debug, Default)]
pub struct Locked {
    /// Products that exist.
    pub products: HashMap<ProductId, Product>,
    /// Shoppers; all of them, because they come to be on first touch.
    pub users: HashMap<UserId, User>,
    /// Coupons that exist.
    pub coupons: HashMap<CouponId, Coupon>,
    /// By lane, the highest ticket that was decided on its row. A lane without a row has none.
    pub last_tickets: HashMap<String, u64>,
}

/// Locks the rows behind these lanes: `for no key update`, because nobody changes their keys. Lanes that name no row of
/// this shop have nothing to lock.
///
/// # Errors
/// When Postgres fails, a lock is not to be had in time, or a row cannot be read.
pub async fn lock(connection: &mut PgConnection, lanes: &BTreeSet<&str>) -> Result<Locked, StoreError> {
    let (mut coupons, mut products, mut users) = (Vec::new(), Vec::new(), Vec::new());
    for lane in lanes {
        match common::lane::parse(lane) {
            Some(LaneName::Coupon(id)) => coupons.push(id.as_str().to_owned()),
            Some(LaneName::Product(id)) => products.push(id.as_str().to_owned()),
            Some(LaneName::User(id)) => users.push(id.as_str().to_owned()),
            Some(LaneName::Charge(_)) | None => {}
        }
    }
    let mut locked = Locked::default();
    // One written order of tables; within a table the rows are locked by id.
    if !coupons.is_empty() {
        lock_coupons(connection, &coupons, &mut locked).await?;
    }
    if !products.is_empty() {
        lock_products(connection, &products, &mut locked).await?;
    }
    if !users.is_empty() {
        lock_users(connection, &users, &mut locked).await?;
    }
    Ok(locked)
}

#[derive(FromRow)]
pub(super) struct CouponRow {
    coupon_id: String,
    discount_type: String,
    discount_value: i64,
    max_discount_amount: Option<i64>,
    min_order_amount: i64,
    total_quantity: i64,
    issued_quantity: i64,
    starts_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
    valid_days: Option<i32>,
    last_ticket: i64,
}

impl CouponRow {
    pub(super) fn into_coupon(self) -> Result<(CouponId, Coupon), StoreError> {
        let unreadable =
            |why: String| StoreError::Unreadable { doing: "reading coupons", row: self.coupon_id.clone(), why };
        let discount = Discount::of(&self.discount_type, self.discount_value, self.max_discount_amount)
            .ok_or_else(|| unreadable(format!("no discount `{}` of {}", self.discount_type, self.discount_value)))?;
        let id = self.coupon_id.parse().map_err(|error: common::InvalidId| unreadable(error.to_string()))?;
        let coupon = Coupon {
            discount,
            min_order_amount: self.min_order_amount,
            total_quantity: self.total_quantity,
            issued_quantity: self.issued_quantity,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            valid_days: self.valid_days,
        };
        Ok((id, coupon))
    }
}

async fn lock_coupons(connection: &mut PgConnection, ids: &[String], locked: &mut Locked) -> Result<(), StoreError> {
    let rows: Vec<CouponRow> = sqlx::query_as(
        "select coupon_id, discount_type, discount_value, max_discount_amount, min_order_amount,
                total_quantity, issued_quantity, starts_at, ends_at, valid_days, last_ticket
           from coupons
          where coupon_id = any($1)
          order by coupon_id
            for no key update",
    )
    .bind(ids)
    .fetch_all(connection)
    .await
    .doing("locking coupons")?;
    for row in rows {
        locked.last_tickets.insert(format!("coupon:{}", row.coupon_id), ticket(row.last_ticket));
        let (id, coupon) = row.into_coupon()?;
        locked.coupons.insert(id, coupon);
    }
    Ok(())
}

async fn lock_products(connection: &mut PgConnection, ids: &[String], locked: &mut Locked) -> Result<(), StoreError> {
    #[derive(FromRow)]
    struct Row {
        product_id: String,
        name: String,
        price: i64,
        stock: i64,
        last_ticket: i64,
    }
    let rows: Vec<Row> = sqlx::query_as(
        "select product_id, name, price, stock, last_ticket
           from products
          where product_id = any($1)
          order by product_id
            for no key update",
    )
    .bind(ids)
    .fetch_all(connection)
    .await
    .doing("locking products")?;
    for row in rows {
        locked.last_tickets.insert(format!("product:{}", row.product_id), ticket(row.last_ticket));
        let product = Product { name: row.name, price: row.price, stock: row.stock };
        locked.products.insert(parse_id("locking products", &row.product_id)?, product);
    }
    Ok(())
}

/// Shoppers need no registration, so those without a row get one here. It changes nothing they can see: the balance of
/// a shopper without a row is 0, too.
pub(super) async fn lock_users(
    connection: &mut PgConnection,
    ids: &[String],
    locked: &mut Locked,
) -> Result<(), StoreError> {
    lock_known_users(connection, ids, locked).await?;
    if locked.users.len() == ids.len() {
        return Ok(());
    }
    let known = |id: &&String| !locked.last_tickets.contains_key(&format!("user:{id}"));
    let missing: Vec<String> = ids.iter().filter(known).cloned().collect();
    sqlx::query("insert into users (user_id) select unnest($1::text[]) on conflict do nothing")
        .bind(&missing)
        .execute(&mut *connection)
        .await
        .doing("inserting users on first touch")?;
    lock_known_users(connection, &missing, locked).await
}

async fn lock_known_users(
    connection: &mut PgConnection,
    ids: &[String],
    locked: &mut Locked,
) -> Result<(), StoreError> {
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        "select user_id, balance, last_ticket
           from users
          where user_id = any($1)
          order by user_id
            for no key update",
    )
    .bind(ids)
    .fetch_all(connection)
    .await
    .doing("locking users")?;
    for (user_id, balance, last_ticket) in rows {
        locked.last_tickets.insert(format!("user:{user_id}"), ticket(last_ticket));
        locked.users.insert(parse_id("locking users", &user_id)?, User { balance });
    }
    Ok(())
}

fn ticket(stored: i64) -> u64 {
    stored.unsigned_abs()
}

pub(super) fn parse_id<T>(doing: &'static str, text: &str) -> Result<T, StoreError>
where
    T: std::str::FromStr<Err = common::InvalidId>,
{
    text.parse().map_err(|error: common::InvalidId| StoreError::Unreadable {
        doing,
        row: text.to_owned(),
        why: error.to_string(),
    })
}
