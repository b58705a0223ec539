//! What a load brought: accepted, decided and refused apart, because adding them up would sell refusals as throughput.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::document::{Code, Outcome};
use super::histogram::Histogram;

/// Events of one kind are counted in steps of this length.
pub const STEP_MS: u64 = 50;

/// Everything that was counted.
#[derive(Debug)]
pub struct Tally {
    started: Instant,
    /// From the start to the last 202, or what stood for one.
    pub accepting: Duration,
    /// From the start to the last outcome that a shopper learnt.
    pub deciding: Duration,
    /// Requests that were answered with 202, or held until their outcome.
    pub accepted: u64,
    /// Accepted ones that were done.
    pub succeeded: u64,
    /// Accepted ones that were refused in the line, by code.
    pub refused: BTreeMap<Code, u64>,
    /// Requests refused before the line, by code: they have no ticket.
    pub turned_away: BTreeMap<Code, u64>,
    /// Answers that asked to come back later (429, 503), by code. The request was sent again.
    pub told_to_wait: BTreeMap<Code, u64>,
    /// What should not have happened, in words.
    pub faults: BTreeMap<String, u64>,
    /// From sending to 202.
    pub submit: Histogram,
    /// From sending to the outcome.
    pub outcome: Histogram,
    /// Accepted requests, by step.
    pub accepted_steps: Steps,
    /// Outcomes that shoppers learnt, by step.
    pub decided_steps: Steps,
    /// Every accepted request, if they are kept: its id, and what the shopper was told.
    pub told: Vec<(Uuid, Option<Outcome>)>,
}

/// How many events fell into each [`STEP_MS`].
#[derive(Debug, Clone, Default)]
pub struct Steps(pub Vec<u64>);

impl Steps {
    fn count(&mut self, at: Duration) {
        let step = (at.as_millis() / u128::from(STEP_MS)) as usize;
        if self.0.len() <= step {
            self.0.resize(step + 1, 0);
        }
        self.0[step] += 1;
    }
}

impl Tally {
    /// Nothing yet.
    pub fn new(started: Instant) -> Tally {
        Tally {
            started,
            accepting: Duration::ZERO,
            deciding: Duration::ZERO,
            accepted: 0,
            succeeded: 0,
            refused: BTreeMap::new(),
            turned_away: BTreeMap::new(),
            told_to_wait: BTreeMap::new(),
            faults: BTreeMap::new(),
            submit: Histogram::default(),
            outcome: Histogram::default(),
            accepted_steps: Steps::default(),
            decided_steps: Steps::default(),
            told: Vec::new(),
        }
    }

    /// A request was accepted; `took` is none if the answer was held until the outcome.
    pub(crate) fn accepted(&mut self, took: Option<Duration>) {
        let at = self.started.elapsed();
        self.accepted += 1;
        self.accepting = self.accepting.max(at);
        self.accepted_steps.count(at);
        if let Some(took) = took {
            self.submit.record(took);
        }
    }

    /// An accepted request's outcome is known.
    pub(crate) fn decided(&mut self, outcome: Outcome, took: Duration) {
        let at = self.started.elapsed();
        self.deciding = self.deciding.max(at);
        self.decided_steps.count(at);
        self.outcome.record(took);
        match outcome {
            Outcome::Succeeded => self.succeeded += 1,
            Outcome::Refused(code) => *self.refused.entry(code).or_default() += 1,
        }
    }

    pub(crate) fn turned_away(&mut self, code: Code) {
        *self.turned_away.entry(code).or_default() += 1;
    }

    pub(crate) fn told_to_wait(&mut self, code: Code) {
        *self.told_to_wait.entry(code).or_default() += 1;
    }

    pub(crate) fn fault(&mut self, what: String) {
        *self.faults.entry(what).or_default() += 1;
    }

    /// Outcomes that shoppers learnt.
    pub fn decided_count(&self) -> u64 {
        self.outcome.len()
    }

    /// When the load began.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Accepted requests a second.
    pub fn accepted_per_second(&self) -> f64 {
        per_second(self.accepted, self.accepting)
    }

    /// Outcomes a second. They are committed: a shopper is told of none that is not.
    pub fn decided_per_second(&self) -> f64 {
        per_second(self.decided_count(), self.deciding)
    }
}

/// A rate; 0 for no time.
pub fn per_second(count: u64, during: Duration) -> f64 {
    if during.is_zero() { 0.0 } else { count as f64 / during.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_apart_stays_apart() {
        let code = |text| Code::parse(text).unwrap();
        let mut tally = Tally::new(Instant::now());
        let took = Duration::from_millis(3);
        tally.accepted(Some(took));
        tally.accepted(None);
        tally.decided(Outcome::Succeeded, took);
        tally.decided(Outcome::Refused(code("P002")), took);
        tally.turned_away(code("C001"));
        tally.told_to_wait(code("R004"));
        assert_eq!((tally.accepted, tally.decided_count(), tally.succeeded), (2, 2, 1));
        assert_eq!(tally.refused, BTreeMap::from([(code("P002"), 1)]));
        assert_eq!(tally.turned_away, BTreeMap::from([(code("C001"), 1)]));
        assert_eq!(tally.told_to_wait, BTreeMap::from([(code("R004"), 1)]));
        assert_eq!(tally.submit.len(), 1);
    }

    #[test]
    fn rates_are_of_their_own_time() {
        let rows = [(10, 2_000, 5.0), (0, 2_000, 0.0), (10, 0, 0.0)];
        for (count, ms, meant) in rows {
            assert_eq!(per_second(count, Duration::from_millis(ms)), meant);
        }
        let mut steps = Steps::default();
        for ms in [0, 49, 50, 175] {
            steps.count(Duration::from_millis(ms));
        }
        assert_eq!(steps.0, [2, 1, 0, 1]);
    }
}
