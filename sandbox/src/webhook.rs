//! Whether a webhook is signed as Standard Webhooks 1.0 has it (<https://www.standardwebhooks.com>), by whoever has the secret.
//! Written apart from the shop's own signer, so that a mistake there is seen here.

use std::str::FromStr;

use anyhow::{Context, ensure};
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;

use crate::limits::WEBHOOK_SKEW_MAX_SECONDS;

const PREFIX: &str = "whsec_";

/// What was found out about a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Signature {
    /// It is good.
    Good,
    /// It is not that of what came.
    Wrong,
    /// It is good, and so old or so far ahead that somebody may be sending it again.
    Stale,
    /// There is none, or a header that belongs to it is missing.
    Missing,
    /// Nobody told the sandbox the secret.
    Unchecked,
}

/// The secret with which signatures are checked; by default none. It is parsed from `whsec_` and base64; an empty text is none.
#[derive(Clone, Default)]
pub struct Verifier(Option<Hmac<Sha256>>);

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(…)")
    }
}

impl FromStr for Verifier {
    type Err = anyhow::Error;

    /// A sentence that does not show the secret says what is wrong with it.
    fn from_str(secret: &str) -> anyhow::Result<Verifier> {
        if secret.is_empty() {
            return Ok(Verifier(None));
        }
        let encoded = secret.strip_prefix(PREFIX).context("it must begin with whsec_")?;
        let key = STANDARD.decode(encoded).ok().context("what follows whsec_ must be base64")?;
        ensure!(!key.is_empty(), "the key is empty");
        Ok(Verifier(Some(Hmac::new_from_slice(&key).context("it cannot be a key")?)))
    }
}

impl Verifier {
    /// What is to be said of a message that came at `now`, in seconds since 1970.
    pub(crate) fn check(&self, headers: &HeaderMap, body: &[u8], now: i64) -> Signature {
        let Some(key) = &self.0 else {
            return Signature::Unchecked;
        };
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(id), Some(timestamp), Some(signatures)) =
            (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
        else {
            return Signature::Missing;
        };
        let mut mac = key.clone();
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        // There may be several, while a secret is being changed.
        let given = signatures.split(' ').filter_map(|signature| signature.strip_prefix("v1,"));
        let mut given = given.filter_map(|encoded| STANDARD.decode(encoded).ok());
        if !given.any(|signature| mac.clone().verify_slice(&signature).is_ok()) {
            return Signature::Wrong;
        }
        match timestamp.parse::<i64>() {
            Ok(at) if at.abs_diff(now) <= WEBHOOK_SKEW_MAX_SECONDS => Signature::Good,
            _ => Signature::Stale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example_is_good_and_nothing_else() {
        // From the specification's list of test vectors.
        let verifier: Verifier = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let good = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let (at, body) = (1_614_265_330, r#"{"test": 2432232314}"#);
        let two = format!("v1,AAAA {good}");
        let (late, future) = (at + 301, at - 301);
        let rows = [
            (Some(good), body, at, Signature::Good),
            (Some(&two), body, at + 300, Signature::Good),
            (Some(good), body, late, Signature::Stale),
            (Some(good), body, future, Signature::Stale),
            (Some(good), "{}", at, Signature::Wrong),
            (Some("v2,g0hM"), body, at, Signature::Wrong),
            (Some(""), body, at, Signature::Wrong),
            (None, body, at, Signature::Missing),
        ];
        for (signature, body, now, said) in rows {
            let mut headers = HeaderMap::new();
            headers.insert("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek".parse().unwrap());
            headers.insert("webhook-timestamp", at.to_string().parse().unwrap());
            if let Some(signature) = signature {
                headers.insert("webhook-signature", signature.parse().unwrap());
            }
            assert_eq!(verifier.check(&headers, body.as_bytes(), now), said, "{signature:?} {body} {now}");
            assert_eq!(Verifier::default().check(&headers, body.as_bytes(), now), Signature::Unchecked);
        }
    }

    #[test]
    fn a_secret_has_a_form() {
        assert!("".parse::<Verifier>().is_ok(), "as an unset variable is passed on");
        for wrong in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_%%%"] {
            let error = wrong.parse::<Verifier>().expect_err(wrong).to_string();
            assert!(!error.contains("MfKQ"), "{error}");
        }
    }
}
