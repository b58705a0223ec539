//! How long a shopper waits when the shop is busy, but not more than it can bear.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::Scale;
use super::results::Latency;
use super::series::Series;
use super::throughput::{Bench, ensure_all_done};
use super::workload::Workload;
use crate::load::{self, Learn, Load, Pace};
use crate::sale::{self, Sale};

/// How often it is measured.
pub const ROUNDS: usize = 3;
/// The part of the measured rate at which it is done.
const PART_OF_RATE: f64 = 0.7;
/// Enough for everybody who waits at the same time: a shopper who finds no free connection would wait for it.
const CONNECTIONS: usize = 2_048;
/// A shopper gives up after this.
const PATIENCE_SECONDS: u64 = 60;

/// Measures the time to outcome, open loop: a command is due at its time, whether the shop keeps up or not, and its
/// time counts from then.
///
/// # Errors
/// When not every command was done.
pub async fn measure(bench: &Bench, workload: &Workload, rate: f64, scale: Scale) -> Result<Latency> {
    let rate = rate * PART_OF_RATE;
    let (mut p50, mut p99, mut decided) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let (campaign, commands) = workload.commands(bench.shop.door(), true)?;
        let due = (0u32..).take_while(|number| f64::from(*number) < rate * scale.during.as_secs_f64());
        let commands: Vec<_> = commands.into_iter().zip(due).map(|(letter, _)| letter).collect();
        let count = commands.len() as u64;
        let mut step = bench.screen.bar(&format!("{} at {rate:.0}/s, {round} of {ROUNDS}", workload.name), count);
        sale::create(&bench.shop.admin(), &Sale { campaign, ..Sale::default() }, &indicatif::ProgressBar::hidden())
            .await?;
        let load = Load {
            door: bench.shop.door(),
            commands: Arc::from(commands),
            pace: Pace::PerSecond(rate),
            connections: CONNECTIONS,
            learn: Learn::ByWaiting,
            keep_told: false,
            patience: Duration::from_secs(PATIENCE_SECONDS),
        };
        let tally = load::run(load, step.bar.clone()).await?;
        ensure_all_done(&tally, count)?;
        let ms = |quantile| tally.outcome.quantile(quantile).unwrap_or_default().as_secs_f64() * 1e3;
        step.remark(&format!("p50 {:.1} ms, p99 {:.1} ms", ms(0.5), ms(0.99)));
        step.done();
        p50.push(ms(0.5));
        p99.push(ms(0.99));
        decided.push(tally.decided_per_second());
    }
    Ok(Latency {
        name: workload.name,
        rate_per_second: rate,
        decided_per_second: Series::of(decided),
        p50_ms: Series::of(p50),
        p99_ms: Series::of(p99),
    })
}
