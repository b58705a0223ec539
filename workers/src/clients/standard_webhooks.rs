//! Signatures as Standard Webhooks 1.0 has them (<https://www.standardwebhooks.com>): HMAC-SHA256 over
//! `id.timestamp.body`, so that the receiver knows who sent it, and when.

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use runtime::config::Secret;
use sha2::Sha256;

/// What every secret begins with.
const PREFIX: &str = "whsec_";

/// Bytes that a key may have, after the specification.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The key that signs.
#[derive(Clone)]
pub(crate) struct Signer(Hmac<Sha256>);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(…)")
    }
}

impl Signer {
    /// A signer with this secret.
    ///
    /// # Errors
    /// A sentence when it is not of the right form; it does not show the secret.
    pub fn new(secret: &Secret) -> anyhow::Result<Signer> {
        let encoded = secret.expose().strip_prefix(PREFIX).with_context(|| format!("it must begin with {PREFIX}"))?;
        let key = STANDARD.decode(encoded).ok().context("what follows whsec_ must be base64")?;
        let (least, most) = (KEY_BYTES.start(), KEY_BYTES.end());
        ensure!(KEY_BYTES.contains(&key.len()), "the key must have {least} to {most} bytes, and has {}", key.len());
        Ok(Signer(Hmac::new_from_slice(&key).expect("HMAC takes keys of any length")))
    }

    /// The headers of a message: `id` is the same at every attempt, `timestamp` is now, in seconds since 1970.
    pub fn headers(&self, id: &str, timestamp: i64, body: &str) -> HeaderMap {
        let mut mac = self.0.clone();
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        let header =
            |value: &str| HeaderValue::from_str(value).expect("ids, numbers and base64 are visible characters");
        HeaderMap::from_iter([
            (HeaderName::from_static("webhook-id"), header(id)),
            (HeaderName::from_static("webhook-timestamp"), header(&timestamp.to_string())),
            (HeaderName::from_static("webhook-signature"), header(&signature)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(secret: &str) -> anyhow::Result<Signer> {
        Signer::new(&secret.to_owned().into())
    }

    #[test]
    fn the_published_example_is_signed_alike() {
        // From the specification's list of test vectors.
        let signer = signer("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let headers = signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(headers["webhook-timestamp"], "1614265330");
    }

    #[test]
    fn secrets_have_a_form() {
        for wrong in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_%%%", "whsec_c2hvcnQ="] {
            let error = signer(wrong).expect_err(wrong).to_string();
            assert!(!error.contains("MfKQ") && !error.contains("c2hv"), "{error}");
        }
    }
}
