//! Waiting for a condition with a deadline, so that nothing waits by sleeping.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Between two looks. Short enough that a start of a few milliseconds stays one, long enough that
/// a wait costs next to nothing on a machine with two cores.
const PAUSE_MIN_MS: u64 = 1;
const PAUSE_MAX_MS: u64 = 20;

/// Looks again and again until `look` gives a value; an error naming `what` after `deadline`.
///
/// There is always one last look after the deadline, so a caller that was itself starved of
/// processor time does not fail for that alone.
///
/// # Errors
/// When the deadline passes first; it says what was waited for.
#[expect(clippy::disallowed_methods, reason = "the pause between two looks at a condition")]
pub fn try_wait_for<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(PAUSE_MIN_MS);
    loop {
        let late = started.elapsed() >= deadline;
        if let Some(seen) = look() {
            return Ok(seen);
        }
        if late {
            bail!("waited {deadline:?} in vain for {what}");
        }
        std::thread::sleep(pause);
        pause = longer(pause);
    }
}

/// As [`try_wait_for`], for tests: panics at the caller's line when the deadline passes.
#[track_caller]
pub fn wait_for<T>(what: &str, deadline: Duration, look: impl FnMut() -> Option<T>) -> T {
    match try_wait_for(what, deadline, look) {
        Ok(seen) => seen,
        Err(late) => panic!("{late}"),
    }
}

/// As [`try_wait_for`] for a look that is itself asynchronous.
///
/// # Errors
/// When the deadline passes first.
pub async fn try_wait_for_async<T, F>(what: &str, deadline: Duration, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Option<T>>,
{
    let started = Instant::now();
    let mut pause = Duration::from_millis(PAUSE_MIN_MS);
    loop {
        let late = started.elapsed() >= deadline;
        if let Some(seen) = look().await {
            return Ok(seen);
        }
        if late {
            bail!("waited {deadline:?} in vain for {what}");
        }
        tokio::time::sleep(pause).await;
        pause = longer(pause);
    }
}

/// As [`wait_for`] for a look that is itself asynchronous: panics when the deadline passes.
pub async fn wait_for_async<T, F>(what: &str, deadline: Duration, look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    match try_wait_for_async(what, deadline, look).await {
        Ok(seen) => seen,
        Err(late) => panic!("{late}"),
    }
}

fn longer(pause: Duration) -> Duration {
    (pause * 2).min(Duration::from_millis(PAUSE_MAX_MS))
}
