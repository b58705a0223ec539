//! What stands in the line: the command in an envelope that says in which version it was written.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::commands::Command;
use crate::ids::RequestId;
use crate::trace::Trace;

/// The version that this build writes, and the newest that it reads.
pub const ENVELOPE_VERSION: u16 = 1;

/// A command as it is stored in the line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The version of the form, [`ENVELOPE_VERSION`] when written by this build.
    pub version: u16,
    /// What is asked for.
    pub command: Command,
    /// Where the request belongs in a trace, so that the trace goes on in the worker; see [`Envelope::trace`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What tracing systems have added to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
}

/// Why an envelope could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// A newer build wrote it. Leave it in its place for a worker that can read it.
    #[error("the envelope has version {version}, this build reads up to {ENVELOPE_VERSION}")]
    NewerVersion {
        /// The version that the envelope carries.
        version: u16,
    },
    /// It is damaged, or breaks a rule that its writer must have kept.
    #[error("the envelope cannot be read")]
    Unreadable(#[source] serde_json::Error),
}

impl Envelope {
    /// An envelope of the current version around `command`.
    pub fn new(command: Command, trace: Option<&Trace>) -> Self {
        Envelope {
            version: ENVELOPE_VERSION,
            command,
            traceparent: trace.map(|trace| trace.traceparent().to_owned()),
            tracestate: trace.and_then(Trace::tracestate).map(str::to_owned),
        }
    }

    /// Where the request belongs in a trace, if in any.
    pub fn trace(&self) -> Option<Trace> {
        Trace::read(self.traceparent.as_deref()?, self.tracestate.as_deref())
    }

    /// [`Envelope::trace`] of stored bytes, whatever else they hold.
    pub fn trace_in(bytes: &[u8]) -> Option<Trace> {
        #[derive(Deserialize)]
        struct Margin<'a> {
            #[serde(borrow)]
            traceparent: Option<Cow<'a, str>>,
            #[serde(borrow)]
            tracestate: Option<Cow<'a, str>>,
        }

        let margin: Margin<'_> = serde_json::from_slice(bytes).ok()?;
        Trace::read(&margin.traceparent?, margin.tracestate.as_deref())
    }

    /// The bytes to be stored.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an envelope is made of texts and numbers, which JSON can hold")
    }

    /// Opens stored bytes. The version is read before anything else, because nothing else of a newer form can be
    /// relied on.
    ///
    /// # Errors
    /// [`EnvelopeError::NewerVersion`] if a newer build wrote them, [`EnvelopeError::Unreadable`] if nobody can read
    /// them.
    pub fn decode(bytes: &[u8]) -> Result<Envelope, EnvelopeError> {
        #[derive(Deserialize)]
        struct Cover {
            version: u16,
        }

        let cover: Cover = serde_json::from_slice(bytes).map_err(EnvelopeError::Unreadable)?;
        if cover.version > ENVELOPE_VERSION {
            return Err(EnvelopeError::NewerVersion { version: cover.version });
        }
        serde_json::from_slice(bytes).map_err(EnvelopeError::Unreadable)
    }
}

/// A command that has its place in the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The id of the request, and of what it makes.
    pub request_id: RequestId,
    /// The arrival number within its group, from 1.
    pub ticket: u64,
    /// When it was accepted, by the clock of the line. Windows and expiry are judged by it.
    pub accepted_at: DateTime<Utc>,
    /// What is asked for.
    pub command: Command,
}

#[cfg(test)]
mod tests {
    use super::{ENVELOPE_VERSION, Envelope, EnvelopeError};
    use crate::samples::claim;

    const CLAIM: &str = r#"{"version":1,"command":{"COUPON_ISSUE":{"userId":"u1","couponId":"C1"}}}"#;
    const ORDER: &str = r#"{"version":1,"command":{"ORDER_PLACEMENT":{"userId":"u1","items":[{"productId":"A","quantity":5000000},{"productId":"B","quantity":1}],"couponId":"C1","finalAmount":900}},"traceparent":"00-1-2-01"}"#;

    const TRACED: &str = r#"{"version":1,"command":{"COUPON_ISSUE":{"userId":"u1","couponId":"C1"}},"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"vendor=1"}"#;

    const CHARGE: &str = r#"{"version":1,"command":{"BALANCE_CHARGE":{"userId":"u1","amount":50000}}}"#;

    /// Pinned to the byte: envelopes stand in line across a deployment.
    #[test]
    fn version_1_stays_as_it_is() {
        for stored in [CLAIM, ORDER, TRACED, CHARGE] {
            let envelope = Envelope::decode(stored.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(envelope.encode()).unwrap(), stored);
        }
        let envelope = Envelope::new(claim("u1", "C1"), None);
        assert_eq!(envelope.version, ENVELOPE_VERSION);
        assert_eq!(Envelope::decode(CLAIM.as_bytes()).unwrap(), envelope);
    }

    #[test]
    fn a_trace_is_found_without_opening() {
        let trace = Envelope::decode(TRACED.as_bytes()).unwrap().trace().unwrap();
        assert_eq!((trace.trace_id(), trace.tracestate()), ("0af7651916cd43dd8448eb211c80319c", Some("vendor=1")));
        assert_eq!(Envelope::trace_in(TRACED.as_bytes()), Some(trace.clone()));
        assert_eq!(String::from_utf8(Envelope::new(claim("u1", "C1"), Some(&trace)).encode()).unwrap(), TRACED);
        for stored in [CLAIM, ORDER, ""] {
            assert_eq!(Envelope::trace_in(stored.as_bytes()), None, "{stored}");
        }
    }

    #[test]
    fn members_that_are_not_known_are_ignored() {
        let stored = CLAIM.replacen('{', r#"{"later":[1],"#, 1);
        let envelope = Envelope::decode(stored.as_bytes()).unwrap();
        assert_eq!(envelope.command, claim("u1", "C1"));
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        for (stored, expected) in [
            (r#"{"version":2,"command":{"COUPON_ISSUE":{}}}"#, 2),
            (r#"{"version":2,"body":"of another shape"}"#, 2),
            (r#"{"body":null,"version":65535}"#, 65_535),
        ] {
            match Envelope::decode(stored.as_bytes()) {
                Err(EnvelopeError::NewerVersion { version }) => assert_eq!(version, expected),
                other => panic!("{stored}: {other:?}"),
            }
        }
    }

    #[test]
    fn damage_is_unreadable() {
        let order = |items: &str| {
            format!(r#"{{"version":1,"command":{{"ORDER_PLACEMENT":{{"userId":"u1","items":[{items}]}}}}}}"#)
        };
        let item = |product: usize| format!(r#"{{"productId":"P{product}","quantity":1}}"#);
        let too_many: Vec<_> = (0..51).map(item).collect();
        for stored in [
            "".to_owned(),
            "{}".to_owned(),
            "[]".to_owned(),
            "\u{0}".to_owned(),
            CLAIM[..CLAIM.len() - 1].to_owned(),
            format!("{CLAIM}}}"),
            r#"{"version":1}"#.to_owned(),
            r#"{"version":"1"}"#.to_owned(),
            r#"{"version":-1}"#.to_owned(),
            r#"{"version":1,"command":{"REFUND":{}}}"#.to_owned(),
            CLAIM.replace("u1", "u 1"),
            CLAIM.replace("userId", "user"),
            order(""),
            order(r#"{"productId":"A","quantity":0}"#),
            order(r#"{"productId":"A","quantity":5000001}"#),
            order(r#"{"productId":"A","quantity":1.5}"#),
            order(&[item(1), item(1)].join(",")),
            order(&[item(1), item(2), item(1)].join(",")),
            order(&too_many.join(",")),
            CHARGE.replace("50000", "0"),
            ORDER.replace("900", "-1"),
            ORDER.replace("900", "1000000000001"),
        ] {
            match Envelope::decode(stored.as_bytes()) {
                Err(EnvelopeError::Unreadable(_)) => {}
                other => panic!("{stored}: {other:?}"),
            }
        }
    }
}
