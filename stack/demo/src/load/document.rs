//! What a shopper has to understand of an answer, and no more.

use std::fmt;

use serde::Deserialize;
use uuid::Uuid;

/// The code of a refusal, `C001`: as small as a number, because every request has one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code([u8; Code::CHARS_MAX]);

impl Code {
    /// The longest code of the contract is `CART001`.
    const CHARS_MAX: usize = 8;

    /// A code; none for a text that can be none.
    pub fn parse(text: &str) -> Option<Code> {
        let mut bytes = [0; Code::CHARS_MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        let sane = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        sane.then_some(Code(bytes))
    }

    /// As it was sent.
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        str::from_utf8(&self.0[..end]).expect("a code was made from ASCII")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The final answer to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was done.
    Succeeded,
    /// It was refused.
    Refused(Code),
}

impl Outcome {
    /// `SUCCEEDED`, or the code of the refusal.
    pub fn as_str(&self) -> &str {
        match self {
            Outcome::Succeeded => "SUCCEEDED",
            Outcome::Refused(code) => code.as_str(),
        }
    }
}

/// A request document, as far as a shopper reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The request.
    pub request_id: Uuid,
    /// What came of it; none while it waits.
    pub outcome: Option<Outcome>,
    /// When to ask again, in milliseconds.
    pub next_poll_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent<'a> {
    request_id: Uuid,
    status: &'a str,
    next_poll_ms: Option<u64>,
    #[serde(borrow)]
    error: Option<Problem<'a>>,
}

#[derive(Deserialize)]
struct Problem<'a> {
    code: &'a str,
}

impl Document {
    /// Reads a request document; none if it is none.
    pub fn read(body: &[u8]) -> Option<Document> {
        let sent: Sent<'_> = serde_json::from_slice(body).ok()?;
        let outcome = match (sent.status, &sent.error) {
            ("SUCCEEDED", None) => Some(Outcome::Succeeded),
            ("FAILED", Some(error)) => Some(Outcome::Refused(Code::parse(error.code)?)),
            ("QUEUED" | "PROCESSING", None) => None,
            _ => return None,
        };
        Some(Document { request_id: sent.request_id, outcome, next_poll_ms: sent.next_poll_ms })
    }
}

/// The code in an error's body; none if it is not the contract's.
pub fn code_of(body: &[u8]) -> Option<Code> {
    let problem: Problem<'_> = serde_json::from_slice(body).ok()?;
    Code::parse(problem.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "019a3c5e-7f00-7abc-8def-012345678980";

    #[test]
    fn documents_that_are_understood() {
        fn check(members: &str, meant: Option<(Option<&str>, Option<u64>)>) {
            let body = format!(r#"{{"requestId":"{ID}","kind":"COUPON_ISSUE",{members}}}"#);
            let found = Document::read(body.as_bytes());
            let seen = found.as_ref().map(|document| {
                assert_eq!(document.request_id.to_string(), ID);
                (document.outcome.as_ref().map(Outcome::as_str), document.next_poll_ms)
            });
            assert_eq!(seen, meant, "{members}");
        }
        check(r#""status":"QUEUED","ticket":7,"position":3,"nextPollMs":400"#, Some((None, Some(400))));
        check(r#""status":"PROCESSING","ticket":7,"nextPollMs":200"#, Some((None, Some(200))));
        check(r#""status":"SUCCEEDED","ticket":7,"result":{"status":"odd"}"#, Some((Some("SUCCEEDED"), None)));
        let refused = r#""status":"FAILED","error":{"code":"C001","error":"COUPON_SOLD_OUT","message":"\"모두\""}"#;
        check(refused, Some((Some("C001"), None)));
        check(r#""status":"FAILED""#, None);
        check(r#""status":"LOST""#, None);
        check(r#""ticket":7"#, None);
    }

    #[test]
    fn codes_that_are_understood() {
        let rows = [
            (r#"{"type":"about:blank","status":409,"code":"C001","detail":"\"code\":\"X\""}"#, Some("C001")),
            (r#"{"code":"CART001"}"#, Some("CART001")),
            (r#"{"code":"TOOLONG01"}"#, None),
            (r#"{"code":""}"#, None),
            (r#"{"status":409}"#, None),
            ("<html>", None),
        ];
        for (body, meant) in rows {
            let found = code_of(body.as_bytes());
            assert_eq!(found.as_ref().map(Code::as_str), meant, "{body}");
        }
    }
}
