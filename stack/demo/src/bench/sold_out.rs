//! What the certain no costs: claims of a coupon that is gone, beside a plain read. Most shoppers of a flash sale get it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use common::{CouponId, UserId};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::Scale;
use super::results::SoldOut;
use super::series::Series;
use super::throughput::Bench;
use crate::load::{Connection, Letter};
use crate::sale::{self, Campaign, Manner, Product, Sale};

/// Connections of the closed loop: enough to keep both processors busy.
const CONNECTIONS: usize = 64;
/// Shoppers who come too late.
const SHOPPERS: usize = 1_000;
/// Pairs of measurements.
const PAIRS: usize = 3;

/// Measures both, one after the other, several times.
///
/// # Errors
/// When an answer is not the one that is meant.
pub async fn measure(bench: &Bench, scale: Scale) -> Result<SoldOut> {
    let mut step = bench.screen.step("claims of a coupon that is gone, and plain reads");
    let coupon_id: CouponId = Uuid::now_v7().to_string().parse().context("naming a coupon")?;
    let campaign = Campaign {
        coupon_id: coupon_id.clone(),
        total_quantity: 1,
        discount_percent: 10,
        max_discount: 1_000,
        min_order: 0,
    };
    let product = Product {
        product_id: Uuid::now_v7().to_string().parse().context("naming a product")?,
        name: "Something to look at".to_owned(),
        price: 1_000,
        stock: 1,
    };
    let (door, path) = (bench.shop.door(), format!("/api/products/{}", product.product_id));
    let made = Sale { campaign: Some(campaign), products: vec![product], ..Sale::default() };
    sale::create(&bench.shop.admin(), &made, &indicatif::ProgressBar::hidden()).await?;

    let users: Result<Vec<UserId>> =
        (0..=SHOPPERS).map(|number| format!("late{number}").parse().context("naming a shopper")).collect();
    let manner = |waiting| Manner { door, with_keys: false, waiting };
    let users = users?;
    let winner = sale::claims(&coupon_id, &users[..1], manner(true));
    let answer = Connection::open(door.address()).await?.send(&winner[0]).await.map(|answer| answer.status);
    ensure!(answer.context("claiming the only one")? == 201, "the only one was not to be had");

    let claims: Arc<[Letter]> = sale::claims(&coupon_id, &users[1..], manner(false)).into();
    let reads: Arc<[Letter]> = [Letter::get(&door, &path, &[])].into();
    let during = scale.during / 3;
    let (mut claim_rates, mut read_rates) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        claim_rates.push(rate(bench, &claims, 409, during).await?);
        read_rates.push(rate(bench, &reads, 200, during).await?);
    }
    let sold_out = SoldOut { claims_per_second: Series::of(claim_rates), reads_per_second: Series::of(read_rates) };
    step.remark(&format!("{:.0}/s, {:.0}/s", sold_out.claims_per_second.median, sold_out.reads_per_second.median));
    step.done();
    Ok(sold_out)
}

/// How many answers of this status a second.
async fn rate(bench: &Bench, letters: &Arc<[Letter]>, status: u16, during: Duration) -> Result<f64> {
    let mut connections = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(bench.shop.door().address()).await?);
    }
    let began = Instant::now();
    let mut asking = JoinSet::new();
    for (number, mut connection) in connections.into_iter().enumerate() {
        let letters = Arc::clone(letters);
        asking.spawn(async move {
            let mut answers = 0u64;
            for letter in letters.iter().cycle().skip(number) {
                if began.elapsed() >= during {
                    break;
                }
                let answered = connection.send(letter).await.context("asking")?.status;
                ensure!(answered == status, "the answer was {answered}, and not {status}");
                answers += 1;
            }
            anyhow::Ok(answers)
        });
    }
    let mut answers = 0;
    while let Some(asked) = asking.join_next().await {
        answers += asked.context("a connection did not come to an end")??;
    }
    Ok(answers as f64 / began.elapsed().as_secs_f64())
}
