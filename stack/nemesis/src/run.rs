//! A run: load, faults one after the other or several at once, and the promises looked at in the end.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::check::{Evidence, Verdict, watch};
use crate::faults::{Fault, Scene, Struck, together};
use crate::glance::breaches;
use crate::house::{COPIES, House, LEASE};
use crate::load::{CHARGERS, Goods, Load};
use crate::log::Accepted;
use crate::pace::Compared;

/// Shoppers at once, unless said: enough for batches, few enough that the faults and not the load are tried.
pub const SHOPPERS: usize = 24;

/// Between two faults the shop works for a while, so that the next one finds it at work.
const QUIET_MIN_MS: u64 = 300;
const QUIET_MAX_MS: u64 = 1_500;

/// Faults that strike at once begin within so many milliseconds of each other.
const APART_MAX_MS: u64 = 500;

/// How long the pace is looked at before and after a fault that must not change it, and the rest after any fault before that.
const PACE_LOOKED_AT: Duration = Duration::from_secs(5);
const PACE_REST: Duration = Duration::from_secs(2);

/// How often outcomes are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Nothing waits longer than a lease and so long after a fault.
const DRAIN: Duration = Duration::from_secs(5);

/// For charges: a gateway is asked again a minute later; a worker that died while it asked had the charge for some seconds.
const SETTLED_MAX: Duration = Duration::from_secs(90);

/// For everybody outside to hear of everything, once they are well: a mail is tried again a minute later, and a worker that
/// died while it sent mails or alerts had them for three.
const TOLD_MAX: Duration = Duration::from_secs(270);

/// What shall be tried.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program that can be both programs.
    pub program: PathBuf,
    /// Decides which shopper wants what, which fault comes when, and whom it hits.
    pub seed: u64,
    /// The faults, each at least once in this order; more of them, at random, until the time is over.
    pub faults: Vec<Fault>,
    /// So many strike at once, if they hit different things.
    pub at_once: usize,
    /// For so long at least.
    pub time: Duration,
    /// Shoppers at once.
    pub shoppers: usize,
    /// Shoppers who charge, beside them. A charge whose worker dies is settled a minute later.
    pub chargers: usize,
    /// What they want.
    pub goods: Goods,
    /// Beside these faults the pace of those is compared whom they do not touch.
    pub paced: fn(Fault) -> bool,
    /// Settings of both programs beside the usual ones.
    pub more: Vec<(&'static str, String)>,
}

impl Plan {
    /// These faults one after the other, each once.
    pub fn of(program: PathBuf, seed: u64, faults: Vec<Fault>) -> Plan {
        Plan {
            program,
            seed,
            faults,
            at_once: 1,
            time: Duration::ZERO,
            shoppers: SHOPPERS,
            chargers: CHARGERS,
            goods: Goods::made_up(),
            paced: Fault::is_of_one_lane,
            more: Vec::new(),
        }
    }

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
    /// What was done and felt, in order.
    pub struck: Vec<Fault>,
    /// What this machine cannot do, and why.
    pub skipped: Vec<(Fault, String)>,
    /// Commands that were begun.
    pub commands: usize,
}

impl Report {
    /// Whether every promise was kept, and tried.
    pub fn is_clean(&self) -> bool {
        self.verdicts.iter().all(Verdict::is_kept)
    }
}

/// Tries the plan in a shop of its own, with logs and data below `folder`. `telling` hears what is being done. It needs a
/// runtime of several threads.
///
/// # Errors
/// When a fault was not felt, or the shop could not be brought back. A broken promise is in the report.
pub async fn run(plan: &Plan, folder: &Path, mut telling: impl FnMut(&str)) -> Result<Report> {
    let mut random = StdRng::seed_from_u64(plan.seed);
    let on_disks = plan.faults.iter().any(|fault| fault.needs_disks());
    let house = House::open(&plan.program, folder, on_disks, &plan.more).await.context("opening the shop")?;
    plan.goods.stock(&house).await.context("stocking the shop")?;
    watch(&house.pool).await?;
    let crowd = (plan.shoppers, plan.chargers);
    let mut load = Load::start(&house.balancer, &plan.goods, crowd, plan.seed, &house.losses);
    let ends = Instant::now() + plan.time;
    let (mut struck, mut skipped, mut paces, mut late) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut glances, mut broken_between) = (0, Vec::new());
    let mut ahead = plan.faults.clone();
    loop {
        if ahead.is_empty() && Instant::now() < ends {
            ahead.extend((0..plan.at_once * CHOSEN_AHEAD).filter_map(|_| plan.faults.choose(&mut random)));
        }
        let faults = together(&mut ahead, plan.at_once);
        if faults.is_empty() || Instant::now() >= ends && struck.len() + skipped.len() >= plan.faults.len() {
            break;
        }
        let paced = faults.iter().any(|fault| (plan.paced)(*fault));
        pause(if paced { PACE_REST + PACE_LOOKED_AT } else { quiet(&mut random) }).await;
        let named: Vec<String> = faults.iter().map(|fault| fault.name()).collect();
        let named = named.join(" + ");
        telling(&named);
        let began = Instant::now();
        let outcomes = strike_all(&faults, &house, &load, &mut random);
        for (fault, outcome) in faults.iter().zip(outcomes) {
            match outcome.with_context(|| format!("{} of {named}, after {} faults", fault.name(), struck.len()))? {
                Struck::Felt => struck.push(*fault),
                Struck::Skipped(why) => {
                    stack::tell_skipped(format_args!("{}: {why}", fault.name()));
                    skipped.push((*fault, why));
                }
            }
        }
        let ended = Instant::now();
        let (open, served) = (load.log().open(), load.log().served());
        if let Some(open) = still_open(&house, open).await {
            late.push(format!("{open} of those accepted before the end of {named}"));
        }
        glances += 1;
        broken_between.extend(breaches(&house.pool).await?.into_iter().map(|what| format!("after {named}: {what}")));
        // The shop is well again when it serves more than it had in hand.
        let in_hand = plan.shoppers;
        let serves = || async { (load.log().served() > served + in_hand).then_some(()) };
        stack::try_wait_for_async("the shop to serve again", LEASE + DRAIN, serves)
            .await
            .with_context(|| format!("after {named}"))?;
        if paced {
            pause(PACE_REST + PACE_LOOKED_AT).await;
            let pace = |from, to| load.pace().between(from, to);
            let now = Instant::now();
            let (before, during) = (pace(began - PACE_LOOKED_AT, began), pace(began, ended));
            let after = pace(now - PACE_LOOKED_AT, now);
            telling(&format!("  the pace beside it: {during}; {before} before and {after} after"));
            paces.push(Compared { fault: named, before, during, after });
        }
    }
    telling("looking at the promises");
    let in_time = load.finish(LEASE + DRAIN, SETTLED_MAX).await;
    let waiting = house.waiting().await?;
    everything_told(&house).await;
    let evidence = Evidence { house: &house, told: load.log().all(), in_time, late, waiting, paces };
    let mut verdicts = evidence.check().await?;
    verdicts.push(Verdict::new("I1, I2 and I6 after each fault", glances, broken_between));
    Ok(Report { verdicts, struck, skipped, commands: evidence.told.len() })
}

/// Further faults that are chosen together, once all have been: among several, more can strike at once.
const CHOSEN_AHEAD: usize = 4;

/// Strikes with all of them, each in a thread of its own: starting and stopping servers blocks.
fn strike_all(faults: &[Fault], house: &House, load: &Load, random: &mut StdRng) -> Vec<Result<Struck>> {
    let runtime = Handle::current();
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let strike = |fault: &Fault| {
                let scene = Scene { house, load, copy: random.random_range(0..COPIES), dice: random.random() };
                let apart = if faults.len() > 1 { random.random_range(0..APART_MAX_MS) } else { 0 };
                let (fault, runtime) = (*fault, runtime.clone());
                scope.spawn(move || {
                    runtime.block_on(async {
                        pause(Duration::from_millis(apart)).await;
                        fault.strike(scene).await
                    })
                })
            };
            let striking: Vec<_> = faults.iter().map(strike).collect();
            striking.into_iter().map(|thread| thread.join().expect("a fault that panicked is a mistake here")).collect()
        })
    })
}

/// How many of these have no outcome when none may wait any longer; none: all have. What was lost since has none.
async fn still_open(house: &House, mut open: Vec<Accepted>) -> Option<usize> {
    let ends = Instant::now() + LEASE + DRAIN;
    loop {
        let ids: Vec<Uuid> = open.iter().map(|accepted| accepted.id).collect();
        let decided = sqlx::query_scalar("select request_id from requests where request_id = any($1)").bind(ids);
        let decided: HashSet<Uuid> = decided.fetch_all(&house.pool).await.unwrap_or_default().into_iter().collect();
        open.retain(|it| !decided.contains(&it.id) && !house.losses.between(it.sent, Instant::now()));
        if open.is_empty() || Instant::now() > ends {
            return (!open.is_empty()).then_some(open.len());
        }
        pause(LOOK_EVERY).await;
    }
}

fn quiet(random: &mut StdRng) -> Duration {
    Duration::from_millis(random.random_range(QUIET_MIN_MS..=QUIET_MAX_MS))
}

async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Waits until no order waits to be sent, each having been taken or being on the desk, and no mail does.
async fn everything_told(house: &House) {
    let open = || async {
        let open: i64 = sqlx::query_scalar(
            "select (select count(*) from order_syncs where synced_at is null and next_attempt_at is not null)
                  + (select count(*) from mails where sent_at is null and refused_at is null)
                  + (select count(*) from restocks)
                  + (select count(*) from alert_deliveries where delivered_at is null)",
        )
        .fetch_one(&house.pool)
        .await
        .ok()?;
        (open == 0).then_some(())
    };
    // Whether it came to that is a promise, and looked at with the others.
    let _ = stack::try_wait_for_async("everybody outside to be told", TOLD_MAX, open).await;
}
