//! The ways between any two that talk.

use anyhow::{Context, Result};

use super::{LASTS, felt, pause};
use crate::house::{Between, House};
use crate::wire::{Trouble, Wire};

/// The same trouble on all wires between two, for a while. Not everybody uses each wire all the time: a door seldom asks
/// Postgres.
pub(super) async fn strike(house: &House, between: Between, trouble: Trouble) -> Result<()> {
    let wires = house.wires(between);
    let bitten = || wires.iter().map(Wire::bitten).sum::<u64>();
    let before = bitten();
    wires.iter().for_each(|wire| wire.set(trouble));
    // Where seldom anybody goes, it takes until somebody does.
    let felt = felt(&format!("{trouble:?} between {between:?}"), async || Ok(bitten() > before)).await;
    pause(LASTS).await;
    wires.iter().for_each(|wire| wire.set(Trouble::None));
    felt
}

pub(super) async fn lose_commit_reply(house: &House) -> Result<()> {
    let of_workers = house.wires(Between::ProgramsAndPostgres).last().context("the workers' wire to Postgres")?;
    let before = of_workers.bitten();
    of_workers.set(Trouble::LoseReplyTo(b"; commit"));
    felt("the reply to a COMMIT to be lost", async || Ok(of_workers.bitten() > before)).await
}
