//! Durations as people write them: `8s`, `5m`, `1h 30m`, and lists of them.

use std::time::Duration;

/// Parses one duration, `8s` or `1h 30m`.
///
/// # Errors
/// A sentence that can be shown behind the variable's name.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim()).map_err(|error| format!("not a duration such as 8s or 15m: {error}"))
}

/// Parses a list with commas, `5m,15m,45m`. An empty text is an empty list.
///
/// # Errors
/// A sentence that says which entry is wrong.
pub fn parse_durations(text: &str) -> Result<Vec<Duration>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    text.split(',')
        .enumerate()
        .map(|(index, entry)| parse_duration(entry).map_err(|error| format!("entry {}: {error}", index + 1)))
        .collect()
}

pub(super) fn duration_between(text: &str, shortest: Duration, longest: Duration) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if duration < shortest {
        return Err(format!("at least {}", humantime::format_duration(shortest)));
    }
    if duration > longest {
        return Err(format!("at most {}", humantime::format_duration(longest)));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, meant_seconds: Option<&[u64]>) {
        let meant = meant_seconds.map(|list| list.iter().copied().map(Duration::from_secs).collect());
        assert_eq!(parse_durations(text).ok(), meant, "{text:?}");
    }

    #[test]
    fn lists() {
        check("5m,15m,45m", Some(&[300, 900, 2_700]));
        check(" 5m , 15m ", Some(&[300, 900]));
        check("8s", Some(&[8]));
        check("1h 30m", Some(&[5_400]));
        check("0s", Some(&[0]));
        check("", Some(&[]));
        check("5m,,15m", None);
        check("5m,", None);
        check("5", None);
        check("-5m", None);
        check("soon", None);
    }

    #[test]
    fn the_wrong_entry_is_named() {
        let error = parse_durations("5m,soon").unwrap_err();
        assert!(error.starts_with("entry 2: not a duration"), "{error}");
    }
}
