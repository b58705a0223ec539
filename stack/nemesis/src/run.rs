//! A run: load, faults one after the other, and the promises looked at in the end.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::check::{Evidence, Verdict, watch};
use crate::faults::Fault;
use crate::house::{House, LEASE};
use crate::load::{Goods, Load};

/// Shoppers at once, unless said: enough for batches, few enough that the faults and not the load are tried.
pub const SHOPPERS: usize = 24;

/// Between two faults the shop works for a while, so that the next one finds it at work.
const QUIET_MIN_MS: u64 = 300;
const QUIET_MAX_MS: u64 = 1_500;

/// Nothing waits longer than a lease and so long after the last fault.
const DRAIN: Duration = Duration::from_secs(5);

/// For the order system to hear of all orders, once it is well.
const SYNC_MAX: Duration = Duration::from_secs(60);

/// What shall be tried.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program that can be both programs.
    pub program: PathBuf,
    /// Decides which shopper wants what, which fault comes when, and whom it hits.
    pub seed: u64,
    /// The faults, each at least once in this order; more of them, at random, until the time is over.
    pub faults: Vec<Fault>,
    /// For so long at least.
    pub time: Duration,
    /// Shoppers at once.
    pub shoppers: usize,
    /// Settings of both programs beside the usual ones.
    pub more: Vec<(&'static str, String)>,
}

impl Plan {
    /// Every fault that there is.
    pub fn all_faults() -> Vec<Fault> {
        Fault::value_variants().to_vec()
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// The promises.
    pub verdicts: Vec<Verdict>,
    /// What was done, in order.
    pub struck: Vec<Fault>,
    /// Commands that were begun.
    pub commands: usize,
}

impl Report {
    /// Whether every promise was kept, and tried.
    pub fn is_clean(&self) -> bool {
        self.verdicts.iter().all(Verdict::is_kept)
    }
}

/// Tries the plan in a shop of its own, with logs and data below `folder`. `telling` hears what is being done.
///
/// # Errors
/// When a fault was not felt, or the shop could not be brought back. A broken promise is in the report.
pub async fn run(plan: &Plan, folder: &Path, mut telling: impl FnMut(&str)) -> Result<Report> {
    let mut random = StdRng::seed_from_u64(plan.seed);
    let goods = Goods::made_up();
    let mut house = House::open(&plan.program, folder, &plan.more).await.context("opening the shop")?;
    house.stock(&goods).await.context("stocking the shop")?;
    watch(&house.pool).await?;
    let mut load = Load::start(&house.balancer, &goods, plan.shoppers, plan.seed, &house.has_lost);
    let ends = Instant::now() + plan.time;
    let mut struck = Vec::new();
    let mut ahead = plan.faults.clone();
    ahead.reverse();
    while let Some(fault) = ahead.pop().or_else(|| more(plan, ends, &mut random)) {
        tokio::time::sleep(Duration::from_millis(random.random_range(QUIET_MIN_MS..=QUIET_MAX_MS))).await;
        let (before, _) = load.log.counts();
        telling(&format!("{fault:?}"));
        struck.push(fault);
        fault
            .strike(&mut house, &load.log, &mut random)
            .await
            .with_context(|| format!("{fault:?}, the {}th fault", struck.len()))?;
        // The shop is well again when somebody is served again.
        let served = || async { (load.log.counts().0 > before).then_some(()) };
        stack::try_wait_for_async("somebody to be served again", LEASE + DRAIN, served)
            .await
            .with_context(|| format!("after {fault:?}"))?;
    }
    telling("looking at the promises");
    let in_time = load.finish(LEASE + DRAIN).await;
    let waiting = house.waiting().await?;
    every_order_told(&house).await?;
    let evidence = Evidence { house: &house, told: load.log.all(), in_time, waiting };
    let verdicts = evidence.check().await?;
    Ok(Report { verdicts, struck, commands: evidence.told.len() })
}

fn more(plan: &Plan, ends: Instant, random: &mut StdRng) -> Option<Fault> {
    (Instant::now() < ends).then(|| plan.faults.choose(random).copied()).flatten()
}

/// Waits until no order waits to be sent: each was taken, or is on the desk.
async fn every_order_told(house: &House) -> Result<()> {
    let open = || async {
        let open: i64 = sqlx::query_scalar(
            "select count(*) from order_syncs where synced_at is null and next_attempt_at is not null",
        )
        .fetch_one(&house.pool)
        .await
        .ok()?;
        (open == 0).then_some(())
    };
    // Whether it came to that is a promise, and looked at with the others.
    let _ = stack::try_wait_for_async("all orders to be told of", SYNC_MAX, open).await;
    Ok(())
}
