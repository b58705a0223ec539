//! What leaves the shop after a commit: rows that are found when they are due, sent, and tried again.

use std::future::Future;
use std::time::Duration;

use runtime::limits::SESSION_STATEMENT_TIMEOUT_SECONDS;

pub(crate) mod alerts;
pub(crate) mod mails;
pub(crate) mod order_sync;
pub(crate) mod settlement;

/// How long Postgres may take for what a job asks of it at once. It ends by itself what takes longer, so an answer that is
/// not there by then was lost on its way, and the kernel would wait for it for ever.
const ANSWER_MAX: Duration = Duration::from_secs(SESSION_STATEMENT_TIMEOUT_SECONDS + 5);

/// What Postgres answers, as long as an answer can still come.
///
/// # Errors
/// Those of asking, and when no answer can come any more. What was asked may have happened.
pub(crate) async fn answered<T, E: Into<anyhow::Error>>(
    asking: impl Future<Output = Result<T, E>>,
) -> anyhow::Result<T> {
    match tokio::time::timeout(ANSWER_MAX, asking).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => anyhow::bail!("Postgres did not answer within {ANSWER_MAX:?}"),
    }
}

/// The pause before noting what came of something is tried again, after Postgres failed.
const NOTE_PAUSE: Duration = Duration::from_millis(500);

/// How often noting is tried; then a claim runs out, and what was done is done again.
const NOTE_TRIES: usize = 20;

/// Notes what came of something that was sent, until it works: without the note it would be sent again.
///
/// # Errors
/// That of the last try.
pub(crate) async fn noted<F: Future<Output = anyhow::Result<()>>>(note: impl Fn() -> F) -> anyhow::Result<()> {
    for _ in 1..NOTE_TRIES {
        match answered(note()).await {
            Ok(()) => return Ok(()),
            Err(error) => tracing::warn!("noting what was sent failed, trying again: {error:#}"),
        }
        tokio::time::sleep(NOTE_PAUSE).await;
    }
    answered(note()).await
}

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
