//! What can be seen of the promises between two faults, in one look at Postgres: so that a breach is told beside the fault that
//! it came with. Everything is looked at in the end, too.

use anyhow::{Context, Result};
use sqlx::PgPool;

/// One line for each breach; all parts of a statement see the same moment.
const BREACHES: &str = "
    select format('I1: %s of the %s units of coupon %s are in wallets', count(*), total_quantity, coupon_id)
      from user_coupons
      join coupons using (coupon_id)
     group by coupon_id, total_quantity
    having count(*) > total_quantity
     union all
    select format('I1: product %s has %s pieces left, %s sold and %s stocked', product_id, stock, sold, stocked)
      from products
      join (select product_id, sum(quantity) as sold from order_lines group by product_id) as orders using (product_id)
     where stock + sold <> stocked
     union all
    select format('I2: user %s has %s, and the ledger says %s', user_id, balance, booked)
      from users
      join (select user_id, sum(amount) as booked from ledger group by user_id) as entries using (user_id)
     where balance <> booked
     union all
    select 'I6: ' || what from watched_writes";

/// What is broken now, in words.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn breaches(pool: &PgPool) -> Result<Vec<String>> {
    sqlx::query_scalar(BREACHES).fetch_all(pool).await.context("looking at the promises between two faults")
}
