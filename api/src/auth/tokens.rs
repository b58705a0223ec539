//! What a token says, once its signature and its times have been checked.

use common::UserId;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use runtime::config::{JwtKey, JwtRules};
use serde_json::{Map, Value};

use super::published_keys::PublishedKeys;
use super::unauthenticated;
use crate::problem::Problem;

/// Clocks of issuer and shop may differ by this much.
const CLOCK_SKEW_SECONDS: u64 = 30;

pub(super) struct Tokens {
    key: Key,
    rules: Validation,
    user_claim: String,
}

/// What signatures are checked with.
enum Key {
    Shared(DecodingKey),
    Published(PublishedKeys),
}

impl Tokens {
    pub(super) fn new(rules: JwtRules) -> anyhow::Result<Tokens> {
        let key = match &rules.key {
            JwtKey::Secret(secret) => Key::Shared(DecodingKey::from_secret(secret.expose().as_bytes())),
            JwtKey::Jwks(url) => Key::Published(PublishedKeys::new(&url.to_string())?),
        };
        // The algorithm stands here, and not in the token, which could name `none`; for published keys it is set with each.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = CLOCK_SKEW_SECONDS;
        validation.validate_nbf = true;
        validation.validate_aud = rules.audience.is_some();
        let mut demanded = vec!["exp"];
        if let Some(audience) = &rules.audience {
            validation.set_audience(&[audience]);
            demanded.push("aud");
        }
        if let Some(issuer) = &rules.issuer {
            validation.set_issuer(&[issuer]);
            demanded.push("iss");
        }
        validation.set_required_spec_claims(&demanded);
        Ok(Tokens { key, rules: validation, user_claim: rules.user_claim })
    }

    /// What the token says.
    ///
    /// # Errors
    /// A001 when it is not valid; R005 when that cannot be known, because no key could be fetched yet.
    pub(super) async fn claims(&self, token: &str) -> Result<Map<String, Value>, Problem> {
        let checked = match &self.key {
            Key::Shared(key) => decode(token, key, &self.rules),
            Key::Published(keys) => {
                let header = decode_header(token).map_err(|error| unauthenticated().because(error))?;
                let id = header.kid.as_deref().unwrap_or_default();
                let published = keys.find(id).await.map_err(Problem::unavailable)?;
                let published = published.filter(|key| key.is_for(header.alg)).ok_or_else(unauthenticated)?;
                let mut rules = self.rules.clone();
                rules.algorithms = vec![header.alg];
                decode(token, &published.key, &rules)
            }
        };
        checked.map(|token| token.claims).map_err(|error| unauthenticated().because(error))
    }

    /// The shopper whom these claims name.
    ///
    /// # Errors
    /// A001 when they name nobody.
    pub(super) fn shopper(&self, claims: &Map<String, Value>) -> Result<UserId, Problem> {
        let user = claims.get(&self.user_claim).and_then(Value::as_str);
        user.and_then(|user| user.parse().ok()).ok_or_else(unauthenticated)
    }
}
