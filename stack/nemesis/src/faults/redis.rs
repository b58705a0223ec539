//! Redis.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use chrono::DateTime;
use runtime::fault_points::Point;
use runtime::metrics::REDIS_SCRIPT_SECONDS;
use serde_json::json;

use super::processes::sleep_at;
use super::{LASTS, Struck, felt, pause};
use crate::clock;
use crate::house::{COPIES, House, Program};
use crate::load::WIDE;

/// As long as a Redis that is busy with its disk; a client of the crate `redis` gives up after 500 ms by default.
const STALL: Duration = Duration::from_millis(600);
const STALLS: usize = 3;

pub(super) async fn kill(house: &House) -> Result<()> {
    house.redis().kill9();
    away_and_back(house).await
}

pub(super) async fn end_server(house: &House) -> Result<()> {
    house.redis().stop();
    away_and_back(house).await
}

async fn away_and_back(house: &House) -> Result<()> {
    let felt = house.no_longer_ready(Program::Api, 0).await;
    pause(LASTS).await;
    house.redis().start_again()?;
    felt
}

pub(super) async fn stall(house: &House) -> Result<()> {
    let before = long_calls(house).await;
    for _ in 0..STALLS {
        house.redis().sigstop();
        pause(STALL).await;
        house.redis().sigcont();
        pause(STALL).await;
    }
    felt("somebody to wait for Redis", async || Ok(long_calls(house).await > before)).await
}

/// How many calls of scripts took longer than half a second, less than a stall.
async fn long_calls(house: &House) -> f64 {
    let mut long = 0.0;
    for program in [Program::Api, Program::Workers] {
        for copy in 0..COPIES {
            let count = |name: String, label| async move { house.counted(program, copy, &name, label).await };
            let all = count(format!("{REDIS_SCRIPT_SECONDS}_count"), "").await;
            long += all - count(format!("{REDIS_SCRIPT_SECONDS}_bucket"), "le=\"0.5\"").await;
        }
    }
    long
}

pub(super) async fn flush_scripts(house: &House) -> Result<()> {
    let before = errors(house, "NOSCRIPT")?;
    house.redis().command(&["SCRIPT", "FLUSH"])?;
    felt("a script to be missed", async || Ok(errors(house, "NOSCRIPT")? > before)).await
}

pub(super) async fn fill(house: &House) -> Result<()> {
    let before = errors(house, "OOM")?;
    house.redis().command(&["CONFIG", "SET", "maxmemory", "1"])?;
    let felt = felt("Redis to refuse", async || Ok(errors(house, "OOM")? > before)).await;
    pause(LASTS).await;
    house.redis().command(&["CONFIG", "SET", "maxmemory", "0"])?;
    felt
}

/// A Redis that must keep everything and cannot write it ends by itself, as whoever watches over it sees.
pub(super) async fn fill_disk(house: &House) -> Result<Struck> {
    let Some(disks) = &house.disks else {
        return Ok(Struck::Skipped("Redis has no disk that can be filled".to_owned()));
    };
    disks.redis.fill()?;
    let felt = felt("Redis to end for want of disk", async || Ok(!house.redis().is_running())).await;
    pause(LASTS).await;
    disks.redis.free()?;
    felt?;
    house.redis().start_again()?;
    Ok(Struck::Felt)
}

/// Somebody starts Redis with other settings: nothing may be accepted. What was accepted before is in the file that it does
/// not read, and comes back with it.
pub(super) async fn without_aof(house: &House) -> Result<()> {
    {
        let mut redis = house.redis();
        redis.stop();
        redis.set_append_only(false);
        redis.start_again()?;
    }
    let refused = refuses(house).await;
    {
        let mut redis = house.redis();
        redis.stop();
        redis.set_append_only(true);
        redis.start_again()?;
    }
    refused?;
    house.ready(Program::Api, 0).await
}

async fn refuses(house: &House) -> Result<()> {
    house.no_longer_ready(Program::Api, 0).await?;
    felt("the door to say why", async || {
        let Some(answer) = house.ask_copy(Program::Api, 0, "/readyz").await else { return Ok(false) };
        Ok(answer.text().await.unwrap_or_default().contains("appendonly"))
    })
    .await?;
    let claim = json!({"userId": "nobody-is-told-yes"});
    let (status, body) = house.shopper(&format!("/api/coupons/{WIDE}/issue"), &claim).await?;
    ensure!(status == 503, "a claim was answered {status} by a door whose Redis keeps nothing: {body}");
    pause(LASTS).await;
    Ok(())
}

/// Restarts it with a wrong clock, ahead and then behind, and with the right one again: what it keeps the time of, leases above
/// all, is hours off in both directions.
pub(super) async fn skew(house: &House) -> Result<Struck> {
    for is_ahead in [true, false] {
        let variables = match clock::wrong(is_ahead) {
            Ok(variables) => variables,
            Err(why) => return Ok(Struck::Skipped(format!("no clock can be wrong here: {why:#}"))),
        };
        again(house, variables)?;
        let seconds: i64 = house.redis().command(&["TIME"])?.lines().next().unwrap_or_default().parse()?;
        ensure!(
            clock::is_off(DateTime::from_timestamp(seconds, 0).context("what Redis says of the time")?),
            "Redis' clock is right"
        );
        pause(LASTS).await;
    }
    again(house, [])?;
    Ok(Struck::Felt)
}

fn again<const N: usize>(house: &House, variables: [(&'static str, String); N]) -> Result<()> {
    let mut redis = house.redis();
    redis.stop();
    redis.set_env(variables);
    redis.start_again()
}

/// Loses all data, once somebody stands in line: in one step, so that nobody is served between looking and losing.
pub(super) async fn lose(house: &House) -> Result<()> {
    const LOSE_A_LINE: &str = "
        local standing = 0
        for _, line in ipairs(redis.call('KEYS', '*:line')) do standing = standing + redis.call('ZCARD', line) end
        if standing > 0 then redis.call('FLUSHALL') end
        return standing";
    felt("somebody to stand in a line that is lost", async || {
        house.losses.during(|| Ok(house.redis().command(&["EVAL", LOSE_A_LINE, "0"])?.trim() != "0"))
    })
    .await
}

pub(super) async fn lose_under_zombie(house: &House) -> Result<()> {
    const TRIES: usize = 5;
    for _ in 0..TRIES {
        let zombie = sleep_at(house, Point::BeforeTransaction, async || lose(house).await).await?;
        // A charge that nobody came after was lost, and may be done all the same.
        if zombie.drops_its_batch(house).await.is_ok() {
            return Ok(());
        }
    }
    bail!("nobody who slept while Redis lost its data had to drop a batch")
}

/// How often Redis has answered with this error.
fn errors(house: &House, name: &str) -> Result<u64> {
    let stats = house.redis().command(&["INFO", "errorstats"])?;
    let count =
        stats.lines().find_map(|line| line.strip_prefix("errorstat_")?.strip_prefix(name)?.strip_prefix(":count="));
    Ok(count.and_then(|count| count.trim().parse().ok()).unwrap_or_default())
}
