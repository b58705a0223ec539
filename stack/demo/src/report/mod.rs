//! The report: the same facts as text for the terminal and as a page that needs nothing but itself.

mod charts;
mod html;
mod text;
mod words;

use chrono::{DateTime, Utc};

use crate::admin::Audit;
use crate::checks::Check;
use crate::facts::Batch;
use crate::load::Tally;
use crate::machine::Machine;

pub use html::html;
pub use text::text;
pub use words::rounded;

/// Tickets that are shown one by one.
pub const SHOWN_TICKETS: usize = 2_000;

/// One part of a sale: claims, or orders.
#[derive(Debug)]
pub struct Phase {
    /// What it is called.
    pub name: &'static str,
    /// Commands that were sent.
    pub sent: usize,
    /// What shoppers saw.
    pub tally: Tally,
    /// When the first command was sent.
    pub began_at: DateTime<Utc>,
    /// What was committed, batch by batch.
    pub batches: Vec<Batch>,
    /// `SUCCEEDED` or the code of the refusal, for the first [`SHOWN_TICKETS`] tickets.
    pub tickets: Vec<String>,
}

/// Everything that is told.
#[derive(Debug)]
pub struct Report {
    /// When the sale ended.
    pub made_at: DateTime<Utc>,
    /// What it ran on.
    pub machine: Machine,
    /// How the load was made, in a sentence.
    pub load: String,
    /// The parts of the sale.
    pub phases: Vec<Phase>,
    /// Our own checks.
    pub checks: Vec<Check>,
    /// The shop's audit of itself.
    pub audit: Audit,
}

impl Report {
    /// Whether every promise was kept.
    pub fn ok(&self) -> bool {
        self.audit.ok && self.checks.iter().all(|check| check.ok)
    }

    fn verdict(&self) -> &'static str {
        if self.ok() { "every promise was kept" } else { "A PROMISE WAS BROKEN" }
    }
}

/// The sizes of batches in a few numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sizes {
    batches: usize,
    min: i32,
    median: i32,
    max: i32,
    mean: f64,
}

impl Sizes {
    /// None if there was no batch.
    fn of(batches: &[Batch]) -> Option<Sizes> {
        let mut sizes: Vec<i32> = batches.iter().map(|batch| batch.size).collect();
        sizes.sort_unstable();
        let commands: i64 = sizes.iter().map(|size| i64::from(*size)).sum();
        Some(Sizes {
            batches: sizes.len(),
            min: *sizes.first()?,
            median: sizes[sizes.len() / 2],
            max: *sizes.last()?,
            mean: commands as f64 / sizes.len() as f64,
        })
    }
}

#[cfg(test)]
mod samples;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_batches() {
        let at = DateTime::<Utc>::UNIX_EPOCH;
        let batch = |size| Batch { size, claimed_at: at, decided_at: at };
        assert_eq!(Sizes::of(&[]), None);
        let sizes = Sizes::of(&[batch(7), batch(1), batch(1_000)]);
        assert_eq!(sizes, Some(Sizes { batches: 3, min: 1, median: 7, max: 1_000, mean: 336.0 }));
    }

    #[test]
    fn one_broken_promise_is_enough() {
        let mut report = samples::report();
        assert!(report.ok());
        report.checks[0].ok = false;
        assert!(!report.ok());
        let mut report = samples::report();
        report.audit.ok = false;
        assert!(!report.ok());
    }
}
