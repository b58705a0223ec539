//! When a command is sent.

use std::time::{Duration, Instant};

/// When commands are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Closed loop: whoever is free sends the next one. The load gives way when the shop is slow.
    AsSoonAsFree,
    /// Open loop: so many a second, whether the shop keeps up or not. Latencies count from the moment at which the
    /// command was due, so a shop that stands still cannot hide that others would have come.
    PerSecond(f64),
}

impl Pace {
    /// Waits until command `number` is due, and says when it was.
    pub(super) async fn due(self, started: Instant, number: usize) -> Instant {
        match self {
            Pace::AsSoonAsFree => Instant::now(),
            Pace::PerSecond(rate) => {
                let due = started + after(rate, number);
                if due > Instant::now() {
                    tokio::time::sleep_until(due.into()).await;
                }
                due
            }
        }
    }
}

fn after(rate: f64, number: usize) -> Duration {
    Duration::from_secs_f64(number as f64 / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn latencies_count_from_when_it_was_due() {
        let started = Instant::now();
        // The fourth of a thousand a second is due 3 ms after the first, however late it is sent.
        let due = Pace::PerSecond(1_000.0).due(started, 3).await;
        assert_eq!(due - started, Duration::from_millis(3));
        assert!(Instant::now() >= due);
        let late = started - Duration::from_secs(10);
        let overdue = Pace::PerSecond(1_000.0).due(late, 1).await;
        assert_eq!(overdue - late, Duration::from_millis(1));
    }

    #[tokio::test]
    async fn a_closed_loop_counts_from_now() {
        let before = Instant::now();
        let due = Pace::AsSoonAsFree.due(before, 1_000_000).await;
        assert!(due >= before && due <= Instant::now());
    }
}
