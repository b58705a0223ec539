//! The ways between any two that talk.

use anyhow::Result;
use chrono::Utc;
use runtime::metrics::{BATCH_FAULTS, cron_job};

use super::{LASTS, Scene, felt, pause};
use crate::house::{Between, COPIES, House, Program};
use crate::wire::{Trouble, Wire};

/// What every worker does all the time beside the lines.
const SWEEPS: [&str; 4] = [cron_job::ORDER_SYNC, cron_job::ALERTS, cron_job::MAILS, cron_job::SETTLEMENT];

/// The same trouble on the wires between two, or on some of them, for a while: those who are cut off must come to no harm by
/// what the others do meanwhile.
pub(super) async fn strike(scene: Scene<'_>, between: Between, trouble: Trouble) -> Result<()> {
    let wires = chosen(scene, between);
    let bitten = || wires.iter().map(|wire| wire.bitten()).sum::<u64>();
    let before = bitten();
    wires.iter().for_each(|wire| wire.set(trouble));
    // Where seldom anybody goes, it takes until somebody does.
    let felt =
        felt(&format!("{trouble:?} on {} wires between {between:?}", wires.len()), async || Ok(bitten() > before))
            .await;
    pause(LASTS).await;
    wires.iter().for_each(|wire| wire.set(Trouble::None));
    felt
}

/// Every second time all wires, else any of them.
pub(super) fn chosen(scene: Scene<'_>, between: Between) -> Vec<&Wire> {
    let all = scene.house.wires(between);
    let some = scene.dice >> 1;
    let mut wanted = if scene.dice & 1 == 0 { u64::MAX } else { some % ((1 << all.len()) - 1) + 1 };
    // Doors seldom ask Postgres, so a worker is among those who feel it.
    if between == Between::ProgramsAndPostgres {
        wanted |= 1 << (COPIES + scene.copy);
    }
    all.iter().enumerate().filter(|(number, _)| wanted & (1 << number) != 0).map(|(_, wire)| wire).collect()
}

pub(super) async fn lose_commit_reply(house: &House, copy: usize) -> Result<()> {
    let of_worker = &house.wires(Between::ProgramsAndPostgres)[COPIES + copy];
    // Sweeps commit, too, and the next one may be theirs.
    felt("a batch to miss the reply to its COMMIT", async || {
        let (bitten, faults) = (of_worker.bitten(), house.counted_by_workers(BATCH_FAULTS).await);
        of_worker.set(Trouble::LoseReplyTo(b"; commit"));
        felt("the reply to a COMMIT to be lost", async || Ok(of_worker.bitten() > bitten)).await?;
        pause(LASTS / 4).await;
        Ok(house.counted_by_workers(BATCH_FAULTS).await > faults)
    })
    .await
}

/// Who waits for an answer over a connection that is dead must stop waiting by itself: every worker sweeps again.
pub(super) async fn forget_postgres(scene: Scene<'_>) -> Result<()> {
    let house = scene.house;
    strike(scene, Between::ProgramsAndPostgres, Trouble::Forget).await?;
    let over = Utc::now();
    for copy in 0..COPIES {
        for job in SWEEPS {
            felt(&format!("workers {copy} to do {job} again"), async || {
                Ok(last_success(house, copy, job).await.is_some_and(|at| at > over.timestamp_micros() as f64 / 1e6))
            })
            .await?;
        }
    }
    Ok(())
}

/// When a worker last did a sweep, in seconds since 1970.
async fn last_success(house: &House, copy: usize, job: &str) -> Option<f64> {
    let answer = house.ask_copy(Program::Workers, copy, "/metrics").await?;
    let text = answer.text().await.ok()?;
    let mut series = text.lines().filter(|line| line.starts_with("droplane_cron_last_success_seconds{"));
    series.find(|line| line.contains(&format!("\"{job}\"")))?.rsplit(' ').next()?.parse().ok()
}
