//! The public keys of tokens, as their issuer publishes them (a JSON Web Key Set, RFC 7517). They are fetched when the first
//! token comes, again when a token names a key that is not known yet, and every few minutes, so that a key that was taken
//! back is not believed for long.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, ensure};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::limits::{JWKS_FETCH, JWKS_FRESH, JWKS_MAX_BYTES, JWKS_REST};

/// What may sign tokens where keys are public. A list, because a token that could choose freely would choose `none`, or a
/// public key as if it were a shared secret.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
];

/// A key, and the algorithm that it is for, if it says so.
#[derive(Clone)]
pub(super) struct PublishedKey {
    pub key: DecodingKey,
    algorithm: Option<Algorithm>,
}

impl PublishedKey {
    /// Whether a token of this algorithm may be checked with it. That the algorithm fits the kind of key, the check itself
    /// demands.
    pub fn is_for(&self, algorithm: Algorithm) -> bool {
        ALGORITHMS.contains(&algorithm) && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

/// By key id; a key without one stands under the empty id.
type Keys = HashMap<String, PublishedKey>;

/// The keys that are published at one address.
pub(super) struct PublishedKeys {
    url: Url,
    client: Client,
    known: RwLock<Known>,
    /// Held while they are fetched; when it was last tried.
    fetching: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Known {
    keys: Arc<Keys>,
    /// When they were fetched; none: not yet.
    at: Option<Instant>,
}

impl PublishedKeys {
    /// Keys from this address; nothing is fetched yet.
    pub fn new(url: &str) -> anyhow::Result<PublishedKeys> {
        let url = Url::parse(url).context("JWT_JWKS_URL")?;
        let client = Client::builder().timeout(JWKS_FETCH).redirect(Policy::none()).build();
        let client = client.context("making an HTTP client for the keys of tokens")?;
        Ok(PublishedKeys { url, client, known: RwLock::default(), fetching: Mutex::default() })
    }

    /// The key of this id; none: the issuer has no such key.
    ///
    /// # Errors
    /// When they cannot be fetched, and none are known yet.
    pub async fn find(&self, id: &str) -> anyhow::Result<Option<PublishedKey>> {
        let (keys, age) = self.known();
        if let Some(key) = keys.get(id)
            && age.is_some_and(|age| age < JWKS_FRESH)
        {
            return Ok(Some(key.clone()));
        }
        let fetched = self.fetch_if_due().await;
        let (keys, age) = self.known();
        match (fetched, age) {
            (Err(error), None) => Err(error),
            // Better keys of a while ago than nobody signed in; but not for ever.
            (Err(error), Some(age)) => {
                tracing::warn!("the keys of tokens are {} s old and could not be fetched: {error:#}", age.as_secs());
                Ok(keys.get(id).cloned())
            }
            (Ok(()), _) => Ok(keys.get(id).cloned()),
        }
    }

    fn known(&self) -> (Arc<Keys>, Option<Duration>) {
        // A map is put in whole, so a poisoned lock holds good data.
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&known.keys), known.at.map(|at| at.elapsed()))
    }

    /// Fetches them, one caller for all, and not again right after: whoever makes up ids must not make us ask all the time.
    async fn fetch_if_due(&self) -> anyhow::Result<()> {
        let mut tried = self.fetching.lock().await;
        if tried.is_some_and(|at| at.elapsed() < JWKS_REST) {
            let (_, age) = self.known();
            ensure!(age.is_some(), "the keys of tokens could not be fetched a moment ago");
            return Ok(());
        }
        *tried = Some(Instant::now());
        let keys = self.fetch().await.with_context(|| format!("fetching the keys of tokens from {}", self.url))?;
        let known = Known { keys: Arc::new(keys), at: Some(Instant::now()) };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    async fn fetch(&self) -> anyhow::Result<Keys> {
        let mut answer = self.client.get(self.url.clone()).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            body.extend_from_slice(&chunk);
            ensure!(body.len() <= JWKS_MAX_BYTES, "they are longer than {JWKS_MAX_BYTES} bytes");
        }
        let set: JwkSet = serde_json::from_slice(&body).context("they are no set of keys")?;
        let keys: Keys = set.keys.iter().filter_map(published).collect();
        ensure!(!keys.is_empty(), "there is no key among them that can check a signature");
        Ok(keys)
    }
}

/// The key with its id, if it can check signatures. A shared secret must never be published, so one that is, is no key.
fn published(jwk: &Jwk) -> Option<(String, PublishedKey)> {
    let is_public = !matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_));
    let signs = jwk.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
    if !is_public || !signs {
        return None;
    }
    let algorithm = match &jwk.common.key_algorithm {
        None => None,
        // One that is not in the list checks nothing.
        Some(name) => Some(name.to_string().parse().ok().filter(|known| ALGORITHMS.contains(known))?),
    };
    let key = DecodingKey::from_jwk(jwk).ok()?;
    Some((jwk.common.key_id.clone().unwrap_or_default(), PublishedKey { key, algorithm }))
}
