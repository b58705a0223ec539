//! The usual way, measured on the same server, in a database of its own.

use anyhow::Result;

use super::results::UsualWay;
use super::series::Series;
use super::throughput::Bench;
use super::workload::PRODUCTS;
use super::{Scale, results};
use crate::baseline::{self, Claims, Orders, commit_latency};
use crate::checks::connect;

const DATABASE: &str = "usual_way";
/// How often each is measured.
const ROUNDS: usize = 3;
/// The pool only migrates.
const POOL_CONNECTIONS: u32 = 1;

/// Measures claims and two-product orders written the usual way, and what a commit takes here.
///
/// # Errors
/// When Postgres fails, or a request is refused.
pub async fn measure(bench: &Bench, scale: Scale) -> Result<UsualWay> {
    let preparing = bench.screen.step("preparing the usual way");
    let postgres = &bench.shop.stack.postgres;
    postgres.query("postgres", &format!("drop database if exists {DATABASE}"))?;
    postgres.create_database(DATABASE)?;
    let url = postgres.url(DATABASE);
    let pool = runtime::postgres::pool(&url, POOL_CONNECTIONS, "droplane-bench")?;
    runtime::postgres::migrate(&pool).await?;
    pool.close().await;
    let mut connection = connect(&url).await?;
    let orders = Orders::prepare(&mut connection, PRODUCTS as u64, scale.users as u64).await?;
    preparing.done();

    let mut step = bench.screen.step("committing single rows");
    let commit = commit_latency(&mut connection, scale.during / 3).await?;
    step.remark(&format!("p50 {:?}, p99 {:?}", commit.p50, commit.p99));
    step.done();

    let (mut claim_rates, mut order_rates, mut hot_rates) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let claims = Claims::prepare(&mut connection, &format!("coupon{round}")).await?;
        claim_rates.push(one(bench, &url, "coupon claims", claims, round, scale).await?);
        order_rates.push(one(bench, &url, "two-product orders", orders, round, scale).await?);
        let hot = orders.with_hot_product();
        hot_rates.push(one(bench, &url, "orders sharing one hot product", hot, round, scale).await?);
    }
    Ok(UsualWay {
        connections: baseline::CONNECTIONS,
        claims_per_second: Series::of(claim_rates),
        orders_per_second: Series::of(order_rates),
        hot_orders_per_second: Series::of(hot_rates),
        commit: results::Commit { p50_ms: commit.p50.as_secs_f64() * 1e3, p99_ms: commit.p99.as_secs_f64() * 1e3 },
    })
}

async fn one(
    bench: &Bench,
    url: &str,
    name: &str,
    way: impl baseline::UsualWay,
    round: usize,
    scale: Scale,
) -> Result<f64> {
    let mut step = bench.screen.step(&format!("{name}, the usual way, {round} of {ROUNDS}"));
    let rate = baseline::measure(url, way, scale.during).await?;
    step.remark(&format!("{rate:.0}/s"));
    step.done();
    Ok(rate)
}
