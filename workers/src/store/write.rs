//! Writing what was decided: one statement per table.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use common::{CartRemoval, Changes, Issued, LedgerEntry, Order, Trace, Used};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Doing, StoreError, counted};

/// Writes the facts of a decision and the outbox rows that go with them, with where each order belongs in a trace. Lane rows
/// are moved by [`move_fences`].
///
/// # Errors
/// When Postgres fails, or a statement did not change what was meant.
pub async fn write(
    connection: &mut PgConnection,
    changes: &Changes,
    traces: &HashMap<Uuid, Trace>,
) -> Result<(), StoreError> {
    insert_wallet_entries(connection, &changes.issued).await?;
    use_wallet_entries(connection, &changes.used).await?;
    insert_orders(connection, &changes.orders, traces).await?;
    insert_ledger(connection, &changes.ledger).await?;
    remove_from_carts(connection, &changes.cart_removals).await
}

/// Moves the lane rows: their new values, and the fence of every lane that the batch stood in, refusals included.
/// `lanes` is each lane with the highest ticket of the batch in it; lanes without a row are not among them.
///
/// # Errors
/// When Postgres fails, or a row is not there any more.
pub async fn move_fences(
    connection: &mut PgConnection,
    changes: &Changes,
    lanes: &[(&str, u64)],
) -> Result<(), StoreError> {
    let of = |resource: &str| -> (Vec<&str>, Vec<i64>) {
        let ids = lanes.iter().filter_map(|(lane, ticket)| {
            let (kind, id) = lane.split_once(':')?;
            (kind == resource).then_some((id, *ticket as i64))
        });
        ids.unzip()
    };
    let (coupons, tickets) = of("coupon");
    if !coupons.is_empty() {
        let issued: Vec<Option<i64>> = values(&coupons, &changes.coupons);
        let result = sqlx::query(
            "update coupons
                set issued_quantity = coalesce(moved.issued, coupons.issued_quantity), last_ticket = moved.last_ticket
               from unnest($1::text[], $2::bigint[], $3::bigint[]) as moved (coupon_id, issued, last_ticket)
              where coupons.coupon_id = moved.coupon_id",
        )
        .bind(&coupons)
        .bind(issued)
        .bind(tickets)
        .execute(&mut *connection)
        .await
        .doing("moving coupons")?;
        counted(result, coupons.len(), "moving coupons")?;
    }
    let (products, tickets) = of("product");
    if !products.is_empty() {
        let stock: Vec<Option<i64>> = values(&products, &changes.products);
        let result = sqlx::query(
            "update products
                set stock = coalesce(moved.stock, products.stock), last_ticket = moved.last_ticket
               from unnest($1::text[], $2::bigint[], $3::bigint[]) as moved (product_id, stock, last_ticket)
              where products.product_id = moved.product_id",
        )
        .bind(&products)
        .bind(stock)
        .bind(tickets)
        .execute(&mut *connection)
        .await
        .doing("moving products")?;
        counted(result, products.len(), "moving products")?;
    }
    let (users, tickets) = of("user");
    if !users.is_empty() {
        let balances: Vec<Option<i64>> = values(&users, &changes.users);
        let result = sqlx::query(
            "update users
                set balance = coalesce(moved.balance, users.balance), last_ticket = moved.last_ticket
               from unnest($1::text[], $2::bigint[], $3::bigint[]) as moved (user_id, balance, last_ticket)
              where users.user_id = moved.user_id",
        )
        .bind(&users)
        .bind(balances)
        .bind(tickets)
        .execute(connection)
        .await
        .doing("moving users")?;
        counted(result, users.len(), "moving users")?;
    }
    Ok(())
}

/// The new value of each row that has one.
fn values<K>(ids: &[&str], changed: &std::collections::BTreeMap<K, i64>) -> Vec<Option<i64>>
where
    K: Ord + std::str::FromStr,
{
    ids.iter().map(|id| id.parse().ok().and_then(|id: K| changed.get(&id).copied())).collect()
}

async fn insert_wallet_entries(connection: &mut PgConnection, issued: &[Issued]) -> Result<(), StoreError> {
    if issued.is_empty() {
        return Ok(());
    }
    let result = sqlx::query(
        "insert into user_coupons (user_id, coupon_id, user_coupon_id, issued_at, expires_at)
         select * from unnest($1::text[], $2::text[], $3::uuid[], $4::timestamptz[], $5::timestamptz[])",
    )
    .bind(issued.iter().map(|entry| entry.user_id.as_str()).collect::<Vec<_>>())
    .bind(issued.iter().map(|entry| entry.coupon_id.as_str()).collect::<Vec<_>>())
    .bind(issued.iter().map(|entry| entry.user_coupon_id).collect::<Vec<_>>())
    .bind(issued.iter().map(|entry| entry.issued_at).collect::<Vec<_>>())
    .bind(issued.iter().map(|entry| entry.expires_at).collect::<Vec<_>>())
    .execute(connection)
    .await
    .doing("inserting wallet entries")?;
    counted(result, issued.len(), "inserting wallet entries")
}

async fn use_wallet_entries(connection: &mut PgConnection, used: &[Used]) -> Result<(), StoreError> {
    if used.is_empty() {
        return Ok(());
    }
    let result = sqlx::query(
        "update user_coupons
            set used_at = spent.used_at, order_id = spent.order_id
           from unnest($1::text[], $2::text[], $3::uuid[], $4::timestamptz[])
                as spent (user_id, coupon_id, order_id, used_at)
          where user_coupons.user_id = spent.user_id
            and user_coupons.coupon_id = spent.coupon_id
            and user_coupons.used_at is null",
    )
    .bind(used.iter().map(|entry| entry.user_id.as_str()).collect::<Vec<_>>())
    .bind(used.iter().map(|entry| entry.coupon_id.as_str()).collect::<Vec<_>>())
    .bind(used.iter().map(|entry| entry.order_id).collect::<Vec<_>>())
    .bind(used.iter().map(|entry| entry.used_at).collect::<Vec<_>>())
    .execute(connection)
    .await
    .doing("using wallet entries")?;
    counted(result, used.len(), "using wallet entries")
}

async fn insert_orders(
    connection: &mut PgConnection,
    orders: &[Order],
    traces: &HashMap<Uuid, Trace>,
) -> Result<(), StoreError> {
    if orders.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = orders.iter().map(|order| order.order_id).collect();
    let result = sqlx::query(
        "insert into orders (order_id, user_id, total_amount, discount_amount, final_amount, coupon_id, created_at)
         select * from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[],
                              $7::timestamptz[])",
    )
    .bind(&ids)
    .bind(orders.iter().map(|order| order.user_id.as_str()).collect::<Vec<_>>())
    .bind(orders.iter().map(|order| order.total_amount).collect::<Vec<_>>())
    .bind(orders.iter().map(|order| order.discount_amount).collect::<Vec<_>>())
    .bind(orders.iter().map(|order| order.final_amount).collect::<Vec<_>>())
    .bind(orders.iter().map(|order| order.coupon_id.as_ref().map(|id| id.as_str())).collect::<Vec<_>>())
    .bind(orders.iter().map(|order| order.created_at).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await
    .doing("inserting orders")?;
    counted(result, orders.len(), "inserting orders")?;
    insert_order_lines(connection, orders).await?;
    // The outbox: the order system hears of each order, first as soon as possible.
    let result = sqlx::query(
        "insert into order_syncs (order_id, next_attempt_at, traceparent, tracestate)
         select order_id, $2, traceparent, tracestate
           from unnest($1::uuid[], $3::text[], $4::text[]) as placed (order_id, traceparent, tracestate)",
    )
    .bind(&ids)
    .bind(orders[0].created_at)
    .bind(traced(&ids, traces, |trace| Some(trace.traceparent())))
    .bind(traced(&ids, traces, Trace::tracestate))
    .execute(connection)
    .await
    .doing("inserting order syncs")?;
    counted(result, orders.len(), "inserting order syncs")
}

/// A part of each order's trace; nothing at all where no order has one, which Postgres reads as null for each.
fn traced<'a>(
    ids: &[Uuid],
    traces: &'a HashMap<Uuid, Trace>,
    part: impl Fn(&'a Trace) -> Option<&'a str>,
) -> Vec<Option<&'a str>> {
    if traces.is_empty() {
        return Vec::new();
    }
    ids.iter().map(|id| traces.get(id).and_then(&part)).collect()
}

async fn insert_order_lines(connection: &mut PgConnection, orders: &[Order]) -> Result<(), StoreError> {
    let count = orders.iter().map(|order| order.lines.len()).sum();
    let (mut ids, mut numbers) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let (mut products, mut quantities) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let mut prices = Vec::with_capacity(count);
    for order in orders {
        for (number, line) in (1i16..).zip(&order.lines) {
            ids.push(order.order_id);
            numbers.push(number);
            products.push(line.product_id.as_str());
            quantities.push(line.quantity);
            prices.push(line.unit_price);
        }
    }
    let result = sqlx::query(
        "insert into order_lines (order_id, line, product_id, quantity, unit_price)
         select * from unnest($1::uuid[], $2::smallint[], $3::text[], $4::bigint[], $5::bigint[])",
    )
    .bind(ids)
    .bind(numbers)
    .bind(products)
    .bind(quantities)
    .bind(prices)
    .execute(connection)
    .await
    .doing("inserting order lines")?;
    counted(result, count, "inserting order lines")
}

pub(super) async fn insert_ledger(connection: &mut PgConnection, entries: &[LedgerEntry]) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    let result = sqlx::query(
        "insert into ledger (user_id, kind, amount, balance_after, reference_id, created_at)
         select * from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::uuid[], $6::timestamptz[])",
    )
    .bind(entries.iter().map(|entry| entry.user_id.as_str()).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.kind.as_str()).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.amount).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.balance_after).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.reference_id).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.created_at).collect::<Vec<_>>())
    .execute(connection)
    .await
    .doing("inserting ledger entries")?;
    counted(result, entries.len(), "inserting ledger entries")
}

/// Takes what was ordered out of the carts. A line that the shopper changed after the order was accepted is a new wish
/// and stays.
async fn remove_from_carts(connection: &mut PgConnection, removals: &[CartRemoval]) -> Result<(), StoreError> {
    let mut lines: Vec<(&str, &str, DateTime<Utc>)> = Vec::new();
    for removal in removals {
        let products = removal.product_ids.iter();
        lines.extend(products.map(|product| (removal.user_id.as_str(), product.as_str(), removal.accepted_at)));
    }
    if lines.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "delete from cart_items
          using unnest($1::text[], $2::text[], $3::timestamptz[]) as ordered (user_id, product_id, accepted_at)
          where cart_items.user_id = ordered.user_id
            and cart_items.product_id = ordered.product_id
            and cart_items.changed_at <= ordered.accepted_at",
    )
    .bind(lines.iter().map(|line| line.0).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.1).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.2).collect::<Vec<_>>())
    .execute(connection)
    .await
    .doing("removing ordered products from carts")?;
    Ok(())
}
