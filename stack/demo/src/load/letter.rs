//! A request, written beforehand.

use std::io::Write as _;
use std::net::SocketAddr;

/// Where the API is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    address: SocketAddr,
}

impl Door {
    /// The API at this address.
    pub fn new(address: SocketAddr) -> Door {
        Door { address }
    }

    /// Where it listens.
    pub fn address(self) -> SocketAddr {
        self.address
    }
}

/// A header that not every request has. Values are visible ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header<'a> {
    /// `Idempotency-Key`: a repeat has no second effect.
    Key(&'a str),
    /// `Prefer: wait`: the answer shall come when the outcome is known.
    Wait,
    /// The operator's bearer token.
    Token(&'a str),
}

/// A request that can be sent any number of times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    text: Box<[u8]>,
    has_key: bool,
}

impl Letter {
    /// A GET of this path.
    pub fn get(door: &Door, path: &str, headers: &[Header<'_>]) -> Letter {
        Letter::write("GET", door, path, headers, None)
    }

    /// A POST of this JSON.
    pub fn post(door: &Door, path: &str, headers: &[Header<'_>], json: &str) -> Letter {
        Letter::write("POST", door, path, headers, Some(json))
    }

    fn write(method: &str, door: &Door, path: &str, headers: &[Header<'_>], json: Option<&str>) -> Letter {
        let mut text = Vec::new();
        // Writing to a Vec cannot fail, here and below.
        let _ = write!(text, "{method} {path} HTTP/1.1\r\nhost: {}\r\n", door.address);
        for header in headers {
            let _ = match header {
                Header::Key(key) => write!(text, "idempotency-key: {key}\r\n"),
                // The longest wait that the API grants.
                Header::Wait => write!(text, "prefer: wait=30\r\n"),
                Header::Token(token) => write!(text, "authorization: Bearer {token}\r\n"),
            };
        }
        match json {
            Some(json) => {
                let length = json.len();
                let _ = write!(text, "content-type: application/json\r\ncontent-length: {length}\r\n\r\n{json}");
            }
            None => text.extend_from_slice(b"\r\n"),
        }
        let has_key = headers.iter().any(|header| matches!(header, Header::Key(_)));
        Letter { text: text.into(), has_key }
    }

    /// As it is sent.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether a repeat is recognised as one.
    pub fn has_key(&self) -> bool {
        self.has_key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_written_as_http_wants_them() {
        let door = Door::new("127.0.0.1:8080".parse().unwrap());
        let rows = [
            (Letter::get(&door, "/readyz", &[]), "GET /readyz HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n\r\n", false),
            (
                Letter::post(&door, "/api/orders", &[Header::Key("k"), Header::Wait], "{\"가\":1}"),
                "POST /api/orders HTTP/1.1\r\nhost: 127.0.0.1:8080\r\nidempotency-key: k\r\nprefer: wait=30\r\n\
                 content-type: application/json\r\ncontent-length: 9\r\n\r\n{\"가\":1}",
                true,
            ),
            (
                Letter::get(&door, "/x", &[Header::Token("t")]),
                "GET /x HTTP/1.1\r\nhost: 127.0.0.1:8080\r\nauthorization: Bearer t\r\n\r\n",
                false,
            ),
        ];
        for (letter, meant, has_key) in rows {
            assert_eq!((str::from_utf8(letter.text()), letter.has_key()), (Ok(meant), has_key));
        }
    }
}
