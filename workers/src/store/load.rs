//! Loading what a decision needs beyond the locked rows.

use chrono::{DateTime, Utc};
use common::{Needs, State, WalletEntry};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::{
    Doing, Locked, StoreError,
    lock::{CouponRow, parse_id},
};

/// Makes the state that a batch is decided on: the locked rows, and what is read without a lock, because it belongs to
/// another group's lanes (the terms of a coupon that an order uses) or only grows under them (the wallet).
///
/// # Errors
/// When Postgres fails, or a row cannot be read.
pub async fn load(connection: &mut PgConnection, needs: &Needs, locked: Locked) -> Result<State, StoreError> {
    let mut state = State::absent(needs);
    for (id, product) in locked.products {
        if needs.products.contains(&id) {
            state.insert_product(id, Some(product));
        }
    }
    for (id, user) in locked.users {
        if needs.users.contains(&id) {
            state.insert_user(id, Some(user));
        }
    }
    for (id, coupon) in locked.coupons {
        if needs.coupons.contains(&id) {
            state.insert_coupon(id, Some(coupon));
        }
    }
    if !needs.coupon_terms.is_empty() {
        load_coupon_terms(connection, needs, &mut state).await?;
    }
    if !needs.wallet.is_empty() {
        load_wallet(connection, needs, &mut state).await?;
    }
    Ok(state)
}

async fn load_coupon_terms(connection: &mut PgConnection, needs: &Needs, state: &mut State) -> Result<(), StoreError> {
    let ids: Vec<&str> = needs.coupon_terms.iter().map(|id| id.as_str()).collect();
    let rows: Vec<CouponRow> = sqlx::query_as(
        "select coupon_id, discount_type, discount_value, max_discount_amount, min_order_amount,
                total_quantity, issued_quantity, starts_at, ends_at, valid_days, last_ticket
           from coupons
          where coupon_id = any($1)",
    )
    .bind(ids)
    .fetch_all(connection)
    .await
    .doing("reading the terms of coupons")?;
    for row in rows {
        let (id, coupon) = row.into_coupon()?;
        state.insert_coupon(id, Some(coupon));
    }
    Ok(())
}

async fn load_wallet(connection: &mut PgConnection, needs: &Needs, state: &mut State) -> Result<(), StoreError> {
    #[derive(FromRow)]
    struct Row {
        user_id: String,
        coupon_id: String,
        user_coupon_id: Uuid,
        expires_at: Option<DateTime<Utc>>,
        used: bool,
    }
    let (users, coupons): (Vec<&str>, Vec<&str>) =
        needs.wallet.iter().map(|(user, coupon)| (user.as_str(), coupon.as_str())).unzip();
    let rows: Vec<Row> = sqlx::query_as(
        "select user_id, coupon_id, user_coupon_id, expires_at, used_at is not null as used
           from unnest($1::text[], $2::text[]) as wanted (user_id, coupon_id)
           join user_coupons using (user_id, coupon_id)",
    )
    .bind(users)
    .bind(coupons)
    .fetch_all(connection)
    .await
    .doing("reading wallets")?;
    for row in rows {
        let key = (parse_id("reading wallets", &row.user_id)?, parse_id("reading wallets", &row.coupon_id)?);
        let entry = WalletEntry { user_coupon_id: row.user_coupon_id, expires_at: row.expires_at, used: row.used };
        state.insert_wallet(key, Some(entry));
    }
    Ok(())
}
