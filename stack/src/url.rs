//! Names and paths as parts of addresses.

use std::path::Path;

/// Percent-encodes everything that could mean something in an address.
pub(crate) fn escape(text: &str) -> String {
    escape_bytes(text.as_bytes(), b"-_.~")
}

/// As [`escape`], but slashes stay readable: they mean nothing special after a `?`.
pub(crate) fn escape_path(path: &Path) -> String {
    escape_bytes(path.as_os_str().as_encoded_bytes(), b"-_.~/")
}

fn escape_bytes(bytes: &[u8], kept: &[u8]) -> String {
    let mut escaped = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || kept.contains(byte) {
            escaped.push(char::from(*byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_characters_stay() {
        let rows = [("/tmp/a-b_c.d", "/tmp/a-b_c.d"), ("/a b/&?=", "/a%20b/%26%3F%3D"), ("/가", "/%EA%B0%80")];
        for (path, want) in rows {
            assert_eq!(escape_path(Path::new(path)), want);
        }
        assert_eq!(escape("a/b"), "a%2Fb");
    }
}
