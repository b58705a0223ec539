//! The programs themselves.

use anyhow::{Context, Result, ensure};
use runtime::fault_points::Point;
use runtime::metrics::{BATCH_FAULTS, FENCE_REFUSALS, LEASE_EXPIRIES};
use tokio::time::Instant;

use super::{FELT_MAX, LASTS, LOOK_EVERY, Struck, felt, pause};
use crate::clock;
use crate::house::{COPIES, House, LEASE, Program};
use crate::log::Log;

pub(super) async fn kill(house: &House, program: Program, one: usize) -> Result<()> {
    house.process(program, one).kill9();
    pause(LASTS).await;
    house.start_again(program, one, &[]).await
}

pub(super) async fn end(house: &House, program: Program, one: usize) -> Result<()> {
    house.process(program, one).sigterm();
    ended_well(house, program, one).await?;
    house.start_again(program, one, &[]).await
}

/// Waits until a copy that was told to has ended well.
async fn ended_well(house: &House, program: Program, one: usize) -> Result<()> {
    let mut status = None;
    felt(&format!("{program:?} {one} to end"), async || {
        status = house.process(program, one).status();
        Ok(status.is_some())
    })
    .await?;
    let status = status.unwrap_or_default();
    ensure!(status.success(), "{program:?} {one} ended with {status}");
    Ok(())
}

/// As an operator brings a new version: what is in hand is finished, and the next one goes only when this one is back.
pub(super) async fn rolling_restart(house: &House, log: &Log) -> Result<()> {
    let before = log.broken_off().len();
    for one in 0..COPIES {
        house.process(Program::Api, one).sigterm();
        house.no_longer_ready(Program::Api, one).await?;
        house.balancer.set_open(one, false);
        ended_well(house, Program::Api, one).await?;
        house.start_again(Program::Api, one, &[]).await?;
        house.balancer.set_open(one, true);
    }
    for one in 0..COPIES {
        end(house, Program::Workers, one).await?;
    }
    let lost = log.broken_off().split_off(before);
    ensure!(lost.is_empty(), "{} answers were lost: {lost:?}", lost.len());
    Ok(())
}

/// Stops a worker that has a batch in hand: somebody else must find its lease expired.
pub(super) async fn stop(house: &House, one: usize) -> Result<()> {
    felt("a lease to expire", async || {
        let expired = async || expired_leases(house, other(one)).await;
        let before = expired().await;
        house.process(Program::Workers, one).sigstop();
        pause(LEASE * 3).await;
        let is_felt = expired().await > before;
        house.process(Program::Workers, one).sigcont();
        Ok(is_felt)
    })
    .await?;
    house.ready(Program::Workers, one).await
}

fn other(one: usize) -> usize {
    (one + 1) % COPIES
}

async fn expired_leases(house: &House, one: usize) -> f64 {
    house.counted(Program::Workers, one, LEASE_EXPIRIES, "").await
}

/// Lets whoever comes by first die there, at one point after the other, and starts it again.
pub(super) async fn die_at(house: &House, program: Program, points: &[Point]) -> Result<()> {
    for point in points {
        house.arm(*point, "KILL")?;
        felt(&format!("somebody to die at {}", point.as_str()), async || Ok(house.was_reached(*point))).await?;
        start_the_dead(house, program, *point).await?;
    }
    Ok(())
}

async fn start_the_dead(house: &House, program: Program, point: Point) -> Result<()> {
    let ends = Instant::now() + FELT_MAX;
    loop {
        for one in 0..COPIES {
            let is_running = house.process(program, one).is_running();
            if !is_running {
                return house.start_again(program, one, &[]).await;
            }
        }
        ensure!(Instant::now() < ends, "the file of {} was taken, and nobody died", point.as_str());
        pause(LOOK_EVERY).await;
    }
}

/// Lets whoever comes by first stop there for longer than its lease, and go on, at one point after the other.
pub(super) async fn stop_at(house: &House, points: &[Point]) -> Result<()> {
    for point in points {
        let expired = house.counted_by_workers(LEASE_EXPIRIES).await;
        let one = sleep_at(house, *point, async || Ok(())).await?;
        ensure!(
            house.counted_by_workers(LEASE_EXPIRIES).await > expired,
            "no lease expired while somebody stood at {}",
            point.as_str()
        );
        one.drops_its_batch(house).await?;
    }
    Ok(())
}

/// A worker that slept at a point past its lease.
pub(super) struct Sleeper {
    one: usize,
    point: Point,
    dropped_before: f64,
}

/// Lets whoever comes by the point first stop there, and wakes it when its lease has long run out and this has happened.
pub(super) async fn sleep_at(
    house: &House,
    point: Point,
    meanwhile: impl AsyncFnOnce() -> Result<()>,
) -> Result<Sleeper> {
    let mut dropped = [0.0; COPIES];
    for (one, dropped) in dropped.iter_mut().enumerate() {
        *dropped = dropped_batches(house, one).await;
    }
    house.arm(point, "STOP")?;
    let asleep = || (0..COPIES).find(|one| is_stopped(house, *one));
    let came = async || Ok(house.was_reached(point) && asleep().is_some());
    felt(&format!("somebody to stop at {}", point.as_str()), came).await?;
    let one = asleep().context("whoever stopped goes on by itself")?;
    let happened = meanwhile().await;
    pause(LEASE * 3).await;
    wake_workers(house).await?;
    happened?;
    Ok(Sleeper { one, point, dropped_before: dropped[one] })
}

impl Sleeper {
    /// It must find out that its batch is somebody else's by now.
    ///
    /// # Errors
    /// When it does not.
    pub(super) async fn drops_its_batch(&self, house: &House) -> Result<()> {
        felt(&format!("whoever stood at {} to drop its batch", self.point.as_str()), async || {
            Ok(dropped_batches(house, self.one).await > self.dropped_before)
        })
        .await
    }
}

/// Batches of a worker that were somebody else's, or whose transaction Postgres had ended.
async fn dropped_batches(house: &House, one: usize) -> f64 {
    let counted = async |name| house.counted(Program::Workers, one, name, "").await;
    counted(FENCE_REFUSALS).await + counted(BATCH_FAULTS).await
}

/// Whether a worker's process is stopped, as the kernel says behind its name, which may hold anything.
fn is_stopped(house: &House, one: usize) -> bool {
    let pid = house.process(Program::Workers, one).pid();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
}

pub(super) async fn wake_workers(house: &House) -> Result<()> {
    for one in 0..COPIES {
        // It does no harm to those that run.
        house.process(Program::Workers, one).sigcont();
    }
    for one in 0..COPIES {
        house.ready(Program::Workers, one).await?;
    }
    Ok(())
}

/// Starts one copy with a wrong clock, ahead and then behind, and with the right one again.
pub(super) async fn skew(house: &House, program: Program, one: usize) -> Result<Struck> {
    for is_ahead in [true, false] {
        let variables = match clock::wrong(is_ahead) {
            Ok(variables) => variables,
            Err(why) => return Ok(Struck::Skipped(format!("no clock can be wrong here: {why:#}"))),
        };
        again(house, program, one, &variables).await?;
        felt("an answer with a wrong date", async || match house.ask_copy(program, one, "/healthz").await {
            Some(answer) => clock::is_wrong(&answer),
            None => Ok(false),
        })
        .await?;
        pause(LASTS).await;
    }
    again(house, program, one, &[]).await?;
    Ok(Struck::Felt)
}

async fn again(house: &House, program: Program, one: usize, more: &[(&str, String)]) -> Result<()> {
    house.process(program, one).sigterm();
    ended_well(house, program, one).await?;
    house.start_again(program, one, more).await
}
