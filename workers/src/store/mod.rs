//! The database as a batch sees it, in the order in which it is used: [`lock`] the rows of the batch's lanes, look for
//! [`earlier`] outcomes, [`load`] the rest, and [`write`] what was decided.
//!
//! Only this module writes rows that lanes own. Statements of two batches can not deadlock: tables are locked in one
//! order (charges, coupons, products, users), rows by id, and rows of other groups' lanes are read without a lock.

mod charges;
mod earlier;
mod expire;
mod forget;
mod load;
mod lock;
mod outcomes;
mod park;
mod settle;
mod write;

pub use charges::{
    EarlierCharge, NewCharge, begin_charge, earlier_charge, hasten_charge, is_pending_charge, lock_charges_of,
};
pub use earlier::{Earlier, EarlierOutcome, earlier};
pub use expire::expire_entries;
pub use forget::{forget_batches, forget_requests};
pub use load::load;
pub use lock::{Locked, lock};
pub use outcomes::{BatchRow, OutcomeRow, insert_batch, insert_outcomes};
pub use park::{PARKED_PER_MINUTE_MAX, hold_group, insert_parked, parked_lately};
pub use settle::{
    DueCharge, claim_due_charges, give_up_charge, note_unknown_charge, pending_charges, settle_charge, settled_as,
};
pub use write::{move_fences, write};

use sqlx::postgres::PgQueryResult;

/// What went wrong in the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A statement failed.
    #[error("{doing}")]
    Postgres {
        /// What was being done.
        doing: &'static str,
        /// What Postgres or the driver said.
        source: sqlx::Error,
    },
    /// A statement changed another number of rows than was meant, so something else is at work on them.
    #[error("{doing}: {meant} rows were meant, {changed} changed")]
    Miscounted {
        /// What was being done.
        doing: &'static str,
        /// Rows meant.
        meant: usize,
        /// Rows changed.
        changed: u64,
    },
    /// A row holds something that this version cannot read.
    #[error("{doing}: row {row} cannot be read: {why}")]
    Unreadable {
        /// What was being done.
        doing: &'static str,
        /// Which row.
        row: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Says what a statement was for when it fails.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Postgres { doing, source })
    }
}

/// The rows changed must be the rows meant.
fn counted(result: PgQueryResult, meant: usize, doing: &'static str) -> Result<(), StoreError> {
    match result.rows_affected() {
        changed if changed == meant as u64 => Ok(()),
        changed => Err(StoreError::Miscounted { doing, meant, changed }),
    }
}
