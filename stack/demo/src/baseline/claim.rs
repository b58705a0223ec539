//! A claim of a coupon, the usual way.

use anyhow::{Context, Result};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::UsualWay;

const LOCK_COUPON: &str = include_str!("claim_lock_coupon.sql");
const FIND_WALLET_ENTRY: &str = include_str!("claim_find_wallet_entry.sql");
const RAISE_ISSUED: &str = include_str!("claim_raise_issued.sql");
const ADD_WALLET_ENTRY: &str = include_str!("claim_add_wallet_entry.sql");

/// Everybody claims one coupon.
#[derive(Debug, Clone)]
pub struct Claims {
    coupon_id: String,
}

impl Claims {
    /// Makes a coupon of which there are as many as anybody can claim.
    ///
    /// # Errors
    /// When Postgres fails.
    pub async fn prepare(connection: &mut PgConnection, coupon_id: &str) -> Result<Claims> {
        sqlx::query(
            "insert into coupons (coupon_id, name, discount_type, discount_value, total_quantity)
             values ($1, 'One for everybody', 'FIXED', 1000, 1000000000)",
        )
        .bind(coupon_id)
        .execute(connection)
        .await
        .context("making the baseline's coupon")?;
        Ok(Claims { coupon_id: coupon_id.to_owned() })
    }
}

impl UsualWay for Claims {
    #[expect(clippy::disallowed_methods, reason = "the usual way sets no time-outs, and they would slow it down")]
    async fn serve(&self, connection: &mut PgConnection, number: u64) -> Result<bool> {
        let user_id = format!("user{number}");
        let mut transaction = connection.begin().await.context("beginning")?;
        let (total, issued, is_open): (i64, i64, bool) = sqlx::query_as(LOCK_COUPON)
            .bind(&self.coupon_id)
            .fetch_one(&mut *transaction)
            .await
            .context("locking the coupon")?;
        let has_one: bool = sqlx::query_scalar(FIND_WALLET_ENTRY)
            .bind(&user_id)
            .bind(&self.coupon_id)
            .fetch_one(&mut *transaction)
            .await
            .context("looking into the wallet")?;
        if has_one || !is_open || issued >= total {
            transaction.rollback().await.context("rolling back")?;
            return Ok(false);
        }
        sqlx::query(RAISE_ISSUED)
            .bind(&self.coupon_id)
            .execute(&mut *transaction)
            .await
            .context("counting the coupon")?;
        sqlx::query(ADD_WALLET_ENTRY)
            .bind(&user_id)
            .bind(&self.coupon_id)
            .bind(Uuid::now_v7())
            .execute(&mut *transaction)
            .await
            .context("filling the wallet")?;
        transaction.commit().await.context("committing")?;
        Ok(true)
    }
}
