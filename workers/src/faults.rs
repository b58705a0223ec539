//! What a batch does when it could not be decided. A fault changes nothing and the line waits; a command that is the
//! cause itself is found by making batches smaller, and set aside in the end.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use common::EnvelopeError;
use lanes::{Batch, BatchEnd, Lane, Release};
use rand::RngExt;
use runtime::{
    causes::chain,
    metrics,
    postgres::{Fault, classify, violated_unique_constraint},
};

use crate::{
    Shop,
    store::{self, PARKED_PER_MINUTE_MAX, StoreError},
};

/// Any error, as a task may end with one.
type BoxDynError = Box<dyn std::error::Error + Send + Sync>;

/// How often a command is tried alone before it is parked.
pub const TRIES_ALONE_MAX: u32 = 3;

/// The first rest after a fault; each further fault in a row doubles it.
const FIRST_REST: Duration = Duration::from_millis(50);

/// The longest rest after a fault. Below the two seconds in which a line must move again.
const LONGEST_REST: Duration = Duration::from_millis(1_000);

/// The rest after a command that only a newer build can read.
const NEWER_REST: Duration = Duration::from_millis(1_000);

/// Why a batch was not decided.
#[derive(Debug, thiserror::Error)]
pub enum BatchFault {
    /// The database.
    #[error(transparent)]
    Store(StoreError),
    /// A command of the batch was decided by somebody else between our look and our write.
    #[error("another batch decided a command of this one meanwhile")]
    DecidedMeanwhile {
        /// What Postgres said.
        source: Option<StoreError>,
    },
    /// Some commands have outcomes and others do not; whether to go on depends on the lease.
    #[error("part of the batch is decided already")]
    PartlyDecided,
    /// The lease went to somebody else.
    #[error("the lease went to another worker")]
    LeaseLost,
    /// The fence: the lane has moved past one of our tickets.
    #[error("lane {lane} was decided up to ticket {last}, so ticket {ticket} comes too late")]
    Overtaken {
        /// The lane.
        lane: String,
        /// Our ticket.
        ticket: u64,
        /// The last one decided.
        last: u64,
    },
    /// Postgres did not answer for as long as a lease. What was asked may have happened; whoever claims the batch next
    /// finds out.
    #[error("Postgres did not answer for as long as a lease")]
    NoAnswer,
    /// Too many commands could not be decided, so the group is held instead of refusing one more.
    #[error("the group is held, because too many of its commands could not be decided")]
    GroupHeld,
    /// A command of a newer build.
    #[error("a command was written by a newer build")]
    Newer(#[source] EnvelopeError),
    /// A command that cannot be read.
    #[error("a command cannot be read")]
    UnreadableCommand(#[source] EnvelopeError),
    /// A command that stands in the lanes of another kind.
    #[error("a command stands in the lanes of another kind")]
    NotOfThisGroup,
    /// The line.
    #[error(transparent)]
    Lanes(#[from] lanes::Error),
}

impl From<StoreError> for BatchFault {
    fn from(error: StoreError) -> Self {
        let unique = match &error {
            StoreError::Postgres { source, .. } => violated_unique_constraint(source),
            _ => None,
        };
        match unique {
            Some("requests_pkey" | "requests_idempotency" | "charges_pkey" | "charges_idempotency") => {
                BatchFault::DecidedMeanwhile { source: Some(error) }
            }
            _ => BatchFault::Store(error),
        }
    }
}

impl From<EnvelopeError> for BatchFault {
    fn from(error: EnvelopeError) -> Self {
        match error {
            // A command of a newer build waits for a worker of that build.
            EnvelopeError::NewerVersion { .. } => BatchFault::Newer(error),
            EnvelopeError::Unreadable(_) => BatchFault::UnreadableCommand(error),
        }
    }
}

impl BatchFault {
    pub(crate) fn begin(source: sqlx::Error) -> Self {
        BatchFault::Store(StoreError::Postgres { doing: "beginning the transaction", source })
    }

    /// A commit that failed may have happened; whoever claims the batch next finds out.
    pub(crate) fn commit(source: sqlx::Error) -> Self {
        BatchFault::Store(StoreError::Postgres { doing: "committing", source })
    }
}

/// Faults in a row, for the length of the rest.
#[derive(Debug, Default)]
pub struct FaultsInARow(AtomicU32);

impl FaultsInARow {
    /// A batch was decided.
    pub fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Another fault: how long to rest, with jitter, so that workers do not come back at once together.
    fn rest(&self) -> Duration {
        const DOUBLINGS_MAX: u32 = 10;
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        let longest = (FIRST_REST * 2u32.pow(before.min(DOUBLINGS_MAX))).min(LONGEST_REST);
        longest.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

impl Shop {
    /// Whether this batch is one command that has failed alone often enough.
    pub(crate) fn parks(&self, batch: &Batch) -> bool {
        batch.failures_alone >= TRIES_ALONE_MAX
    }

    /// Asks the line whether the batch is still ours, and prolongs the lease if so.
    pub(crate) async fn lease_is_ours(&self, batch: &Batch) -> Result<bool, lanes::Error> {
        self.lanes_of(&batch.group).renew(batch.token, self.lease).await
    }

    /// Ends a batch that was not decided.
    pub(crate) async fn after(&self, batch: &Batch, fault: BatchFault) -> Result<BatchEnd, BoxDynError> {
        let group = batch.group.as_str();
        match fault {
            BatchFault::LeaseLost => Ok(self.drop_batch(batch, &fault)),
            BatchFault::Overtaken { last, .. } => self.after_overtaken(batch, fault, last).await,
            BatchFault::Newer(_) => {
                tracing::warn!(group, error = chain(&fault), "waiting for a worker of a newer build");
                // Smaller, until it waits alone and nobody else has to wait with it.
                Ok(BatchEnd::Released { release: Release::Smaller, pause: NEWER_REST })
            }
            BatchFault::UnreadableCommand(_) | BatchFault::NotOfThisGroup => Err(fault.into()),
            BatchFault::DecidedMeanwhile { .. }
            | BatchFault::PartlyDecided
            | BatchFault::GroupHeld
            | BatchFault::NoAnswer
            | BatchFault::Lanes(_) => Ok(self.release(batch, &fault, Fault::Transient)),
            BatchFault::Store(StoreError::Postgres { ref source, .. }) => match classify(source) {
                Fault::Data => Err(fault.into()),
                kind => Ok(self.release(batch, &fault, kind)),
            },
            BatchFault::Store(StoreError::Miscounted { .. } | StoreError::Unreadable { .. }) => Err(fault.into()),
        }
    }

    /// Everybody keeps the place; what took too long comes back smaller.
    fn release(&self, batch: &Batch, fault: &BatchFault, kind: Fault) -> BatchEnd {
        let group = batch.group.as_str();
        metrics::batch_faults(group.to_owned(), kind.as_str()).increment(1);
        if matches!(fault, BatchFault::Store(StoreError::Postgres { .. }) | BatchFault::NoAnswer) {
            metrics::postgres_errors(kind.as_str()).increment(1);
        }
        // What took too long may have been too much at once, or somebody holds a row of it; and a row that cannot be read, or
        // not be changed, is one command's. Whoever does not need that row must not wait for it.
        let release = match kind {
            Fault::TimedOut | Fault::Other => Release::Smaller,
            Fault::Transient | Fault::Data => Release::Unchanged,
        };
        let pause = self.faults.rest();
        tracing::warn!(group, batch = %batch.token, error = chain(fault), ?release, ?pause, "{group}: a batch was given back");
        BatchEnd::Released { release, pause }
    }

    /// Somebody else decided on one of our lanes: a lost lease explains it. With the lease still ours nobody else can
    /// have, so the tickets went back.
    async fn after_overtaken(&self, batch: &Batch, fault: BatchFault, last: u64) -> Result<BatchEnd, BoxDynError> {
        let group = batch.group.as_str();
        match self.lease_is_ours(batch).await {
            Ok(false) => Ok(self.drop_batch(batch, &fault)),
            Err(error) => Ok(self.release(batch, &error.into(), Fault::Transient)),
            Ok(true) => {
                let moved = match self.lanes_of(&batch.group).reticket(last).await {
                    Ok(moved) => moved,
                    Err(error) => return Ok(self.release(batch, &error.into(), Fault::Transient)),
                };
                metrics::reticketed(group.to_owned()).increment(1);
                tracing::error!(
                    group,
                    moved,
                    error = chain(&fault),
                    "tickets of {group} went back; {moved} got new ones in their old order"
                );
                Ok(BatchEnd::Released { release: Release::Unchanged, pause: Duration::ZERO })
            }
        }
    }

    fn drop_batch(&self, batch: &Batch, fault: &BatchFault) -> BatchEnd {
        let group = batch.group.as_str();
        metrics::fence_refusals(group.to_owned()).increment(1);
        tracing::warn!(group, batch = %batch.token, error = chain(fault), "{group}: a batch was dropped, because another worker has it");
        BatchEnd::Dropped
    }

    /// Holds the group instead of parking one more command, if too many were parked lately.
    pub(crate) async fn holds_instead_of_parking(&self, batch: &Batch) -> Result<bool, BatchFault> {
        let group = batch.group.as_str();
        if store::parked_lately(&self.pool, group).await? < PARKED_PER_MINUTE_MAX {
            return Ok(false);
        }
        if store::hold_group(&self.pool, group, &self.name).await? {
            metrics::alerts_raised(metrics::alert_kind::GROUP_HELD).increment(1);
        }
        self.lanes_of(&batch.group).pause(&Lane::whole_group()).await?;
        tracing::error!(group, "{group} is held: too many of its commands could not be decided");
        Ok(true)
    }
}
