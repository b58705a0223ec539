//! A clock that is wrong for one process.

use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use reqwest::Response;

/// How wrong.
pub const WRONG_BY: Duration = Duration::from_secs(3_600);

/// A clock is that wrong if it is at least so wrong: asking takes a while.
const SEEN_MIN: Duration = Duration::from_secs(3_000);

/// The variables that put a process' clock ahead, or behind.
///
/// # Errors
/// When libfaketime is not there and cannot be had.
pub fn wrong(is_ahead: bool) -> Result<[(&'static str, String); 3]> {
    let off = WRONG_BY.as_secs().cast_signed();
    stack::clock_off_by(if is_ahead { off } else { -off })
}

/// Whether whoever answers has a wrong clock: it dates its answers.
///
/// # Errors
/// When the answer has no date.
pub fn is_wrong(answer: &Response) -> Result<bool> {
    let date = answer.headers().get("date").context("an answer has no date")?;
    let date = DateTime::parse_from_rfc2822(date.to_str().context("a date that is no text")?).context("a date")?;
    Ok(is_off(date.to_utc()))
}

/// Whether whoever says that it is this time now has a wrong clock.
pub fn is_off(now: DateTime<Utc>) -> bool {
    (Utc::now() - now).abs().to_std().is_ok_and(|off| off >= SEEN_MIN)
}
