//! Logs: one subscriber for the process, on standard error, as text or JSON.

use crate::config::{LogFormat, TelemetryArgs};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Why logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` is not a list of directives.
    #[error("RUST_LOG {directives:?} cannot be read; an example is info,lanes=debug")]
    Directives {
        /// What was given.
        directives: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// The process has a subscriber already.
    #[error("logging was started twice")]
    Twice(#[source] TryInitError),
}

/// Starts logging for the whole process, and makes panics log lines like any other.
///
/// # Errors
/// See [`TelemetryError`].
pub fn init(args: &TelemetryArgs) -> Result<(), TelemetryError> {
    let filter = filter(&args.rust_log)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    }
    .map_err(TelemetryError::Twice)?;
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(
            backtrace = %std::backtrace::Backtrace::capture(),
            "a task panicked: {panic}"
        );
    }));
    Ok(())
}

fn filter(directives: &str) -> Result<EnvFilter, TelemetryError> {
    let directives = directives.trim();
    // An empty variable, as compose files pass unset ones, would silence everything.
    let directives = if directives.is_empty() { "info" } else { directives };
    EnvFilter::try_new(directives)
        .map_err(|source| TelemetryError::Directives { directives: directives.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_directives_can_be_read() {
        let check = |directives: &str, shown: Option<&str>| {
            let filter = filter(directives).map(|filter| filter.to_string());
            assert_eq!(filter.ok().as_deref(), shown, "{directives:?}");
        };
        check("info", Some("info"));
        check(" debug ", Some("debug"));
        check("", Some("info"));
        check("info,lanes=debug", Some("lanes=debug,info"));
        check("info,lanes=loud", None);
        check("a=b=c", None);
    }
}
