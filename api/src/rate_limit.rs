//! How often one shopper, or one address, may send commands. Counted by this process alone, so several instances allow
//! together several times as much: it keeps one sender from filling the line, not from being a little too quick.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota};
use runtime::config::RateLimit;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::error_table::Code;
use crate::limits::{RATE_LIMIT_FORGET, RATE_LIMIT_SENDERS_MAX};
use crate::problem::Problem;

/// The limit of commands by one sender.
#[derive(Debug)]
pub struct SenderLimit<K: Hash + Eq + Clone> {
    counts: Option<Arc<Counts<K>>>,
    forgetting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Counts<K: Hash + Eq + Clone> {
    known: DefaultKeyedRateLimiter<K>,
    /// Whoever comes when too many are known already: together they may send as much as one.
    others: DefaultDirectRateLimiter,
    senders_max: usize,
    /// How many checks may still make a new sender known; each counts as if it did, so that nobody has to look.
    room: AtomicUsize,
    is_full: Notify,
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static> SenderLimit<K> {
    /// The limit as it is configured. Who has been quiet for a while is forgotten by a task that ends with it.
    pub fn start(limit: RateLimit) -> SenderLimit<K> {
        SenderLimit::of(limit, RATE_LIMIT_SENDERS_MAX)
    }

    fn of(limit: RateLimit, senders_max: usize) -> SenderLimit<K> {
        let RateLimit::PerSecond(count) = limit else {
            return SenderLimit { counts: None, forgetting: None };
        };
        let quota = Quota::per_second(count);
        let counts = Arc::new(Counts {
            known: DefaultKeyedRateLimiter::keyed(quota),
            others: DefaultDirectRateLimiter::direct(quota),
            senders_max,
            room: AtomicUsize::new(senders_max),
            is_full: Notify::new(),
        });
        let forgets = Arc::clone(&counts);
        let forgetting = tokio::spawn(async move {
            let mut times = tokio::time::interval(RATE_LIMIT_FORGET);
            loop {
                tokio::select! {
                    _ = times.tick() => {}
                    () = forgets.is_full.notified() => {}
                }
                forgets.forget();
            }
        });
        SenderLimit { counts: Some(counts), forgetting: Some(forgetting) }
    }

    /// Counts one more command of a sender.
    ///
    /// # Errors
    /// R003, with the time after which the next one may come.
    pub fn check(&self, sender: &K) -> Result<(), Problem> {
        let Some(counts) = &self.counts else {
            return Ok(());
        };
        counts.check(sender).map_err(|wait| Problem::new(Code::R003).retry_after(whole_seconds(wait)))
    }
}

impl<K: Hash + Eq + Clone> Counts<K> {
    /// Counts; an error is how long it is too early.
    fn check(&self, sender: &K) -> Result<(), Duration> {
        let has_room = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(1)).is_ok();
        let checked = if has_room {
            self.known.check_key(sender)
        } else {
            self.is_full.notify_one();
            self.others.check()
        };
        checked.map_err(|early| early.wait_time_from(DefaultClock::default().now()))
    }

    fn forget(&self) {
        self.known.retain_recent();
        self.known.shrink_to_fit();
        self.room.store(self.senders_max.saturating_sub(self.known.len()), Ordering::Relaxed);
    }
}

impl<K: Hash + Eq + Clone> Drop for SenderLimit<K> {
    fn drop(&mut self) {
        if let Some(task) = &self.forgetting {
            task.abort();
        }
    }
}

/// `Retry-After` knows whole seconds; too late is better than too early.
fn whole_seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    #[tokio::test]
    async fn so_many_are_known_and_the_others_share() {
        let rate = RateLimit::PerSecond(NonZeroU32::MIN);
        // The task that forgets gets no turn before the end of the test.
        let limit = SenderLimit::of(rate, 3);
        for sender in 0..3 {
            assert!(limit.check(&sender).is_ok(), "{sender} is counted by itself");
        }
        assert!(limit.check(&3).is_ok(), "the first of the others");
        for sender in 4..9 {
            assert!(limit.check(&sender).is_err(), "{sender} comes after it");
        }
        let counts = limit.counts.as_ref().unwrap();
        assert_eq!(counts.known.len(), 3);
        counts.forget();
        assert_eq!(counts.room.load(Ordering::Relaxed), 0, "they have just sent");
    }

    #[test]
    fn waits_are_told_in_whole_seconds() {
        for (ms, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2)] {
            assert_eq!(whole_seconds(Duration::from_millis(ms)), seconds, "{ms} ms");
        }
    }
}
