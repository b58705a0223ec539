//! The language of what a shopper reads.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;

/// The languages that messages are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Language {
    /// Unless English is preferred.
    #[default]
    Korean,
    /// When `Accept-Language` prefers it.
    English,
}

impl Language {
    /// All of them.
    pub const ALL: [Language; 2] = [Language::Korean, Language::English];

    /// The language that the client prefers.
    pub fn of(headers: &HeaderMap) -> Language {
        let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        accepted.map_or(Language::Korean, Language::preferred)
    }

    /// The tag for `Content-Language`.
    pub fn tag(self) -> &'static str {
        match self {
            Language::Korean => "ko",
            Language::English => "en",
        }
    }

    /// Reads a list such as `en-GB,en;q=0.9,ko;q=0.8`. Of equal weights the first named wins.
    fn preferred(accepted: &str) -> Language {
        let (mut preferred, mut highest) = (Language::Korean, 0.0);
        for entry in accepted.split(',') {
            let mut parts = entry.split(';');
            let range = parts.next().unwrap_or_default().trim();
            let language = match range.split('-').next().unwrap_or_default() {
                primary if primary.eq_ignore_ascii_case("en") => Language::English,
                primary if primary.eq_ignore_ascii_case("ko") => Language::Korean,
                _ => continue,
            };
            let weight = parts
                .find_map(|part| part.trim().strip_prefix("q="))
                .map_or(1.0, |weight| weight.trim().parse::<f32>().unwrap_or(0.0));
            if weight > highest {
                (preferred, highest) = (language, weight);
            }
        }
        preferred
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn korean_unless_english_is_preferred() {
        let rows = [
            ("", Language::Korean),
            ("*", Language::Korean),
            ("fr", Language::Korean),
            ("ko", Language::Korean),
            ("ko-KR,ko;q=0.9,en;q=0.8", Language::Korean),
            ("en;q=0.8,ko;q=0.9", Language::Korean),
            ("en;q=0", Language::Korean),
            ("en;q=nonsense", Language::Korean),
            ("ko,en", Language::Korean),
            ("en,ko", Language::English),
            ("en", Language::English),
            ("EN-us", Language::English),
            ("fr-FR, en;q=0.5", Language::English),
            ("ko;q=0.1, en;q=0.2", Language::English),
            // A name that only begins alike.
            ("enm", Language::Korean),
        ];
        for (accepted, meant) in rows {
            assert_eq!(Language::preferred(accepted), meant, "{accepted:?}");
        }
    }
}
