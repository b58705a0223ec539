//! Mistakes that are made on purpose, where a test asks for one: see [`runtime::fault_points::Bug`].

use std::time::Duration;

use lanes::{Batch, Decided};
use runtime::postgres::Transaction;

use crate::{Shop, faults::BatchFault};

/// How much later than its acknowledgement a batch is committed: time enough to die in between.
const LATER: Duration = Duration::from_millis(300);

/// Decides the first of a batch after the others, as if it had come after them: what a queue does that puts a retry at its tail.
pub(crate) async fn decide_head_last(shop: &Shop, batch: &Batch) -> Result<Decided, BatchFault> {
    let mut turned = batch.clone();
    turned.entries.rotate_left(1);
    for (entry, place) in turned.entries.iter_mut().zip(&batch.entries) {
        entry.ticket = place.ticket;
    }
    let mut decided = shop.decide_batch(&turned).await?;
    decided.outcomes.rotate_right(1);
    Ok(decided)
}

/// Commits some time, or never.
pub(crate) fn commit_later(transaction: Transaction) {
    tokio::spawn(async move {
        tokio::time::sleep(LATER).await;
        if let Err(error) = transaction.commit().await {
            tracing::warn!(%error, "what was acknowledged is not committed");
        }
    });
}
