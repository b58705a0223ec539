//! Who is calling, and what that allows.

mod published_keys;
mod tokens;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, FORWARDED, HOST, VIA};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use common::UserId;
use runtime::config::AuthArgs;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::net::{IpAddr, SocketAddr};
use subtle::ConstantTimeEq;

use crate::error_table::Code;
use crate::problem::Problem;
use crate::state::AppState;

use tokens::Tokens;

/// The role that opens the operators' endpoints, in the claim `role`.
const ADMIN_ROLE: &str = "admin";

/// How callers are told apart.
pub struct Auth {
    /// None: not at all, whoever is named is believed.
    tokens: Option<Tokens>,
    /// SHA-256 of the operators' token: a digest has one length, so comparing tells nothing, not even how long it is.
    admin_token: Option<[u8; 32]>,
}

/// The caller of a shopper's endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A token names this shopper.
    Shopper(UserId),
    /// Nobody is told apart: whoever is named is believed.
    Anyone,
}

impl Auth {
    /// Reads and checks the configuration.
    ///
    /// # Errors
    /// A sentence when it contradicts itself.
    pub fn new(args: &AuthArgs, api_addr: SocketAddr, allow_private_http: bool) -> anyhow::Result<Auth> {
        let tokens = match args.checked(api_addr, allow_private_http)? {
            runtime::config::Auth::Off => None,
            runtime::config::Auth::Jwt(rules) => Some(Tokens::new(rules)?),
        };
        let admin_token = args.admin_token().map(|token| digest(token.0.expose()));
        Ok(Auth { tokens, admin_token })
    }

    /// Who is calling.
    ///
    /// # Errors
    /// A001 when a token is demanded and missing, or not valid.
    pub async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let Some(tokens) = &self.tokens else {
            return Ok(Caller::Anyone);
        };
        let token = bearer(headers).ok_or_else(unauthenticated)?;
        tokens.shopper(&tokens.claims(token).await?).map(Caller::Shopper)
    }

    /// The shopper in whose name the caller acts, when a query names `sent`.
    ///
    /// # Errors
    /// A001 without a valid token, A002 when it names somebody else, V001 when nobody is named, or not by an id.
    pub async fn shopper(&self, headers: &HeaderMap, sent: Option<String>) -> Result<UserId, Problem> {
        let sent = sent.map(|id| id.parse::<UserId>()).transpose();
        let sent = sent.map_err(|error| Problem::field("userId", error))?;
        self.caller(headers).await?.acts_for(sent)
    }

    /// Who is changing the shop, as the audit log will name them.
    ///
    /// # Errors
    /// A001 without a valid token, A002 for a valid one without the role.
    pub async fn operator(&self, headers: &HeaderMap) -> Result<Operator, Problem> {
        let token = bearer(headers).ok_or_else(unauthenticated)?;
        if let Some(admin_token) = &self.admin_token
            && bool::from(digest(token).ct_eq(admin_token))
        {
            return Ok(Operator { actor: ADMIN_ROLE.to_owned() });
        }
        let tokens = self.tokens.as_ref().ok_or_else(unauthenticated)?;
        let claims = tokens.claims(token).await?;
        if claims.get("role").and_then(Value::as_str) != Some(ADMIN_ROLE) {
            return Err(Problem::new(Code::A002));
        }
        let actor = tokens.shopper(&claims)?.to_string();
        Ok(Operator { actor })
    }

    /// Whether everybody is believed, so that only programs on this machine may call.
    pub fn is_off(&self) -> bool {
        self.tokens.is_none()
    }
}

impl Caller {
    /// The shopper in whose name the caller acts, when `sent` was named in the request.
    ///
    /// # Errors
    /// A002 when the token names somebody else; V001 when nobody is named at all.
    pub fn acts_for(&self, sent: Option<UserId>) -> Result<UserId, Problem> {
        match (self, sent) {
            (Caller::Shopper(user), None) => Ok(user.clone()),
            (Caller::Shopper(user), Some(sent)) if *user == sent => Ok(sent),
            (Caller::Shopper(_), Some(_)) => Err(Problem::new(Code::A002)),
            (Caller::Anyone, Some(sent)) => Ok(sent),
            (Caller::Anyone, None) => Err(Problem::field("userId", "must be given")),
        }
    }

    /// Whether what belongs to `owner` may be shown. What cannot be read by anybody belongs to nobody.
    pub fn may_see(&self, owner: Option<&UserId>) -> bool {
        match self {
            Caller::Shopper(user) => owner == Some(user),
            Caller::Anyone => true,
        }
    }
}

/// The shopper in whose name a command is, and whether its caller may send it. Where not, the command will only be looked
/// at, in whoever's name: what is wrong with its shape is told to anybody.
pub fn in_whose_name(caller: Result<Caller, Problem>, sent: Option<UserId>) -> (UserId, Result<Caller, Problem>) {
    let identified = caller.and_then(|caller| Ok((caller.acts_for(sent.clone())?, caller)));
    match identified {
        Ok((user_id, caller)) => (user_id, Ok(caller)),
        Err(problem) => (sent.unwrap_or_else(nobody), Err(problem)),
    }
}

/// What a token and a set of keys of anybody come to; see [`crate::fuzzing`].
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing {
    use super::published_keys::keys_of;
    use super::tokens::Tokens;
    use futures::FutureExt;
    use jsonwebtoken::Algorithm;
    use runtime::config::{JwtKey, JwtRules, Secret};

    /// Whether a shop with a secret that nobody knows believes the token.
    pub fn is_believed(token: &str) -> bool {
        let key = JwtKey::Secret(Secret::from("a secret of which no token was ever made".to_owned()));
        let rules = JwtRules { key, issuer: None, audience: None, user_claim: "sub".to_owned() };
        let tokens = Tokens::new(rules).expect("a secret needs nobody to be asked");
        let claims = tokens.claims(token).now_or_never().expect("nobody is waited for");
        claims.and_then(|claims| tokens.shopper(&claims)).is_ok()
    }

    /// Whether these are keys, and one of them would check a signature that is made with a shared secret.
    pub fn has_shared_key(set: &[u8]) -> Option<bool> {
        let keys = keys_of(set).ok()?;
        Some(keys.values().any(|key| key.is_for(Algorithm::HS256)))
    }
}

fn nobody() -> UserId {
    "nobody".parse().expect("letters are an id")
}

fn unauthenticated() -> Problem {
    Problem::new(Code::A001)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// An operator, told by token or role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Who it is in the audit log: `admin` for the shared token, else the user that the token names.
    pub actor: String,
}

impl FromRequestParts<AppState> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        state.auth.operator(&parts.headers).await
    }
}

/// Whether a request was made on this machine, for this machine: no proxy passed it on, and it was not sent here by a
/// web page that gave our address a name of its own. Demanded when whoever is named is believed.
pub fn is_local(headers: &HeaderMap, uri: &Uri) -> bool {
    let came_through_proxy = headers.contains_key(FORWARDED)
        || headers.contains_key(VIA)
        || headers.keys().any(|name| name.as_str().starts_with("x-forwarded-"));
    let mut hosts = headers.get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default());
    let named_locally = match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_loopback(host),
        _ => false,
    };
    !came_through_proxy && named_locally && uri.host().is_none_or(is_loopback)
}

fn is_loopback(host: &str) -> bool {
    // `[::1]:8080`, `127.0.0.1:8080`, `localhost`
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    #[test]
    fn only_local_requests_are_believed() {
        let rows: [(&[(&str, &str)], bool); 14] = [
            (&[("host", "localhost")], true),
            (&[("host", "LOCALHOST:8080")], true),
            (&[("host", "127.0.0.1:8080")], true),
            (&[("host", "[::1]:8080")], true),
            (&[], false),
            (&[("host", "")], false),
            (&[("host", "shop.example")], false),
            (&[("host", "localhost.shop.example")], false),
            (&[("host", "127.0.0.1.shop.example")], false),
            (&[("host", "10.0.0.1")], false),
            (&[("host", "localhost"), ("host", "shop.example")], false),
            (&[("host", "localhost"), ("forwarded", "for=1.2.3.4")], false),
            (&[("host", "localhost"), ("x-forwarded-for", "1.2.3.4")], false),
            (&[("host", "localhost"), ("x-forwarded-proto", "https")], false),
        ];
        for (headers, meant) in rows {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            assert_eq!(is_local(&map, &Uri::from_static("/api/orders")), meant, "{headers:?}");
        }
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("localhost"))]);
        assert!(!is_local(&headers, &Uri::from_static("http://shop.example/api/orders")));
    }

    #[test]
    fn a_caller_acts_for_themselves() {
        let user = |id: &str| id.parse::<UserId>().unwrap();
        let shopper = Caller::Shopper(user("user1"));
        assert_eq!(shopper.acts_for(None).unwrap(), user("user1"));
        assert_eq!(shopper.acts_for(Some(user("user1"))).unwrap(), user("user1"));
        assert_eq!(shopper.acts_for(Some(user("user2"))).unwrap_err().code(), Code::A002);
        assert_eq!(Caller::Anyone.acts_for(Some(user("user2"))).unwrap(), user("user2"));
        assert_eq!(Caller::Anyone.acts_for(None).unwrap_err().code(), Code::V001);
        assert!(shopper.may_see(Some(&user("user1"))));
        assert!(!shopper.may_see(Some(&user("user2"))));
        assert!(!shopper.may_see(None));
        assert!(Caller::Anyone.may_see(None));
    }
}
