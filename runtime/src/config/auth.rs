//! Who may do what: the arguments, and the rules they must keep together.

use super::{Secret, check_target};
use axum::http::Uri;
use clap::{Args, ValueEnum};
use std::net::SocketAddr;

/// HS256 is only as strong as its key; RFC 7518 asks for at least the size of the hash.
const JWT_SECRET_MIN_BYTES: usize = 32;

/// How callers are told apart.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Authentication")]
pub struct AuthArgs {
    /// How shoppers are told apart
    #[arg(long, env = "AUTH_MODE", value_enum, default_value_t = AuthMode::Jwt)]
    pub auth_mode: AuthMode,

    /// The key of tokens signed with HS256
    #[arg(long, env = "JWT_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub jwt_secret: Option<Secret>,

    /// Where the public keys of tokens are published, instead of JWT_SECRET
    #[arg(long, env = "JWT_JWKS_URL", value_name = "URL")]
    pub jwt_jwks_url: Option<String>,

    /// The issuer that tokens must name
    #[arg(long, env = "JWT_ISSUER", value_name = "ISSUER")]
    pub jwt_issuer: Option<String>,

    /// The audience that tokens must name
    #[arg(long, env = "JWT_AUDIENCE", value_name = "AUDIENCE")]
    pub jwt_audience: Option<String>,

    /// The claim that holds the user's id
    #[arg(long, env = "JWT_USER_CLAIM", value_name = "CLAIM", default_value = "sub")]
    pub jwt_user_claim: String,

    /// The operator's bearer token; without it only a token with the role admin opens the admin endpoints
    #[arg(long, env = "ADMIN_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub admin_token: Option<Secret>,

    /// Where everybody gets a token, so that the storefront lets them choose who to be; for development only
    #[arg(long, env = "DEMO_TOKENS_URL", value_name = "URL")]
    pub demo_tokens_url: Option<String>,
}

/// How shoppers are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuthMode {
    /// By a signed token
    Jwt,
    /// Not at all: the userId that is sent is believed; only for a loopback API_ADDR
    Off,
}

/// How shoppers are told apart, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// By a signed token that keeps these rules.
    Jwt(JwtRules),
    /// Not at all.
    Off,
}

/// What a token must look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtRules {
    /// What its signature is checked with.
    pub key: JwtKey,
    /// The issuer it must name, if one is demanded.
    pub issuer: Option<String>,
    /// The audience it must name, if one is demanded.
    pub audience: Option<String>,
    /// The claim that holds the user's id.
    pub user_claim: String,
}

/// What a token's signature is checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwtKey {
    /// A shared secret (HS256).
    Secret(Secret),
    /// Public keys, published here.
    Jwks(Uri),
}

/// The operator's bearer token, never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminToken(pub Secret);

/// Why the authentication cannot work as configured.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AuthConfigError {
    /// Nothing to check tokens with.
    #[error("AUTH_MODE=jwt needs JWT_SECRET, the key of tokens signed with HS256")]
    NoKey,
    /// RFC 7518, section 3.2: a key of HS256 is at least as long as its hash.
    #[error("JWT_SECRET is shorter than {JWT_SECRET_MIN_BYTES} bytes, which makes its tokens guessable")]
    ShortSecret,
    /// With two keys, a public one could be abused as the shared one.
    #[error("JWT_SECRET and JWT_JWKS_URL are both given; keep one of them")]
    TwoKeys,
    /// Keys fetched over an open network could be anybody's.
    #[error("JWT_JWKS_URL: {0}")]
    JwksAddress(String),
    /// Anybody on the network could be any shopper.
    #[error("AUTH_MODE=off believes every userId, so it is refused unless API_ADDR is a loopback address; it is {0}")]
    OffInPublic(SocketAddr),
    /// A token without a name for its user.
    #[error("JWT_USER_CLAIM is empty")]
    NoUserClaim,
}

impl AuthArgs {
    /// Checks the rules that hold between the variables. Empty values count as not given; `allow_private_http` lets keys
    /// be published by plain HTTP, where the network in between is ours.
    ///
    /// # Errors
    /// See [`AuthConfigError`].
    pub fn checked(&self, api_addr: SocketAddr, allow_private_http: bool) -> Result<Auth, AuthConfigError> {
        if self.auth_mode == AuthMode::Off {
            return if api_addr.ip().to_canonical().is_loopback() {
                Ok(Auth::Off)
            } else {
                Err(AuthConfigError::OffInPublic(api_addr))
            };
        }
        let key = match (given(self.jwt_secret.as_ref()), given_text(self.jwt_jwks_url.as_ref())) {
            (None, None) => return Err(AuthConfigError::NoKey),
            (Some(_), Some(_)) => return Err(AuthConfigError::TwoKeys),
            (Some(secret), None) => {
                if secret.expose().len() < JWT_SECRET_MIN_BYTES {
                    return Err(AuthConfigError::ShortSecret);
                }
                JwtKey::Secret(secret)
            }
            (None, Some(url)) => JwtKey::Jwks(jwks_address(&url, allow_private_http)?),
        };
        if self.jwt_user_claim.trim().is_empty() {
            return Err(AuthConfigError::NoUserClaim);
        }
        Ok(Auth::Jwt(JwtRules {
            key,
            issuer: given_text(self.jwt_issuer.as_ref()),
            audience: given_text(self.jwt_audience.as_ref()),
            user_claim: self.jwt_user_claim.clone(),
        }))
    }

    /// The operator's token, if there is one. An empty variable is none, and never opens anything.
    pub fn admin_token(&self) -> Option<AdminToken> {
        given(self.admin_token.as_ref()).map(AdminToken)
    }

    /// Where everybody gets a token, if there is such a place. An empty variable is none.
    pub fn demo_tokens_url(&self) -> Option<String> {
        given_text(self.demo_tokens_url.as_ref())
    }
}

fn given(secret: Option<&Secret>) -> Option<Secret> {
    secret.filter(|secret| !secret.expose().trim().is_empty()).cloned()
}

fn given_text(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty()).cloned()
}

fn jwks_address(url: &str, allow_private_http: bool) -> Result<Uri, AuthConfigError> {
    let address: Uri =
        url.parse().map_err(|error| AuthConfigError::JwksAddress(format!("it is no address: {error}")))?;
    check_target(address.scheme_str().unwrap_or_default(), address.host(), allow_private_http)
        .map_err(AuthConfigError::JwksAddress)?;
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        auth: AuthArgs,
        #[command(flatten)]
        targets: crate::config::TargetArgs,
    }

    const LONG: &str = "0123456789abcdef0123456789abcdef";
    const JWKS: &str = "https://id.example/keys";

    fn checked(api_addr: &str, flags: &[&str]) -> Result<Auth, AuthConfigError> {
        let only = Only::parse_from(["test"].iter().chain(flags));
        only.auth.checked(api_addr.parse().expect("an address"), only.targets.allow_private_http_targets)
    }

    fn check(api_addr: &str, flags: &[&str], expected: &str) {
        let found = match checked(api_addr, flags) {
            Ok(Auth::Off) => "off".to_owned(),
            Ok(Auth::Jwt(rules)) => match rules.key {
                JwtKey::Secret(_) => "secret".to_owned(),
                JwtKey::Jwks(_) => "jwks".to_owned(),
            },
            Err(AuthConfigError::JwksAddress(_)) => "JwksAddress".to_owned(),
            Err(refused) => format!("{refused:?}"),
        };
        assert_eq!(found, expected, "{api_addr} {flags:?}");
    }

    #[test]
    fn which_combinations_are_accepted() {
        let home = "127.0.0.1:8080";
        check(home, &[], "NoKey");
        check(home, &["--jwt-secret", ""], "NoKey");
        check(home, &["--jwt-secret", &LONG[1..]], "ShortSecret");
        check(home, &["--jwt-secret", LONG], "secret");
        check(home, &["--jwt-secret", LONG, "--jwt-jwks-url", ""], "secret");
        check(home, &["--jwt-jwks-url", JWKS], "jwks");
        check(home, &["--jwt-secret", LONG, "--jwt-jwks-url", JWKS], "TwoKeys");
        check(home, &["--jwt-jwks-url", "http://id.example/keys"], "JwksAddress");
        let in_house = ["--jwt-jwks-url", "http://id.example/keys", "--allow-private-http-targets", "true"];
        check(home, &in_house, "jwks");
        check(home, &["--jwt-jwks-url", "http://127.0.0.1:9/keys"], "jwks");
        check(home, &["--jwt-jwks-url", "http://[::1]:9/keys"], "jwks");
        check(home, &["--jwt-jwks-url", "http://localhost/keys"], "jwks");
        check(home, &["--jwt-jwks-url", "http://localhost.example/keys"], "JwksAddress");
        check(home, &["--jwt-jwks-url", "keys"], "JwksAddress");
        check(home, &["--jwt-secret", LONG, "--jwt-user-claim", ""], "NoUserClaim");
        check(home, &["--auth-mode", "off"], "off");
        check("[::1]:80", &["--auth-mode", "off"], "off");
        check("[::ffff:127.0.0.1]:80", &["--auth-mode", "off"], "off");
        check("0.0.0.0:80", &["--auth-mode", "off"], "OffInPublic(0.0.0.0:80)");
        check("[::]:80", &["--auth-mode", "off"], "OffInPublic([::]:80)");
        check("10.1.2.3:80", &["--auth-mode", "off"], "OffInPublic(10.1.2.3:80)");
    }

    #[test]
    fn an_empty_admin_token_is_none() {
        let of = |flags: &[&str]| {
            let only = Only::parse_from(["test"].iter().chain(flags));
            only.auth.admin_token().map(|token| token.0.expose().to_owned())
        };
        assert_eq!(of(&["--admin-token", ""]), None);
        assert_eq!(of(&["--admin-token", " "]), None);
        assert_eq!(of(&["--admin-token", "t"]), Some("t".to_owned()));
    }

    #[test]
    fn empty_demands_on_a_token_are_none() {
        let flags = ["--jwt-secret", LONG, "--jwt-issuer", "", "--jwt-audience", "shop"];
        let Ok(Auth::Jwt(rules)) = checked("127.0.0.1:1", &flags) else {
            panic!("must be accepted");
        };
        assert_eq!((rules.issuer, rules.audience), (None, Some("shop".to_owned())));
        assert_eq!(rules.user_claim, "sub");
    }
}
