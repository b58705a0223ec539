//! What every batch needs: the database, the lines, and the worker's name.

use std::{collections::HashMap, sync::Arc, time::Duration};

use lanes::{Batch, Group, Lanes};
use runtime::postgres::Timeouts;
use sqlx::PgPool;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::{charge::Books, clients::gateway::Gateway, faults::FaultsInARow, jobs::order_sync::announce::Announcer};

/// Shared by all batches of a process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shop {
    /// Postgres.
    pub(crate) pool: PgPool,
    /// Every wait of a batch's transaction ends well within its lease.
    pub(crate) timeouts: Timeouts,
    /// How long a batch owns its lanes without renewing.
    pub(crate) lease: Duration,
    /// The process' name, unique for ever.
    pub(crate) name: Arc<str>,
    /// Where charges are written down.
    pub(crate) books: Books,
    /// Ends what would take long.
    pub(crate) shutdown: CancellationToken,
    /// Whoever is told of orders that are committed.
    pub(crate) announcer: Option<Announcer>,
    /// Where money is taken; without it no charge comes here.
    gateway: Option<Gateway>,
    /// Faults in a row.
    pub(crate) faults: Arc<FaultsInARow>,
    /// One is held by every batch in hand, and all by one that may take the process with it.
    hands: Arc<Semaphore>,
    lanes: Arc<HashMap<Group, Lanes>>,
}

/// What a shop is made of.
#[derive(Debug)]
pub(crate) struct ShopParts {
    /// Postgres.
    pub pool: PgPool,
    /// Where charges are written down.
    pub books: Books,
    /// Where money is taken, if anywhere.
    pub gateway: Option<Gateway>,
    /// Whoever is told of orders that are committed, if anybody.
    pub announcer: Option<Announcer>,
    /// Ends the process.
    pub shutdown: CancellationToken,
}

/// Batches that a process may have in hand at once; more than it is configured for.
const HANDS: u32 = 65_536;

impl Shop {
    /// A shop whose batches come from these lanes.
    pub(crate) fn new(parts: ShopParts, lease: Duration, name: &str, lanes: impl IntoIterator<Item = Lanes>) -> Self {
        let ShopParts { pool, books, gateway, announcer, shutdown } = parts;
        Self {
            pool,
            books,
            gateway,
            announcer,
            shutdown,
            timeouts: Timeouts::for_lease(lease),
            lease,
            name: name.into(),
            faults: Arc::default(),
            hands: Arc::new(Semaphore::new(HANDS as usize)),
            lanes: Arc::new(lanes.into_iter().map(|lanes| (lanes.group().clone(), lanes)).collect()),
        }
    }

    /// Takes a batch in hand until the permit is dropped. One that may end workers waits for all others and keeps new ones
    /// off, so that a process that dies with it has died of it: three deaths set a command aside, and a bystander must not
    /// be among the dead.
    pub(crate) async fn take_in_hand(&self, batch: &Batch) -> SemaphorePermit<'_> {
        let hands = if batch.blamed { HANDS } else { 1 };
        self.hands.acquire_many(hands).await.expect("the semaphore is never closed")
    }

    /// Whether charges can be taken at all.
    pub(crate) fn takes_charges(&self) -> bool {
        self.gateway.is_some()
    }

    /// Where the money of this batch is taken, if it is a charge.
    pub(crate) fn gateway_of(&self, batch: &Batch) -> Option<&Gateway> {
        let is_charge = batch.group.as_str().parse() == Ok(common::Group::CHARGE);
        self.gateway.as_ref().filter(|_| is_charge)
    }

    /// The lanes of a group that batches come from.
    ///
    /// # Panics
    /// When no batch can come from there.
    pub(crate) fn lanes_of(&self, group: &Group) -> &Lanes {
        self.lanes.get(group).expect("batches come only from the lanes that the shop was given")
    }
}
