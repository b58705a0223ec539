//! How quickly those are served whom a fault does not touch.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A slice of time in which ends are counted: long enough for many of them, short enough that one hiccup of the machine
/// spoils but one.
pub const SLICE: Duration = Duration::from_millis(500);

/// What must be left of the pace, in hundredths.
pub const LEFT_MIN_PERCENT: usize = 70;

/// When something ended for somebody whom no fault touches.
#[derive(Debug, Clone, Default)]
pub struct Pace(Arc<Mutex<Vec<Instant>>>);

/// The pace beside a fault of one lane, as ends in a slice of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// The fault.
    pub fault: String,
    /// The pace before it.
    pub before: usize,
    /// The pace while it lasted.
    pub during: usize,
}

impl Compared {
    /// Whether enough is left.
    pub fn is_kept(&self) -> bool {
        self.before > 0 && self.during * 100 >= self.before * LEFT_MIN_PERCENT
    }
}

impl Pace {
    pub(crate) fn note(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
    }

    /// The median of what ended in the whole slices between these instants; 0 where there is none.
    pub fn between(&self, from: Instant, to: Instant) -> usize {
        let slices = to.duration_since(from).as_nanos() / SLICE.as_nanos();
        let mut counts = vec![0; usize::try_from(slices).unwrap_or_default()];
        for ended in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let slice = ended.checked_duration_since(from).map(|since| since.as_nanos() / SLICE.as_nanos());
            let slice = slice.and_then(|slice| usize::try_from(slice).ok());
            if let Some(count) = slice.and_then(|slice| counts.get_mut(slice)) {
                *count += 1;
            }
        }
        counts.sort_unstable();
        counts.get(counts.len() / 2).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_slice_spoils_nothing_and_many_do() {
        let from = Instant::now();
        let pace = Pace::default();
        let end = |slice: u32, count: usize| {
            let ended = from + SLICE * slice + SLICE / 2;
            pace.0.lock().unwrap().extend(std::iter::repeat_n(ended, count));
        };
        for (slice, count) in [(0, 10), (1, 10), (2, 0), (3, 11), (4, 9), (5, 3), (6, 3), (7, 4)] {
            end(slice, count);
        }
        assert_eq!(pace.between(from, from + SLICE * 5), 10);
        assert_eq!(pace.between(from + SLICE * 5, from + SLICE * 8), 3);
        assert_eq!((pace.between(from, from), pace.between(from + SLICE * 9, from + SLICE * 12)), (0, 0));
        let kept = |before, during| Compared { fault: "any".to_owned(), before, during }.is_kept();
        assert_eq!([kept(10, 7), kept(10, 6), kept(10, 0), kept(0, 5)], [true, false, false, false]);
    }
}
