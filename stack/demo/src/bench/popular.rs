//! How long a refresh of the popular products takes when there are many orders, and how long going through all of them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use popular::{Question, count, seal_hours};
use sqlx::{Executor, PgPool};

use super::Scale;
use super::results::PopularProducts;
use super::series::Series;
use super::throughput::Bench;
use super::workload::PRODUCTS;

const DATABASE: &str = "popular";
/// Lines of an order.
const LINES_PER_ORDER: usize = 10;
/// How often a refresh is measured.
const ROUNDS: usize = 9;
/// Connections: one that counts, one that is asked.
const POOL_CONNECTIONS: u32 = 2;

/// Makes orders of the last three days, seals their hours, and counts.
///
/// # Errors
/// When Postgres fails, or the two ways do not come to the same.
pub async fn measure(bench: &Bench, scale: Scale) -> Result<PopularProducts> {
    let lines = scale.popular_lines;
    let mut step = bench.screen.step(&format!("making {lines} order lines"));
    let postgres = &bench.shop.stack.postgres;
    postgres.query("postgres", &format!("drop database if exists {DATABASE}"))?;
    postgres.create_database(DATABASE)?;
    let pool = runtime::postgres::pool(&postgres.url(DATABASE), POOL_CONNECTIONS, "droplane-bench")?;
    runtime::postgres::migrate(&pool).await?;
    make_orders(&pool, lines / LINES_PER_ORDER).await?;
    let sealing = Instant::now();
    seal_hours(&pool).await.context("sealing")?;
    step.remark(&format!("sealed in {:.1} s", sealing.elapsed().as_secs_f64()));
    step.done();

    let mut step = bench.screen.step("counting the popular products");
    let mut refreshes = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let counting = Instant::now();
        count(&pool, Question::USUAL, None).await.context("counting")?;
        refreshes.push(counting.elapsed().as_secs_f64() * 1e3);
    }
    let through_all = through_all_orders(&pool).await?;
    let refresh_ms = Series::of(refreshes);
    step.remark(&format!("{:.0} ms, through all orders {:.1} s", refresh_ms.median, through_all.as_secs_f64()));
    step.done();
    pool.close().await;
    postgres.query("postgres", &format!("drop database {DATABASE}"))?;
    Ok(PopularProducts { lines, refresh_ms, through_all_ms: through_all.as_secs_f64() * 1e3 })
}

/// Orders in the order of their time, as a shop has them; product 0 is bought most often.
async fn make_orders(pool: &PgPool, orders: usize) -> Result<()> {
    let orders_count = i64::try_from(orders).context("counting orders")?;
    // One connection, so that the settings hold; what is made here need not outlive a crash.
    let mut connection = pool.acquire().await.context("connecting")?;
    connection.execute("set statement_timeout = 0; set synchronous_commit = off").await.context("getting ready")?;
    let products = i64::try_from(PRODUCTS).context("counting products")?;
    sqlx::query(
        "insert into products (product_id, name, price, stock, stocked)
         select 'P' || number, 'Product ' || number, 1000, 1, 1 from generate_series(0, $1 - 1) as number",
    )
    .bind(products)
    .execute(&mut *connection)
    .await
    .context("making products")?;
    sqlx::query(
        "insert into orders (order_id, user_id, total_amount, discount_amount, final_amount, created_at)
         select lpad(to_hex(number), 32, '0')::uuid, 'user', 10000, 0, 10000,
                now() - (($1 - number)::float8 / $1) * interval '3 days'
           from generate_series(1, $1) as number",
    )
    .bind(orders_count)
    .execute(&mut *connection)
    .await
    .context("making orders")?;
    sqlx::query(
        "insert into order_lines (order_id, line, product_id, quantity, unit_price)
         select lpad(to_hex(number), 32, '0')::uuid, line,
                -- every line of an order in a range of its own, the first ones more often
                'P' || (line - 1) * ($2 / $3) + floor(random() * random() * ($2 / $3))::bigint, 1, 1000
           from generate_series(1, $1) as number, generate_series(1, $3) as line",
    )
    .bind(orders_count)
    .bind(products)
    .bind(i64::try_from(LINES_PER_ORDER).context("counting lines")?)
    .execute(&mut *connection)
    .await
    .context("making order lines")?;
    // Two statements, because a list of them is one transaction, in which nothing can be vacuumed.
    connection.execute("vacuum analyze").await.context("tidying up")?;
    connection.execute("reset all").await.context("tidying up")?;
    Ok(())
}

/// The statement that the sequence diagrams of such shops show; it must come to the same products.
async fn through_all_orders(pool: &PgPool) -> Result<Duration> {
    let mut connection = pool.acquire().await.context("connecting")?;
    connection.execute("set statement_timeout = 0").await.context("getting ready")?;
    let popular = count(pool, Question::USUAL, None).await.context("counting")?;
    let counting = Instant::now();
    let products: Vec<(String, i64)> = sqlx::query_as(
        "select product_id, count(*) as order_count
           from orders
           join order_lines using (order_id)
          where created_at >= $1 and created_at < $2
          group by product_id
          order by order_count desc, product_id
          limit 5",
    )
    .bind(popular.period.start_date)
    .bind(popular.period.end_date)
    .fetch_all(&mut *connection)
    .await
    .context("going through all orders")?;
    let took = counting.elapsed();
    let counted: Vec<_> =
        popular.products.into_iter().map(|product| (product.product_id, product.order_count)).collect();
    ensure!(counted == products, "{counted:?} was counted, and by going through all orders {products:?}");
    Ok(took)
}
