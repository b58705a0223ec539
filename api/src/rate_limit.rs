//! How often one shopper may send commands. Counted by this process alone, so several instances allow together several
//! times as much: it keeps one shopper from filling the line, not from being a little too quick.

use std::sync::Arc;
use std::time::Duration;

use common::UserId;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use runtime::config::RateLimit;
use tokio::task::JoinHandle;

use crate::error_table::Code;
use crate::limits::RATE_LIMIT_FORGET;
use crate::problem::Problem;

/// The limit of commands by one shopper.
#[derive(Debug)]
pub struct UserLimit {
    limiter: Option<Arc<DefaultKeyedRateLimiter<UserId>>>,
    forgetting: Option<JoinHandle<()>>,
}

impl UserLimit {
    /// The limit as it is configured. Who has been quiet for a while is forgotten by a task that ends with it.
    pub fn start(limit: RateLimit) -> UserLimit {
        let RateLimit::PerSecond(count) = limit else {
            return UserLimit { limiter: None, forgetting: None };
        };
        let limiter = Arc::new(DefaultKeyedRateLimiter::keyed(Quota::per_second(count)));
        let forgets = Arc::clone(&limiter);
        let forgetting = tokio::spawn(async move {
            let mut times = tokio::time::interval(RATE_LIMIT_FORGET);
            loop {
                times.tick().await;
                forgets.retain_recent();
                forgets.shrink_to_fit();
            }
        });
        UserLimit { limiter: Some(limiter), forgetting: Some(forgetting) }
    }

    /// Counts one more command of a shopper.
    ///
    /// # Errors
    /// R003, with the time after which the next one may come.
    pub fn check(&self, user_id: &UserId) -> Result<(), Problem> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        limiter.check_key(user_id).map_err(|early| {
            let wait = early.wait_time_from(DefaultClock::default().now());
            Problem::new(Code::R003).retry_after(whole_seconds(wait))
        })
    }
}

impl Drop for UserLimit {
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
