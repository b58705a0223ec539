//! Whether more come to the door than can be taken in, as the last calls showed it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::limits::{
    APPEND_COMMANDS_MAX, APPEND_WAIT_MAX, APPENDS_IN_FLIGHT_MAX, CROWD_BELIEVED, CROWDED_APPEND_WAIT_MAX,
    FULL_BELIEVED, WORK_QUICKEST_CALLS_MIN,
};

/// Why whoever comes now is turned away without being looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnedAway {
    /// The group was found full a moment ago: [`crate::Appended::Full`].
    Full,
    /// Those who wait in this process wait too long already: [`crate::Error::Busy`].
    Busy,
}

/// What the last calls showed of how busy it is.
///
/// A short queue that is always there costs everybody the same wait and serves nobody sooner, while a long one that is gone
/// in a moment lets a crowd in. So the bound on the wait is wide until somebody is turned away, and narrow while that goes
/// on; the idea is that of Nichols and Jacobson, "Controlling Queue Delay" (ACM Queue, 2012).
#[derive(Debug)]
pub(crate) struct Pressure {
    /// From it, times are counted in microseconds.
    began: Instant,
    /// How long one command takes while one call follows another; 0 until that was seen.
    pace_ns: AtomicU64,
    /// How long the quickest call took: what an answer costs in itself, also when there is nothing to do.
    quickest_ns: AtomicU64,
    /// Until when a full group is believed to be full.
    full_until_us: AtomicU64,
    /// Until when a crowd is believed to go on.
    crowd_until_us: AtomicU64,
}

impl Pressure {
    pub(crate) fn new() -> Self {
        let [pace_ns, quickest_ns, full_until_us, crowd_until_us] = [0, u64::MAX, 0, 0].map(AtomicU64::new);
        Self { began: Instant::now(), pace_ns, quickest_ns, full_until_us, crowd_until_us }
    }

    /// Who comes while so many wait is turned away, or not.
    pub(crate) fn turns_away(&self, waiting: usize) -> Option<TurnedAway> {
        let why = if self.is_full() {
            TurnedAway::Full
        } else if self.is_long(waiting) {
            TurnedAway::Busy
        } else {
            return None;
        };
        self.crowd_until_us.store(self.in_us(CROWD_BELIEVED), Ordering::Relaxed);
        Some(why)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.in_us(Duration::ZERO) < self.full_until_us.load(Ordering::Relaxed)
    }

    /// A call was told that the group is full.
    pub(crate) fn found_full(&self) {
        self.full_until_us.store(self.in_us(FULL_BELIEVED), Ordering::Relaxed);
    }

    /// A call that left others waiting was followed by the next one after this time. Old calls are forgotten quickly: those
    /// beside which a worker is served take several times as long as others.
    pub(crate) fn full_call_took(&self, span: Duration) {
        let one_ns = in_ns(span) / APPEND_COMMANDS_MAX as u64;
        let average_ns = match self.pace_ns.load(Ordering::Relaxed) {
            0 => one_ns,
            before_ns => before_ns - before_ns / 4 + one_ns / 4,
        };
        self.pace_ns.store(average_ns, Ordering::Relaxed);
    }

    /// Somebody was turned away a moment ago.
    fn is_crowded(&self) -> bool {
        self.in_us(Duration::ZERO) < self.crowd_until_us.load(Ordering::Relaxed)
    }

    /// A call was answered after this time.
    pub(crate) fn call_took(&self, span: Duration) {
        self.quickest_ns.fetch_min(in_ns(span), Ordering::Relaxed);
    }

    /// How many calls are to be under way at once. In a crowd it is one where Redis has something to do nearly all the time
    /// of a full call: a second one would only stand before whoever makes room. Where much of it is the way there, and back,
    /// one would take in less, and the crowd would keep itself up.
    pub(crate) fn calls_at_once(&self) -> u32 {
        let full_call_ns = self.pace_ns.load(Ordering::Relaxed).saturating_mul(APPEND_COMMANDS_MAX as u64);
        let is_work = full_call_ns / WORK_QUICKEST_CALLS_MIN >= self.quickest_ns.load(Ordering::Relaxed);
        if self.is_crowded() && is_work { 1 } else { APPENDS_IN_FLIGHT_MAX }
    }

    /// Whether one who comes behind so many would wait too long. A call's worth goes with the next one, however long that
    /// takes.
    fn is_long(&self, waiting: usize) -> bool {
        let wait_max = if self.is_crowded() { CROWDED_APPEND_WAIT_MAX } else { APPEND_WAIT_MAX };
        let wait_ns = (waiting as u64).saturating_mul(self.pace_ns.load(Ordering::Relaxed));
        waiting >= APPEND_COMMANDS_MAX && Duration::from_nanos(wait_ns) > wait_max
    }

    /// The time that is so far from now.
    fn in_us(&self, span: Duration) -> u64 {
        u64::try_from((self.began.elapsed() + span).as_micros()).unwrap_or(u64::MAX)
    }
}

fn in_ns(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: usize = APPEND_COMMANDS_MAX;

    #[test]
    fn only_a_known_pace_turns_a_crowd_away() {
        let pressure = Pressure::new();
        assert_eq!(pressure.turns_away(100 * CALL), None);
        // Two calls fit into the wait of a crowd that does not end, and many into that of one that will be gone.
        let call_took = CROWDED_APPEND_WAIT_MAX / 2;
        pressure.full_call_took(call_took);
        let most = (APPEND_WAIT_MAX.as_nanos() / call_took.as_nanos()) as usize;
        assert_eq!(pressure.turns_away((most - 1) * CALL), None);
        assert_eq!(pressure.turns_away((most + 1) * CALL), Some(TurnedAway::Busy));
        // It goes on: now it must fit into less. Somebody may be slow to ask while that is believed.
        let too_long = || pressure.turns_away((most + 1) * CALL).and(pressure.turns_away(3 * CALL));
        assert!((0..10).any(|_| too_long() == Some(TurnedAway::Busy)));
        assert_eq!(pressure.turns_away(CALL), None);
    }

    #[test]
    fn one_call_is_enough_in_a_crowd_that_waits_for_work() {
        let full_call = APPEND_WAIT_MAX;
        // How long the quickest call took, if any was answered, and how many may be under way at once in a crowd.
        let rows = [(None, 2), (Some(full_call / 2), 2), (Some(full_call / 10), 1)];
        for (quickest, calls) in rows {
            let mut pressure = Pressure::new();
            pressure.full_call_took(full_call);
            [Some(full_call), quickest, Some(full_call)]
                .into_iter()
                .flatten()
                .for_each(|took| pressure.call_took(took));
            assert_eq!(pressure.calls_at_once(), 2, "before the crowd");
            assert_eq!(pressure.turns_away(2 * CALL), Some(TurnedAway::Busy));
            assert_eq!(pressure.calls_at_once(), calls, "the quickest took {quickest:?}");
            pressure.began -= CROWD_BELIEVED;
            assert_eq!(pressure.calls_at_once(), 2, "after the crowd");
        }
    }

    #[test]
    fn who_goes_with_the_next_call_is_let_in_however_slow_it_is() {
        let pressure = Pressure::new();
        pressure.full_call_took(APPEND_WAIT_MAX * 100);
        assert_eq!(pressure.turns_away(CALL - 1), None);
        assert_eq!(pressure.turns_away(CALL), Some(TurnedAway::Busy));
        // Quick calls make it forget.
        (0..100).for_each(|_| pressure.full_call_took(Duration::ZERO));
        assert_eq!(pressure.turns_away(CALL), None);
    }
}
