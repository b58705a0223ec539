//! A value that must not be seen.

use std::fmt;

/// A text that no log line and no error shows: `Debug` prints a mark instead, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Parses a value that must be given: an empty one (as compose files pass unset variables) is refused.
    pub(super) fn required(text: &str) -> Result<Secret, &'static str> {
        if text.trim().is_empty() {
            return Err("it is empty");
        }
        Ok(Secret(text.to_owned()))
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_it() {
        let shown = format!("{:?} {:#?}", Secret::from("hunter2".to_owned()), Some(Secret("hunter2".into())));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
