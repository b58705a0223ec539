//! What a second workers process costs or brings. On one hot line it cannot bring anything, as one of them has it; it
//! must not cost much either, because that is how a shop survives the loss of one.

use anyhow::Result;

use super::results::SecondWorker;
use super::series::Series;
use super::throughput::{Bench, once};
use super::workload::Workload;

/// Measures pairs, one and two workers processes in turn, each pair the other way round than the one before: what
/// drifts with time cancels out.
///
/// # Errors
/// When not every command was done.
pub async fn measure(bench: &mut Bench, workload: &Workload, pairs: usize) -> Result<SecondWorker> {
    let mut ratios = Vec::with_capacity(pairs);
    for pair in 1..=pairs {
        let order = if pair % 2 == 1 { [1, 2] } else { [2, 1] };
        let mut rates = [0.0; 2];
        for workers in order {
            bench.shop.set_workers(workers)?;
            let which = format!("pair {pair} of {pairs}, {workers} workers");
            rates[workers - 1] = once(bench, workload, &which).await?.committed_per_second;
        }
        ratios.push(rates[1] / rates[0]);
    }
    bench.shop.set_workers(1)?;
    Ok(SecondWorker { name: workload.name, ratio: Series::of(ratios) })
}
