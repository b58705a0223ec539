//! The public keys of tokens, as their issuer publishes them (a JSON Web Key Set, RFC 7517). They are fetched when the first
//! token comes, again when a token names a key that is not known yet, and every few minutes, so that a key that was taken
//! back is not believed for long. Whose key is known never waits for the issuer.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::limits::{JWKS_BELIEVED, JWKS_FETCH, JWKS_FRESH, JWKS_MAX_BYTES, JWKS_REST};

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
pub(super) type Keys = HashMap<String, PublishedKey>;

/// The keys that are published at one address. A copy shares them.
#[derive(Clone)]
pub(super) struct PublishedKeys(Arc<Shared>);

struct Shared {
    url: Url,
    client: Client,
    known: RwLock<Known>,
    /// Held while they are fetched; when the last attempt ended.
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
        let (known, fetching) = (RwLock::default(), Mutex::default());
        Ok(PublishedKeys(Arc::new(Shared { url, client, known, fetching })))
    }

    /// The key of this id; none: the issuer has no such key.
    ///
    /// # Errors
    /// When they cannot be fetched, and none are known that are not too old.
    pub async fn find(&self, id: &str) -> anyhow::Result<Option<PublishedKey>> {
        if let Some((keys, age)) = self.0.known()
            && let Some(key) = keys.get(id)
        {
            if age >= JWKS_FRESH {
                self.refresh();
            }
            return Ok(Some(key.clone()));
        }
        let fetched = self.0.fetch_if_due(self.0.fetching.lock().await).await;
        match self.0.known() {
            Some((keys, _)) => Ok(keys.get(id).cloned()),
            None => fetched.and_then(|()| bail!("the keys of tokens could not be fetched a moment ago")),
        }
    }

    /// Fetches them beside the callers, if nobody does already.
    fn refresh(&self) {
        let keys = self.clone();
        tokio::spawn(async move {
            if let Ok(tried) = keys.0.fetching.try_lock()
                && let Err(error) = keys.0.fetch_if_due(tried).await
            {
                tracing::warn!("those that are known stay in use: {error:#}");
            }
        });
    }
}

impl Shared {
    /// The keys and their age, if there are any that may still be believed.
    fn known(&self) -> Option<(Arc<Keys>, Duration)> {
        // A map is put in whole, so a poisoned lock holds good data.
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let age = known.at?.elapsed();
        (age < JWKS_BELIEVED).then(|| (Arc::clone(&known.keys), age))
    }

    /// Fetches them, one caller for all, and not again right after, whether it worked or not: whoever makes up ids must not
    /// make us ask all the time, and whoever comes next must not wait as long again.
    async fn fetch_if_due(&self, mut tried: MutexGuard<'_, Option<Instant>>) -> anyhow::Result<()> {
        if tried.is_some_and(|at| at.elapsed() < JWKS_REST) {
            return Ok(());
        }
        let fetched = self.fetch().await;
        *tried = Some(Instant::now());
        let keys = fetched.with_context(|| format!("fetching the keys of tokens from {}", self.url))?;
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
        keys_of(&body)
    }
}

/// The keys in a set as it is published.
pub(super) fn keys_of(set: &[u8]) -> anyhow::Result<Keys> {
    let set: JwkSet = serde_json::from_slice(set).context("they are no set of keys")?;
    let keys: Keys = set.keys.iter().filter_map(published).collect();
    ensure!(!keys.is_empty(), "there is no key among them that can check a signature");
    Ok(keys)
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Keys that were fetched so long ago from an issuer that takes connections and never answers.
    async fn keys_of(age: Duration) -> (PublishedKeys, TcpListener) {
        let issuer = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let keys = PublishedKeys::new(&format!("http://{}/keys", issuer.local_addr().unwrap())).unwrap();
        let key = PublishedKey { key: DecodingKey::from_secret(b"any"), algorithm: None };
        let at = Instant::now().checked_sub(age);
        *keys.0.known.write().unwrap() = Known { keys: Arc::new([("known".to_owned(), key)].into()), at };
        (keys, issuer)
    }

    #[tokio::test]
    async fn whose_key_is_known_never_waits_for_the_issuer() {
        let (keys, issuer) = keys_of(JWKS_FRESH * 2).await;
        let found = async {
            for _ in 0..100 {
                assert!(keys.find("known").await.unwrap().is_some());
            }
        };
        tokio::time::timeout(JWKS_FETCH / 2, found).await.expect("at once");
        tokio::time::timeout(JWKS_FETCH, issuer.accept()).await.expect("it is asked beside them").unwrap();
    }

    #[tokio::test]
    async fn those_who_wait_for_an_issuer_wait_once() {
        let (keys, _issuer) = keys_of(JWKS_BELIEVED).await;
        let all = async {
            let (one, two, three) = tokio::join!(keys.find("known"), keys.find("other"), keys.find(""));
            assert!(one.is_err() && two.is_err() && three.is_err(), "what is too old is not believed");
        };
        tokio::time::timeout(JWKS_FETCH * 2, all).await.expect("not one after the other");
    }
}
