//! The beginning and the end of a process: after SIGTERM or SIGINT it finishes what is in hand and is gone in time,
//! whatever happens.

use crate::limits::{DRAIN_MAX, EXIT_MAX};
use std::future::Future;
use std::io;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How a process ends that did not end by itself in time.
const FORCED_EXIT_CODE: i32 = 70;

/// Why the process cannot begin or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// The handlers of the signals cannot be installed.
    #[error("cannot listen for SIGTERM and SIGINT")]
    Signals(#[source] io::Error),
    /// The work did not finish in the time it has after a signal, and was dropped.
    #[error("the work in hand did not finish within {} s after the signal to stop", DRAIN_MAX.as_secs())]
    DrainTimedOut,
}

/// A token that SIGTERM or SIGINT cancels. From that moment the process has `EXIT_MAX_SECONDS`; then it is ended hard.
/// A second signal ends it at once.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn shutdown_signal() -> Result<CancellationToken, LifecycleError> {
    shutdown_signal_within(EXIT_MAX)
}

/// [`shutdown_signal`] with another limit.
///
/// # Errors
/// When the handlers cannot be installed.
#[expect(clippy::disallowed_methods, reason = "whoever does not end in time is ended here")]
pub fn shutdown_signal_within(exit_max: Duration) -> Result<CancellationToken, LifecycleError> {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    // A thread with a runtime of its own: the end must come even when every thread of the program's runtime is stuck.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LifecycleError::Signals)?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (
            signal(SignalKind::terminate()).map_err(LifecycleError::Signals)?,
            signal(SignalKind::interrupt()).map_err(LifecycleError::Signals)?,
        )
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async move {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                tracing::info!("{name} received: finishing what is in hand");
                cancelled.cancel();
                tokio::select! {
                    () = tokio::time::sleep(exit_max) => {
                        tracing::error!("still running {exit_max:?} after {name}: ending hard");
                    }
                    _ = terminate.recv() => tracing::warn!("a second SIGTERM: ending at once"),
                    _ = interrupt.recv() => tracing::warn!("a second SIGINT: ending at once"),
                }
                std::process::exit(FORCED_EXIT_CODE);
            });
        })
        .map_err(LifecycleError::Signals)?;
    Ok(token)
}

/// Runs `work` to its end. `work` must itself notice `shutdown` and finish; if it has not `DRAIN_MAX_SECONDS` later, it
/// is dropped. When it ends by itself, `shutdown` is cancelled, so that everything else ends, too.
///
/// # Errors
/// [`LifecycleError::DrainTimedOut`].
pub async fn run_until_shutdown<T>(
    shutdown: CancellationToken,
    work: impl Future<Output = T>,
) -> Result<T, LifecycleError> {
    run_until_shutdown_within(shutdown, DRAIN_MAX, work).await
}

async fn run_until_shutdown_within<T>(
    shutdown: CancellationToken,
    drain_max: Duration,
    work: impl Future<Output = T>,
) -> Result<T, LifecycleError> {
    let too_late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(drain_max).await;
    };
    let ended = tokio::select! {
        ended = work => Ok(ended),
        () = too_late => Err(LifecycleError::DrainTimedOut),
    };
    shutdown.cancel();
    ended
}

/// Makes aws-lc-rs the TLS provider of the process, which redis and others look up. To be called once, first of all;
/// another call changes nothing.
pub fn install_tls_provider() {
    // An error only says that there is a provider already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_does_not_notice_the_signal_is_dropped() {
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        let (held, released) = tokio::sync::oneshot::channel::<()>();
        let work = async move {
            std::future::pending::<()>().await;
            drop(held);
        };
        let ended = run_until_shutdown_within(shutdown, Duration::from_millis(20), work).await;
        assert!(matches!(ended, Err(LifecycleError::DrainTimedOut)));
        assert!(released.await.is_err(), "what the work held is gone");
    }
}
