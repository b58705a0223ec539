//! A clock that is wrong for one process.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use reqwest::Response;

/// How wrong.
pub const WRONG_BY: Duration = Duration::from_secs(3_600);

/// A clock is that wrong if it is at least so wrong: asking takes a while.
const SEEN_MIN: Duration = Duration::from_secs(3_000);

/// Where the library of the package may be, below the folder of the machine's libraries.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The variables that put a process' clock ahead, or behind.
///
/// # Errors
/// When libfaketime is not there and cannot be had.
pub fn wrong(is_ahead: bool) -> Result<[(&'static str, String); 3]> {
    let sign = if is_ahead { '+' } else { '-' };
    Ok([
        ("LD_PRELOAD", library()?.display().to_string()),
        ("FAKETIME", format!("{sign}{}s", WRONG_BY.as_secs())),
        // Only the time of day is wrong: what runs evenly on any machine runs evenly here.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ])
}

/// Whether whoever answers has a wrong clock: it dates its answers.
///
/// # Errors
/// When the answer has no date.
pub fn is_wrong(answer: &Response) -> Result<bool> {
    let date = answer.headers().get("date").context("an answer has no date")?;
    let date = DateTime::parse_from_rfc2822(date.to_str().context("a date that is no text")?).context("a date")?;
    let off = (Utc::now() - date.to_utc()).abs().to_std().context("a distance in time")?;
    Ok(off >= SEEN_MIN)
}

fn library() -> Result<PathBuf> {
    stack::package_program("faketime", &["faketime"])?;
    let library = PathBuf::from(format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH)).join(LIBRARY);
    ensure!(library.is_file(), "faketime is here, and {} is not", library.display());
    Ok(library)
}
