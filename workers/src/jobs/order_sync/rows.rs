//! Finding what is due, and reading what is sent.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use common::Trace;
use runtime::postgres::alone;
use serde::Serialize;
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

/// Orders of the backlog that are counted: it is looked at every second, and more says nothing else.
const BACKLOG_COUNTED_MAX: i64 = 10_000;

/// An order that is ours to send for a while.
#[derive(Debug)]
pub(super) struct Claimed {
    /// Which order.
    pub order_id: Uuid,
    /// Attempts before this one.
    pub attempts: i32,
    /// When it was claimed, by Postgres' clock.
    pub claimed_at: DateTime<Utc>,
    /// What is sent.
    pub body: String,
    /// Where the order belongs in a trace, if in any.
    pub trace: Option<Trace>,
}

/// The order as the order system gets it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    order_id: Uuid,
    user_id: String,
    items: Vec<Item>,
    total_amount: i64,
    discount_amount: i64,
    final_amount: i64,
    coupon_id: Option<String>,
    created_at: DateTime<Utc>,
}

#[derive(Serialize, FromRow)]
#[serde(rename_all = "camelCase")]
struct Item {
    #[serde(skip)]
    order_id: Uuid,
    product_id: String,
    quantity: i64,
    unit_price: i64,
}

#[derive(FromRow)]
struct Row {
    order_id: Uuid,
    attempts: i32,
    claimed_at: DateTime<Utc>,
    traceparent: Option<String>,
    tracestate: Option<String>,
    user_id: String,
    total_amount: i64,
    discount_amount: i64,
    final_amount: i64,
    coupon_id: Option<String>,
    created_at: DateTime<Utc>,
}

/// Claims what `$which` finds of what is due, and reads the orders.
macro_rules! claim {
    ($which:literal) => {
        concat!(
            "with due as (
               select order_id
                 from order_syncs
                where synced_at is null
                      -- now(), which an index can be asked for; a volatile clock cannot
                  and next_attempt_at <= now()
                  and (claimed_until is null or claimed_until <= now())
                  ",
            $which,
            "
                  for update skip locked
             ),
             claimed as (
               update order_syncs
                  set claimed_until = clock_timestamp() + make_interval(secs => $2)
                 from due
                where order_syncs.order_id = due.order_id
               returning order_syncs.order_id, attempts, traceparent, tracestate
             )
             select order_id, attempts, clock_timestamp() as claimed_at, traceparent, tracestate, user_id, total_amount, discount_amount, final_amount, coupon_id, created_at
               from claimed
               join orders using (order_id)"
        )
    };
}

/// Claims up to `limit` orders that are due, those that have been due for longest first.
pub(super) async fn claim_due(pool: &PgPool, limit: usize, claim: Duration) -> anyhow::Result<Vec<Claimed>> {
    let rows = sqlx::query_as(claim!("order by next_attempt_at limit $1"))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(claim.as_secs_f64())
        .fetch_all(alone(pool))
        .await
        .context("claiming orders that are due to be sent")?;
    with_items(pool, rows).await
}

/// Claims up to `limit` of these orders that are due.
pub(super) async fn claim_announced(
    pool: &PgPool,
    orders: &[Uuid],
    limit: usize,
    claim: Duration,
) -> anyhow::Result<Vec<Claimed>> {
    let rows = sqlx::query_as(claim!("and order_id = any($1) limit $3"))
        .bind(orders)
        .bind(claim.as_secs_f64())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(alone(pool))
        .await
        .context("claiming orders that were announced")?;
    with_items(pool, rows).await
}

async fn with_items(pool: &PgPool, rows: Vec<Row>) -> anyhow::Result<Vec<Claimed>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut items = items_of(pool, &rows).await?;
    rows.into_iter().map(|row| row.into_claimed(&mut items)).collect()
}

/// What is left to be done, by the system or by an operator.
#[derive(FromRow)]
pub(super) struct Left {
    /// Orders that are due, or will be.
    pub backlog: i64,
    /// How long the one that has been due for longest has been; 0 when none is.
    pub overdue_seconds: f64,
    /// Orders on the desk.
    pub failures_open: i64,
}

pub(super) async fn left(pool: &PgPool) -> anyhow::Result<Left> {
    sqlx::query_as(
        "select (select count(*)
                   from (select from order_syncs where synced_at is null and next_attempt_at is not null limit $1) as counted) as backlog,
                greatest(0, extract(epoch from clock_timestamp()
                  - (select min(next_attempt_at) from order_syncs where synced_at is null)))::float8 as overdue_seconds,
                (select count(*) from order_syncs where failed_at is not null and resolved_at is null) as failures_open",
    )
    .bind(BACKLOG_COUNTED_MAX)
    .fetch_one(pool)
    .await
    .context("looking at what is left to be sent")
}

async fn items_of(pool: &PgPool, rows: &[Row]) -> anyhow::Result<HashMap<Uuid, Vec<Item>>> {
    let items: Vec<Item> = sqlx::query_as(
        "select order_id, product_id, quantity, unit_price
           from order_lines
          where order_id = any($1)
          order by order_id, line",
    )
    .bind(rows.iter().map(|row| row.order_id).collect::<Vec<_>>())
    .fetch_all(pool)
    .await
    .context("reading the lines of orders that are due to be sent")?;
    let mut by_order: HashMap<Uuid, Vec<Item>> = HashMap::new();
    for item in items {
        by_order.entry(item.order_id).or_default().push(item);
    }
    Ok(by_order)
}

impl Row {
    fn into_claimed(self, items: &mut HashMap<Uuid, Vec<Item>>) -> anyhow::Result<Claimed> {
        let trace = self.traceparent.and_then(|parent| Trace::read(&parent, self.tracestate.as_deref()));
        let body = Body {
            items: items.remove(&self.order_id).unwrap_or_default(),
            order_id: self.order_id,
            user_id: self.user_id,
            total_amount: self.total_amount,
            discount_amount: self.discount_amount,
            final_amount: self.final_amount,
            coupon_id: self.coupon_id,
            created_at: self.created_at,
        };
        let body = serde_json::to_string(&body).context("writing an order as JSON")?;
        Ok(Claimed { order_id: self.order_id, attempts: self.attempts, claimed_at: self.claimed_at, body, trace })
    }
}
