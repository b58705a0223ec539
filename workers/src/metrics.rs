//! What the work tells Prometheus.

use std::time::Duration;

use chrono::Utc;
use common::{Outcome, Receipt};
use lanes::{Batch, Claim, Group, Observer};
use runtime::metrics;

/// Counts what the backend sees.
#[derive(Debug)]
pub struct Counting;

impl Observer for Counting {
    fn claimed(&self, group: &Group, claim: &Claim) {
        match &claim.batch {
            Some(_) => metrics::claims(group.to_string()).increment(1),
            None => metrics::empty_claims(group.to_string()).increment(1),
        }
        if claim.expired > 0 {
            metrics::lease_expiries(group.to_string()).increment(claim.expired);
            tracing::warn!(%group, expired = claim.expired, "{group}: {} leases expired; their batches go on", claim.expired);
        }
    }

    fn acked(&self, _: &Group, _: &Batch) {}

    fn acked_too_late(&self, group: &Group, batch: &Batch) {
        metrics::fence_refusals(group.to_string()).increment(1);
        tracing::warn!(%group, batch = %batch.token, "{group}: an ack came too late, because another worker has the batch");
    }
}

/// A batch was claimed.
pub fn record_batch(batch: &Batch) {
    let group = batch.group.as_str();
    metrics::batch_size(group.to_owned()).record(batch.entries.len() as f64);
    let waits = metrics::wait_seconds(group.to_owned());
    for entry in &batch.entries {
        waits.record(seconds(batch.claimed_at_us - entry.accepted_at_us));
    }
    if batch.suspect {
        metrics::redeliveries(group.to_owned()).increment(batch.entries.len() as u64);
    }
}

/// A transaction was committed: these are the outcomes that it brought.
pub fn record_outcomes<'a>(group: &str, receipts: impl Iterator<Item = &'a Receipt>, transaction: Duration) {
    metrics::transaction_seconds(group.to_owned()).record(transaction);
    let until_outcome = metrics::time_to_outcome_seconds(group.to_owned());
    let now_us = Utc::now().timestamp_micros();
    let mut counts: Vec<(&str, &str, u64)> = Vec::new();
    for receipt in receipts {
        until_outcome.record(seconds(now_us - receipt.accepted_at.timestamp_micros()));
        let outcome = match &receipt.outcome {
            Outcome::Succeeded(_) => receipt.outcome.status(),
            Outcome::Failed(refusal) => refusal.code(),
        };
        let kind = receipt.kind.as_str();
        match counts.iter_mut().find(|(k, o, _)| (*k, *o) == (kind, outcome)) {
            Some((_, _, count)) => *count += 1,
            None => counts.push((kind, outcome, 1)),
        }
    }
    for (kind, outcome, count) in counts {
        if outcome == common::Refusal::Internal.code() {
            metrics::parked(group.to_owned()).increment(count);
        }
        metrics::decided(kind, outcome).increment(count);
    }
}

fn seconds(us: i64) -> f64 {
    Duration::from_micros(us.max(0).unsigned_abs()).as_secs_f64()
}
