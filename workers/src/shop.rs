//! What every batch needs: the database, the lines, and the worker's name.

use std::{collections::HashMap, sync::Arc, time::Duration};

use lanes::{Group, Lanes};
use runtime::postgres::Timeouts;
use sqlx::PgPool;

use crate::faults::FaultsInARow;

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
    /// Faults in a row.
    pub(crate) faults: Arc<FaultsInARow>,
    lanes: Arc<HashMap<Group, Lanes>>,
}

impl Shop {
    /// A shop whose batches come from these lanes.
    pub fn new(pool: PgPool, lease: Duration, name: &str, lanes: impl IntoIterator<Item = Lanes>) -> Self {
        Self {
            pool,
            timeouts: Timeouts::for_lease(lease),
            lease,
            name: name.into(),
            faults: Arc::default(),
            lanes: Arc::new(lanes.into_iter().map(|lanes| (lanes.group().clone(), lanes)).collect()),
        }
    }

    /// The lanes of a group that batches come from.
    ///
    /// # Panics
    /// When no batch can come from there.
    pub(crate) fn lanes_of(&self, group: &Group) -> &Lanes {
        self.lanes.get(group).expect("batches come only from the lanes that the shop was given")
    }
}
