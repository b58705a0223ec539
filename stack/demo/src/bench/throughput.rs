//! How many commands are accepted, and how many are committed, a second.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::PgConnection;

use super::cpu::{Cores, CpuClock};
use super::results::Rate;
use super::series::Series;
use super::workload::Workload;
use crate::facts;
use crate::load::{self, Learn, Load, Pace, Tally, per_second};
use crate::sale::{self, Sale};
use crate::screen::Screen;
use crate::shop::Shop;

/// How often Postgres is asked whether everything is committed, once everything is accepted.
const LOOK_EVERY_MS: u64 = 5;
/// Everything must be committed this long after the last command was accepted.
const COMMITTED_WITHIN_SECONDS: u64 = 120;

/// Measurements that do not count, before those that do.
pub const WARMING_UP_ROUNDS: usize = 1;

/// The shop that is measured, and how.
#[derive(Debug)]
pub struct Bench {
    /// The shop.
    pub shop: Shop,
    /// To its database.
    pub connection: PgConnection,
    /// Connections of the closed loop.
    pub connections: usize,
    /// Where progress is shown.
    pub screen: Screen,
}

/// One measurement.
#[derive(Debug)]
pub struct Measured {
    /// Accepted a second: all commands by the time from the first submit to the last 202.
    pub accepted_per_second: f64,
    /// Committed a second: all commands by the time from the first submit until Postgres shows the last one.
    pub committed_per_second: f64,
    /// Commands in a transaction, on average.
    pub batch_mean: f64,
    /// Who used the processors.
    pub cores: Cores,
}

/// Measures the rate of a workload several times, after one round to warm up.
///
/// # Errors
/// When not every command was done.
pub async fn measure(bench: &mut Bench, workload: &Workload, rounds: usize) -> Result<Rate> {
    for _ in 0..WARMING_UP_ROUNDS {
        once(bench, workload, "warming up").await?;
    }
    let mut all = Vec::with_capacity(rounds);
    for round in 1..=rounds {
        all.push(once(bench, workload, &format!("{round} of {rounds}")).await?);
    }
    let mut cores = Cores::new();
    for (name, used) in all.iter().flat_map(|measured| &measured.cores) {
        *cores.entry(name).or_default() += used / rounds as f64;
    }
    Ok(Rate {
        name: workload.name,
        commands: workload.len(),
        mean_lines: workload.mean_lines(),
        accepted_per_second: Series::of(all.iter().map(|measured| measured.accepted_per_second)),
        committed_per_second: Series::of(all.iter().map(|measured| measured.committed_per_second)),
        batch_mean: Series::of(all.iter().map(|measured| measured.batch_mean)),
        cores,
    })
}

/// Measures the rate of a workload once.
///
/// # Errors
/// When not every command was done.
pub async fn once(bench: &mut Bench, workload: &Workload, which: &str) -> Result<Measured> {
    let (campaign, commands) = workload.commands(bench.shop.door(), false)?;
    let count = commands.len() as u64;
    let mut step = bench.screen.bar(&format!("{}, {which}", workload.name), count);
    sale::create(&bench.shop.admin(), &Sale { campaign, ..Sale::default() }, &indicatif::ProgressBar::hidden()).await?;
    let before = facts::newest_batch(&mut bench.connection).await?;
    let load = Load {
        door: bench.shop.door(),
        commands: Arc::from(commands),
        pace: Pace::AsSoonAsFree,
        connections: bench.connections,
        learn: Learn::Never,
        keep_told: false,
        patience: Duration::from_secs(COMMITTED_WITHIN_SECONDS),
    };
    let clock = CpuClock::start(bench.shop.processes());
    let tally = load::run(load, step.bar.clone()).await?;
    let committed = wait_until_committed(bench, &tally, before, count).await?;
    let cores = clock.cores();

    ensure_all_done(&tally, count)?;
    let (batches, succeeded) = succeeded_after(&mut bench.connection, before).await?;
    ensure!(succeeded == count, "only {succeeded} of {count} commands were done");
    let committed_per_second = per_second(count, committed);
    step.remark(&format!("{committed_per_second:.0}/s"));
    step.done();
    Ok(Measured {
        accepted_per_second: tally.accepted_per_second(),
        committed_per_second,
        batch_mean: count as f64 / batches.max(1) as f64,
        cores,
    })
}

/// The time from the first submit until Postgres shows that all commands are committed.
async fn wait_until_committed(bench: &mut Bench, tally: &Tally, before: i64, count: u64) -> Result<Duration> {
    let limit = tally.accepting + Duration::from_secs(COMMITTED_WITHIN_SECONDS);
    loop {
        let committed = facts::committed_after(&mut bench.connection, before).await?;
        let elapsed = tally.started().elapsed();
        if committed >= tally.accepted {
            return Ok(elapsed);
        }
        ensure!(elapsed < limit, "{committed} of {count} commands were committed after {elapsed:?}");
        tokio::time::sleep(Duration::from_millis(LOOK_EVERY_MS)).await;
    }
}

/// Refusals and retries would be sold as throughput.
pub(super) fn ensure_all_done(tally: &Tally, count: u64) -> Result<()> {
    let Tally { accepted, turned_away, told_to_wait, faults, refused, .. } = tally;
    let clean = *accepted == count && turned_away.is_empty() && faults.is_empty() && refused.is_empty();
    ensure!(
        clean,
        "of {count} commands {accepted} were accepted; refused {refused:?}, turned away {turned_away:?}, told to wait \
         {told_to_wait:?}, faults {faults:?}"
    );
    Ok(())
}

async fn succeeded_after(connection: &mut PgConnection, before: i64) -> Result<(u64, u64)> {
    let (batches, succeeded): (i64, i64) = sqlx::query_as(
        "select count(distinct batch_id), count(*) from requests where batch_id > $1 and status = 'SUCCEEDED'",
    )
    .bind(before)
    .fetch_one(connection)
    .await
    .context("counting what was done")?;
    Ok((batches.unsigned_abs(), succeeded.unsigned_abs()))
}
