//! What goes wrong: each fault is done, undone, and must have been felt.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use rand::RngExt;
use rand::rngs::StdRng;
use runtime::fault_points::Point;
use runtime::postgres::Timeouts;
use sandbox::{Mode, Target};
use stack::Shutdown;
use tokio::time::Instant;

use crate::house::{COPIES, House, LEASE, Program};
use crate::log::Log;
use crate::wire::{Trouble, Wire};

/// For a fault to be felt, or for somebody to come by a fault point.
const FELT_MAX: Duration = Duration::from_secs(30);

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a fault lasts that lasts.
const LASTS: Duration = Duration::from_secs(2);

/// As long as a Redis that is busy with its disk; a client of the crate `redis` gives up after 500 ms by default.
const STALL: Duration = Duration::from_millis(600);
const STALLS: usize = 3;

/// A session that does nothing but hold.
const HOLDING: Timeouts = Timeouts { statement: FELT_MAX, lock: FELT_MAX, idle_in_transaction: FELT_MAX };

/// More than any Postgres here lets in.
const SESSIONS_WANTED: u32 = 1_000;

/// A network that is far away.
const FAR: Duration = Duration::from_millis(40);

/// Everything that can go wrong here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// A worker is killed
    KillWorkers,
    /// A worker is asked to end
    EndWorkers,
    /// All doors and workers are started anew, one after the other, and no shopper loses an answer
    RollingRestart,
    /// A worker stops for longer than its lease, and goes on
    StopWorkers,
    /// A worker dies at each place of a batch where it matters
    WorkersDieAtPoints,
    /// A worker stops at each of these places past its lease, and goes on
    WorkersStopAtPoints,
    /// A door is killed
    KillApi,
    /// A door is asked to end
    EndApi,
    /// A door dies after it appended, before it answers
    ApiDiesAfterAppend,
    /// Redis is killed, and started again
    KillRedis,
    /// Redis does not answer for a moment, several times
    StallRedis,
    /// Redis forgets its scripts
    FlushScripts,
    /// Redis has no memory left
    FillRedis,
    /// Redis loses all its data
    LoseRedis,
    /// The same while a worker sleeps on a batch, which it wakes up with when others have been decided
    LoseRedisUnderZombie,
    /// Nobody reaches Redis
    CutRedis,
    /// Redis hears, and is not heard
    DeafRedis,
    /// Redis is far away
    FarRedis,
    /// Postgres ends at once, and is started again
    KillPostgres,
    /// Somebody holds a row that everybody needs for longer than anybody waits for it
    HoldRow,
    /// Postgres has no sessions left
    TakeAllSessions,
    /// All of Postgres' sessions end
    EndSessions,
    /// The reply to a COMMIT is lost
    LoseCommitReply,
    /// Nobody reaches Postgres
    CutPostgres,
    /// Postgres is far away
    FarPostgres,
    /// The order system fails
    FailOrders,
    /// The order system does not answer
    HangOrders,
}

impl Fault {
    /// Does it to the shop, ends it, and makes sure that it was felt.
    ///
    /// # Errors
    /// When it was not felt, or the shop cannot be brought back.
    pub async fn strike(self, house: &mut House, log: &Log, random: &mut StdRng) -> Result<()> {
        let one = random.random_range(0..COPIES);
        match self {
            Fault::KillWorkers => kill(house, Program::Workers, one).await,
            Fault::KillApi => kill(house, Program::Api, one).await,
            Fault::EndWorkers => end(house, Program::Workers, one).await,
            Fault::EndApi => end(house, Program::Api, one).await,
            Fault::RollingRestart => rolling_restart(house, log).await,
            Fault::StopWorkers => stop(house, one).await,
            Fault::WorkersDieAtPoints => {
                for point in Point::OF_A_BATCH {
                    die_at(house, Program::Workers, point).await?;
                }
                Ok(())
            }
            Fault::ApiDiesAfterAppend => die_at(house, Program::Api, Point::AfterAppend).await,
            Fault::WorkersStopAtPoints => {
                for point in Point::OF_A_BATCH {
                    stop_at(house, point).await?;
                }
                Ok(())
            }
            Fault::KillRedis => {
                house.redis.kill9();
                pause(LASTS).await;
                house.redis.start_again()
            }
            Fault::StallRedis => {
                for _ in 0..STALLS {
                    house.redis.sigstop();
                    pause(STALL).await;
                    house.redis.sigcont();
                    pause(STALL).await;
                }
                Ok(())
            }
            Fault::FlushScripts => {
                let before = missing_scripts(house)?;
                house.redis.command(&["SCRIPT", "FLUSH"])?;
                felt("a script to be missed", async || Ok(missing_scripts(house)? > before)).await
            }
            Fault::FillRedis => fill_redis(house).await,
            Fault::LoseRedis => lose_redis(house),
            Fault::LoseRedisUnderZombie => {
                house.arm(Point::BeforeTransaction, "STOP")?;
                felt("somebody to stop with a batch", async || Ok(house.was_reached(Point::BeforeTransaction))).await?;
                lose_redis(house)?;
                pause(LEASE * 3).await;
                wake_workers(house).await
            }
            Fault::CutRedis => on_wires(&house.to_redis, Trouble::Cut).await,
            Fault::DeafRedis => on_wires(&house.to_redis, Trouble::NoReplies).await,
            Fault::FarRedis => on_wires(&house.to_redis, Trouble::Delay(FAR)).await,
            Fault::KillPostgres => {
                house.postgres.stop(Shutdown::Immediate);
                pause(LASTS).await;
                house.postgres.start_again()
            }
            Fault::HoldRow => hold_row(house).await,
            Fault::TakeAllSessions => take_all_sessions(house).await,
            Fault::EndSessions => end_sessions(house).await,
            Fault::LoseCommitReply => {
                let wire = &house.to_postgres[1];
                let before = wire.bitten();
                wire.set(Trouble::LoseReplyTo(b"; commit"));
                felt("the reply to a COMMIT to be lost", async || Ok(wire.bitten() > before)).await
            }
            Fault::CutPostgres => on_wires(&house.to_postgres, Trouble::Cut).await,
            Fault::FarPostgres => on_wires(&house.to_postgres, Trouble::Delay(FAR)).await,
            Fault::FailOrders => order_system(house, Mode::Fail { status: 500 }).await,
            Fault::HangOrders => order_system(house, Mode::Hang).await,
        }
    }
}

async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

async fn felt(what: &str, mut is_felt: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let ends = Instant::now() + FELT_MAX;
    loop {
        if is_felt().await? {
            return Ok(());
        }
        ensure!(Instant::now() < ends, "{what}: nobody felt it");
        pause(LOOK_EVERY).await;
    }
}

async fn kill(house: &mut House, program: Program, one: usize) -> Result<()> {
    house.process(program, one).kill9();
    pause(LASTS).await;
    house.start_again(program, one).await
}

async fn end(house: &mut House, program: Program, one: usize) -> Result<()> {
    house.process(program, one).sigterm();
    replace(house, program, one).await
}

/// Waits until a copy that was told to has ended well, and starts it again.
async fn replace(house: &mut House, program: Program, one: usize) -> Result<()> {
    let process = house.process(program, one);
    let status = tokio::task::block_in_place(|| process.wait(FELT_MAX))?;
    ensure!(status.success(), "{program:?} {one} ended with {status}");
    house.start_again(program, one).await
}

/// As an operator brings a new version: what is in hand is finished, and the next one goes only when this one is back.
async fn rolling_restart(house: &mut House, log: &Log) -> Result<()> {
    let before = log.broken_off().len();
    for one in 0..COPIES {
        house.process(Program::Api, one).sigterm();
        house.no_longer_ready(Program::Api, one).await?;
        house.balancer.set_open(one, false);
        replace(house, Program::Api, one).await?;
        house.balancer.set_open(one, true);
    }
    for one in 0..COPIES {
        end(house, Program::Workers, one).await?;
    }
    let lost = log.broken_off().split_off(before);
    ensure!(lost.is_empty(), "{} answers were lost: {lost:?}", lost.len());
    Ok(())
}

async fn stop(house: &mut House, one: usize) -> Result<()> {
    house.process(Program::Workers, one).sigstop();
    pause(LEASE * 3).await;
    house.process(Program::Workers, one).sigcont();
    house.ready(Program::Workers, one).await
}

/// Lets whoever comes by first die there, and starts it again.
async fn die_at(house: &mut House, program: Program, point: Point) -> Result<()> {
    house.arm(point, "KILL")?;
    felt(&format!("somebody to die at {}", point.as_str()), async || Ok(house.was_reached(point))).await?;
    let ends = Instant::now() + FELT_MAX;
    loop {
        for one in 0..COPIES {
            if !house.process(program, one).is_running() {
                return house.start_again(program, one).await;
            }
        }
        ensure!(Instant::now() < ends, "the file of {} was taken, and nobody died", point.as_str());
        pause(LOOK_EVERY).await;
    }
}

/// Lets whoever comes by first stop there for longer than its lease, and go on.
async fn stop_at(house: &mut House, point: Point) -> Result<()> {
    house.arm(point, "STOP")?;
    felt(&format!("somebody to stop at {}", point.as_str()), async || Ok(house.was_reached(point))).await?;
    pause(LEASE * 3).await;
    wake_workers(house).await
}

async fn wake_workers(house: &mut House) -> Result<()> {
    for one in 0..COPIES {
        // It does no harm to those that run.
        house.process(Program::Workers, one).sigcont();
    }
    for one in 0..COPIES {
        house.ready(Program::Workers, one).await?;
    }
    Ok(())
}

fn lose_redis(house: &House) -> Result<()> {
    house.has_lost.store(true, Ordering::Relaxed);
    house.redis.command(&["FLUSHALL"])?;
    Ok(())
}

fn missing_scripts(house: &House) -> Result<u64> {
    let stats = house.redis.command(&["INFO", "errorstats"])?;
    let line = stats.lines().find_map(|line| line.strip_prefix("errorstat_NOSCRIPT:count="));
    Ok(line.and_then(|count| count.trim().parse().ok()).unwrap_or_default())
}

async fn fill_redis(house: &House) -> Result<()> {
    let refused = |house: &House| -> Result<u64> {
        let stats = house.redis.command(&["INFO", "errorstats"])?;
        let line = stats.lines().find_map(|line| line.strip_prefix("errorstat_OOM:count="));
        Ok(line.and_then(|count| count.trim().parse().ok()).unwrap_or_default())
    };
    let before = refused(house)?;
    house.redis.command(&["CONFIG", "SET", "maxmemory", "1"])?;
    let felt = felt("Redis to refuse", async || Ok(refused(house)? > before)).await;
    pause(LASTS).await;
    house.redis.command(&["CONFIG", "SET", "maxmemory", "0"])?;
    felt
}

/// The same trouble on both of these wires, for a while. Not everybody uses each wire all the time: a door seldom asks
/// Postgres.
async fn on_wires(wires: &[Wire; 2], trouble: Trouble) -> Result<()> {
    let bitten = || wires.iter().map(Wire::bitten).sum::<u64>();
    let before = bitten();
    wires.iter().for_each(|wire| wire.set(trouble));
    pause(LASTS).await;
    wires.iter().for_each(|wire| wire.set(Trouble::None));
    ensure!(bitten() > before, "{trouble:?}: nobody felt it");
    Ok(())
}

async fn hold_row(house: &House) -> Result<()> {
    let name = "droplane_batch_faults_total";
    let before = house.metric(Program::Workers, name).await;
    let mut held = runtime::postgres::begin(&house.pool, HOLDING).await?;
    sqlx::query("select from coupons order by coupon_id for update").execute(&mut *held).await?;
    let felt = felt("a batch to fail", async || Ok(house.metric(Program::Workers, name).await > before)).await;
    drop(held);
    felt
}

/// Takes every session that Postgres has, after ending those of the programs, so that they find none.
async fn take_all_sessions(house: &House) -> Result<()> {
    let greedy = sqlx::postgres::PgPoolOptions::new()
        .max_connections(SESSIONS_WANTED)
        .acquire_timeout(LASTS)
        .connect_with((*house.pool.connect_options()).clone())
        .await?;
    end_sessions(house).await?;
    let mut taken = Vec::new();
    let refused = loop {
        match greedy.acquire().await {
            Ok(session) => taken.push(session),
            Err(error) => break error,
        }
    };
    pause(LASTS).await;
    ensure!(!taken.is_empty(), "not one session could be taken: {refused}");
    Ok(())
}

async fn end_sessions(house: &House) -> Result<()> {
    let ended: i64 = sqlx::query_scalar(
        "select count(*) from (select pg_terminate_backend(pid) from pg_stat_activity
                                where application_name like 'droplane%' and pid <> pg_backend_pid()) as ended",
    )
    .fetch_one(&house.pool)
    .await?;
    ensure!(ended > 0, "there was no session to end");
    Ok(())
}

async fn order_system(house: &House, mode: Mode) -> Result<()> {
    let before = house.metric(Program::Workers, "droplane_sync_attempts_total").await;
    house.world.set_fault(Target::Orders, mode)?;
    let is_felt = async || Ok(house.metric(Program::Workers, "droplane_sync_attempts_total").await > before);
    let felt = felt("an order to be sent", is_felt).await;
    pause(LASTS).await;
    house.world.set_fault(Target::Orders, Mode::Ok)?;
    felt
}
