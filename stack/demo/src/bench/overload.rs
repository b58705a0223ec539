//! Three times as many orders as the shop can do, for a while: what becomes of those that it takes, and of the shop.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use sqlx::PgConnection;
use tokio::task::JoinSet;

use super::Scale;
use super::cpu::CpuClock;
use super::results::{Memory, Overload};
use super::workload::Workload;
use crate::checks::connect;
use crate::facts;
use crate::load::{Connection, Histogram, Letter, make_room, per_second};
use crate::sale;
use crate::screen::Screen;
use crate::shop::{Outside, Shop};

/// How many times the capacity comes.
const TIMES: f64 = 3.0;

/// Shoppers of the closed loop, each of whom waits for the outcome: enough to keep the shop busy.
const CLOSED_CONNECTIONS: usize = 512;

/// Shoppers of the open loop: enough for all who are on their way at once while an answer takes a fifth of a second.
const OPEN_CONNECTIONS: usize = 4_096;

/// How long a line operators let grow here: a second or two of work. Whoever would wait longer is told to come again.
const DEPTH_MAX: &str = "10000";

/// As operators set it who expect such a day: a line that is always deep is emptied faster in large batches, because those
/// behind one another on the same products go together.
const BATCH_MAX: &str = "2000";

/// How often the memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The shop must have recovered in this time, or it has not.
const RECOVERY_MAX: Duration = Duration::from_secs(10);

/// What one of our processes may have in use at most, in MiB, however many come.
const MEMORY_MAX_MIB: f64 = 512.0;

/// Measures it in a shop of its own, below `folder`.
///
/// # Errors
/// When something is answered that is neither an acceptance nor a refusal with the time to come again; when the shop does not
/// recover in time, takes more memory than it may, refuses an order that it accepted, or broke a promise.
pub async fn measure(folder: &Path, screen: Screen, workload: &Workload, scale: Scale) -> Result<Overload> {
    let mut step = screen.step("three times as many orders as can be done");
    let settings = [("QUEUE_MAX_DEPTH", DEPTH_MAX.to_owned()), ("LANE_BATCH_MAX", BATCH_MAX.to_owned())];
    let shop = Shop::open_with(Some(folder.join("overload")), Outside::Nobody, &settings, |what| step.say(what))?;
    let mut connection = connect(&shop.database_url()).await?;
    sale::create(&shop.admin(), &workload.sale, &indicatif::ProgressBar::hidden()).await?;
    let _pinned = Pinned::to_one_processor()?;

    step.say("measuring the capacity");
    let (_, waiting) = workload.commands(shop.door(), true)?;
    let waiting: Arc<[Letter]> = waiting.into();
    let nobody_waits = Instant::now();
    closed_loop(&shop, &waiting, scale.during, nobody_waits).await?;
    let clock = CpuClock::start(shop.processes());
    let capacity_before = closed_loop(&shop, &waiting, scale.during, nobody_waits).await?;
    let capacity_cores = clock.cores();

    step.say(&format!("{:.0} orders a second", capacity_before * TIMES));
    let (_, letters) = workload.commands(shop.door(), false)?;
    let before = facts::newest_batch(&mut connection).await?;
    let (watching, clock) = (Watching::start(&shop), CpuClock::start(shop.processes()));
    let told = open_loop(&shop, letters.into(), capacity_before * TIMES, scale.overload).await?;
    let committed = facts::committed_after(&mut connection, before).await?;
    let cores = clock.cores();
    let ended = Instant::now();
    let memory = watching.end().await;
    wait_until_done(&mut connection, before, told.accepted).await?;
    let recovered = ended.elapsed();
    for name in ["api", "workers"] {
        let peak_mib = memory.get(name).map_or(f64::INFINITY, |memory| memory.peak_mib);
        ensure!(peak_mib <= MEMORY_MAX_MIB, "{name} took {peak_mib:.0} MiB");
    }
    step.say("measuring the capacity once more");
    closed_loop(&shop, &waiting, scale.during, ended + RECOVERY_MAX).await?;
    let capacity_after = closed_loop(&shop, &waiting, scale.during, ended + RECOVERY_MAX).await?;
    // The machine may be quicker or slower than it was. Whatever is the reason, the better one is what could be done.
    let capacity = capacity_before.max(capacity_after);
    let refused = facts::refused(&mut connection).await?;
    ensure!(refused == 0, "{refused} orders were accepted and then refused, and count as done");
    let audit = shop.admin().audit().await?;
    ensure!(audit.ok, "the shop broke a promise: {audit:?}");

    let ms = |histogram: &Histogram, quantile| histogram.quantile(quantile).unwrap_or_default().as_secs_f64() * 1e3;
    let overload = Overload {
        capacity_per_second: capacity,
        offered_per_second: per_second(told.sent, told.took),
        accepted_per_second: per_second(told.accepted, told.took),
        turned_away_per_second: per_second(told.turned_away, told.took),
        goodput: per_second(committed, told.took) / capacity,
        accepted_p50_ms: ms(&told.took_to_accept, 0.5),
        accepted_p99_ms: ms(&told.took_to_accept, 0.99),
        turned_away_p99_ms: ms(&told.took_to_turn_away, 0.99),
        sent_late_p99_ms: ms(&told.late, 0.99),
        memory,
        capacity_cores,
        cores,
        recovered_ms: recovered.as_secs_f64() * 1e3,
    };
    step.remark(&format!("goodput {:.0} %", overload.goodput * 100.0));
    step.done();
    Ok(overload)
}

/// Keeps this thread, which makes the load, on one processor until it is dropped: the shop has the others, and what is left
/// of this one.
struct Pinned(CpuSet);

impl Pinned {
    fn to_one_processor() -> Result<Pinned> {
        let all = sched_getaffinity(None).context("asking for our processors")?;
        let first = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu)).context("we have no processor")?;
        let mut one = CpuSet::new();
        one.set(first);
        sched_setaffinity(None, &one).context("keeping to one processor")?;
        Ok(Pinned(all))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // What was allowed a moment ago is allowed.
        let _ = sched_setaffinity(None, &self.0);
    }
}

/// Outcomes a second, while everybody waits for theirs before the next order. Who comes right after a crowd may still be taken
/// for one, and then comes again when told to; after `recovered` it is an error, because the shop has not.
async fn closed_loop(shop: &Shop, letters: &Arc<[Letter]>, during: Duration, recovered: Instant) -> Result<f64> {
    let (next, began) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let mut shoppers = JoinSet::new();
    for _ in 0..CLOSED_CONNECTIONS {
        let (letters, next) = (Arc::clone(letters), Arc::clone(&next));
        let mut connection = Connection::open(shop.address()).await?;
        shoppers.spawn(async move {
            let mut outcomes = 0u64;
            while began.elapsed() < during {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let answer = connection.send(&letters[number % letters.len()]).await.context("ordering")?;
                match (answer.status, answer.retry_after) {
                    (201, _) => outcomes += 1,
                    (503, Some(told)) if Instant::now() < recovered => tokio::time::sleep(told).await,
                    (status, _) => bail!("an order was answered with {status}"),
                }
            }
            anyhow::Ok(outcomes)
        });
    }
    let mut outcomes = 0;
    while let Some(ended) = shoppers.join_next().await {
        outcomes += ended.context("a shopper did not come to an end")??;
    }
    Ok(per_second(outcomes, began.elapsed()))
}

/// What shoppers of the open loop were told.
#[derive(Default)]
struct Told {
    sent: u64,
    accepted: u64,
    turned_away: u64,
    /// From sending to the 202.
    took_to_accept: Histogram,
    /// From sending to being told to come again.
    took_to_turn_away: Histogram,
    /// From when an order was due until it was sent: long only if the load generator cannot keep up.
    late: Histogram,
    took: Duration,
}

/// Orders that come at their time, whether the shop keeps up or not; who is told to come again goes away.
async fn open_loop(shop: &Shop, letters: Arc<[Letter]>, rate: f64, during: Duration) -> Result<Told> {
    let wanted = OPEN_CONNECTIONS.min(letters.len());
    make_room(wanted);
    let mut connections = Vec::with_capacity(wanted);
    for _ in 0..wanted {
        connections.push(Connection::open(shop.address()).await?);
    }
    let (next, all) = (Arc::new(AtomicUsize::new(0)), Arc::<Mutex<Told>>::default());
    let (began, mut shoppers) = (Instant::now(), JoinSet::new());
    for mut connection in connections {
        let (letters, next, all) = (Arc::clone(&letters), Arc::clone(&next), Arc::clone(&all));
        shoppers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let due = Duration::from_secs_f64(number as f64 / rate);
                if due >= during {
                    return anyhow::Ok(());
                }
                tokio::time::sleep_until((began + due).into()).await;
                let sent = Instant::now();
                let answer = connection.send(&letters[number % letters.len()]).await.context("ordering")?;
                let took = sent.elapsed();
                let mut told = all.lock().expect("counting does not panic");
                told.late.record(sent.saturating_duration_since(began + due));
                told.sent += 1;
                match answer.status {
                    202 => {
                        told.accepted += 1;
                        told.took_to_accept.record(took);
                    }
                    429 | 503 if answer.retry_after.is_some() => {
                        told.turned_away += 1;
                        told.took_to_turn_away.record(took);
                    }
                    status => ensure!(false, "an order was answered with {status}, without a time to come again"),
                }
            }
        });
    }
    while let Some(ended) = shoppers.join_next().await {
        ended.context("a shopper did not come to an end")??;
    }
    let mut told = std::mem::take(&mut *all.lock().expect("counting does not panic"));
    told.took = began.elapsed();
    Ok(told)
}

async fn wait_until_done(connection: &mut PgConnection, before: i64, accepted: u64) -> Result<()> {
    let ends = Instant::now() + RECOVERY_MAX;
    while facts::committed_after(connection, before).await? < accepted {
        ensure!(Instant::now() < ends, "what was accepted is not done after {RECOVERY_MAX:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Looks at the memory of the shop's processes, again and again.
struct Watching {
    looking: tokio::task::JoinHandle<()>,
    seen: Arc<Mutex<BTreeMap<&'static str, Memory>>>,
}

impl Watching {
    fn start(shop: &Shop) -> Watching {
        let processes: Vec<_> = shop.processes().into_iter().filter(|(name, _)| *name != "postgres").collect();
        let before = processes.iter().map(|(name, pid)| {
            let mib = resident_mib(*pid);
            (*name, Memory { before_mib: mib, peak_mib: mib })
        });
        let seen = Arc::new(Mutex::new(before.collect::<BTreeMap<_, _>>()));
        let shared = Arc::clone(&seen);
        let looking = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(LOOK_EVERY);
            loop {
                ticks.tick().await;
                let mut seen = shared.lock().expect("looking does not panic");
                for (name, pid) in &processes {
                    if let Some(memory) = seen.get_mut(name) {
                        memory.peak_mib = memory.peak_mib.max(resident_mib(*pid));
                    }
                }
            }
        });
        Watching { looking, seen }
    }

    async fn end(self) -> BTreeMap<&'static str, Memory> {
        self.looking.abort();
        let _ = self.looking.await;
        self.seen.lock().expect("looking does not panic").clone()
    }
}

/// The memory that a process has in use, in MiB; 0 for one that is gone.
fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap_or_default();
    kib / 1024.0
}
