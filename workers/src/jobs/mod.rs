//! What leaves the shop after a commit: rows that are found when they are due, sent, and tried again.

use std::time::Duration;

pub(crate) mod alerts;
pub(crate) mod mails;
pub(crate) mod order_sync;
pub(crate) mod settlement;

/// A pause that doubles with each failure, up to the longest one.
fn doubled(first: Duration, failures_before: i32, longest: Duration) -> Duration {
    // Twenty doublings of a second are twelve days.
    let doublings = u32::try_from(failures_before).unwrap_or(0).min(20);
    first.saturating_mul(1 << doublings).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pause = |failures| doubled(Duration::from_secs(5), failures, Duration::from_secs(3_600)).as_secs();
        assert_eq!([0, 1, 2, 9, 10, 1_000].map(pause), [5, 10, 20, 2_560, 3_600, 3_600]);
    }
}
