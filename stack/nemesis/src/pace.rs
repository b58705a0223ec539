//! How quickly those are served whom a fault does not touch.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A slice of time in which ends are counted: long enough for many of them, short enough that one hiccup of the machine
/// spoils but one.
pub const SLICE: Duration = Duration::from_millis(500);

/// What must be left of the pace, in hundredths.
pub const LEFT_MIN_PERCENT: usize = 70;

/// What of it must come back after a fault, in hundredths: less, because nothing says how busy the machine is with other things.
pub const BACK_MIN_PERCENT: usize = 50;

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
    /// The pace after it.
    pub after: usize,
}

impl Compared {
    /// Whether enough is left, beside the lower pace of before and after: a machine that became busier meanwhile for other
    /// reasons, or was less busy until then, says nothing of the fault. And whether enough comes back.
    pub fn is_kept(&self) -> bool {
        let usual = self.before.min(self.after);
        usual > 0 && self.during * 100 >= usual * LEFT_MIN_PERCENT && self.after * 100 >= self.before * BACK_MIN_PERCENT
    }
}

impl Pace {
    pub(crate) fn note(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
    }

    /// The lower quartile of what ended in the whole slices between these instants; 0 where there is none. A hiccup of the machine
    /// spoils nothing, and a standstill of more than a quarter of the time is seen, however quick the rest is.
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
        counts.get(counts.len() / 4).copied().unwrap_or_default()
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
        for (slice, count) in [(0, 10), (1, 10), (2, 0), (3, 11), (4, 10), (5, 20), (6, 20), (7, 0), (8, 0), (9, 20)] {
            end(slice, count);
        }
        assert_eq!(pace.between(from, from + SLICE * 5), 10);
        assert_eq!(pace.between(from + SLICE * 5, from + SLICE * 10), 0, "who stands still for long is not quick");
        assert_eq!((pace.between(from, from), pace.between(from + SLICE * 11, from + SLICE * 14)), (0, 0));
        let kept = |before, during, after| Compared { fault: "any".to_owned(), before, during, after }.is_kept();
        let rows = [
            ((10, 7, 10), true),
            ((10, 6, 10), false),
            ((10, 6, 8), true),
            ((8, 6, 10), true),
            ((9, 0, 9), false),
            ((10, 4, 5), true),
            ((10, 9, 4), false),
        ];
        for ((before, during, after), is_kept) in rows {
            assert_eq!(kept(before, during, after), is_kept, "{before} {during} {after}");
        }
        assert!(!kept(0, 5, 5) && !kept(5, 5, 0), "nothing was compared");
    }
}
