//! Whoever says who is who: gives tokens to everybody who asks, and publishes the key that they are signed with.

use std::sync::Arc;

use anyhow::Context;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::Utc;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::control::Refusal;
use crate::limits::{TOKEN_TTL_DEFAULT_SECONDS, TOKEN_TTL_MAX_SECONDS};
use crate::world::World;

/// What stands before the 32 random bytes of an Ed25519 key in PKCS #8 (RFC 8410).
const ED25519_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// The key of one run of the sandbox; its id is new each time, so that nobody takes it for an earlier one.
pub(crate) struct Issuer {
    key: EncodingKey,
    key_id: String,
    published: JwkSet,
    issuer: String,
    audience: String,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl Issuer {
    /// An issuer with a new key.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(issuer: String, audience: String) -> anyhow::Result<Issuer> {
        let random: [u8; 32] = rand::random();
        let key = EncodingKey::from_ed_der(&[&ED25519_HEAD[..], &random[..]].concat());
        let mut public = Jwk::from_encoding_key(&key, Algorithm::EdDSA).context("making a key for tokens")?;
        let key_id = format!("sandbox-{}", Uuid::new_v4().simple());
        public.common.key_id = Some(key_id.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Issuer { key, key_id, published: JwkSet { keys: vec![public] }, issuer, audience })
    }

    fn token(&self, wish: &Wish) -> anyhow::Result<String> {
        let now = Utc::now().timestamp();
        let mut claims = json!({
            "iss": self.issuer, "aud": self.audience, "sub": wish.user_id,
            "iat": now, "exp": now + wish.ttl_seconds,
        });
        if let Some(role) = &wish.role {
            claims["role"] = Value::from(role.as_str());
        }
        let header = Header { kid: Some(self.key_id.clone()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, &claims, &self.key).context("signing a token")
    }
}

/// Whom a token shall name.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wish {
    user_id: String,
    role: Option<String>,
    /// Below 0: the token has ended already.
    #[serde(default = "default_ttl")]
    ttl_seconds: i64,
}

fn default_ttl() -> i64 {
    TOKEN_TTL_DEFAULT_SECONDS
}

#[derive(Debug, Serialize)]
struct Token {
    token: String,
}

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().route("/.well-known/jwks.json", get(keys)).route("/tokens", post(token))
}

async fn keys(State(world): State<Arc<World>>) -> Json<JwkSet> {
    Json(world.issuer.published.clone())
}

async fn token(State(world): State<Arc<World>>, body: Bytes) -> Result<Json<Token>, Refusal> {
    let wish: Wish = serde_json::from_slice(&body).map_err(Refusal::unreadable)?;
    if wish.ttl_seconds.unsigned_abs() > TOKEN_TTL_MAX_SECONDS.unsigned_abs() {
        return Err(Refusal::bad(format!("ttlSeconds must be at most {TOKEN_TTL_MAX_SECONDS}, or as far below 0")));
    }
    let token = world.issuer.token(&wish).map_err(Refusal::failed)?;
    Ok(Json(Token { token }))
}
