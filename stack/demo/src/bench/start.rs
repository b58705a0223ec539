//! How soon a command is in a worker's hands when nobody else is there: what waking up costs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Scale;
use super::results::Start;
use super::throughput::{Bench, ensure_all_done};
use super::workload::Workload;
use crate::facts;
use crate::load::{self, Histogram, Learn, Load, Pace};
use crate::sale::{self, Sale};

/// Far apart, so that every command finds the workers asleep.
const PER_SECOND: f64 = 20.0;
/// A shopper gives up after this.
const PATIENCE_SECONDS: u64 = 60;

/// Sends single claims, and asks Postgres when each was accepted and when a worker took it: both by Redis' clock.
///
/// # Errors
/// When not every claim was done, or some did not have a batch of its own.
pub async fn measure(bench: &mut Bench, scale: Scale) -> Result<Start> {
    let count = scale.starts as u64;
    let mut step = bench.screen.bar("single claims, from accepted to started", count);
    let (campaign, commands) = Workload::claims(scale.starts)?.commands(bench.shop.door(), true)?;
    sale::create(&bench.shop.admin(), &Sale { campaign, ..Sale::default() }, &indicatif::ProgressBar::hidden()).await?;
    let before = facts::newest_batch(&mut bench.connection).await?;
    let load = Load {
        door: bench.shop.door(),
        commands: Arc::from(commands),
        pace: Pace::PerSecond(PER_SECOND),
        connections: 1,
        learn: Learn::ByWaiting,
        keep_told: false,
        patience: Duration::from_secs(PATIENCE_SECONDS),
    };
    ensure_all_done(&load::run(load, step.bar.clone()).await?, count)?;

    let waits = facts::waits_after(&mut bench.connection, before).await?;
    ensure!(waits.len() as u64 == count, "{} of {count} single claims had a batch of their own", waits.len());
    let mut histogram = Histogram::default();
    waits.iter().for_each(|wait| histogram.record(*wait));
    let ms = |wait: Duration| wait.as_secs_f64() * 1e3;
    let quantile = |quantile| histogram.quantile(quantile).map(ms).context("there was no claim");
    let longest = waits.iter().max().copied().map(ms).context("there was no claim")?;
    let start = Start { claims: count, p50_ms: quantile(0.5)?, p99_ms: quantile(0.99)?, max_ms: longest };
    step.remark(&format!("p50 {:.2} ms, p99 {:.2} ms", start.p50_ms, start.p99_ms));
    step.done();
    Ok(start)
}
