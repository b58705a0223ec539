//! Who says whether a claim was made by a person.

use clap::Args;

use super::Secret;

/// The verifier of proofs of being human.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Proof of being human")]
pub struct HumanArgs {
    /// Where tokens of claims are checked, in the words that reCAPTCHA, hCaptcha and Turnstile share; for coupons that demand it
    #[arg(long, env = "HUMAN_CHECK_URL", value_name = "URL")]
    pub human_check_url: Option<String>,

    /// The secret that the verifier knows the shop by
    #[arg(long, env = "HUMAN_CHECK_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub human_check_secret: Option<Secret>,
}

/// Why nobody can be asked as configured.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HumanConfigError {
    /// A verifier that knows nobody without it.
    #[error("HUMAN_CHECK_URL needs HUMAN_CHECK_SECRET, the secret that the verifier knows the shop by")]
    NoSecret,
    /// A secret for nobody.
    #[error("HUMAN_CHECK_SECRET is given, and HUMAN_CHECK_URL is not")]
    NoUrl,
}

impl HumanArgs {
    /// The address of the verifier and the secret, if there is one. Empty values count as not given.
    ///
    /// # Errors
    /// See [`HumanConfigError`].
    pub fn checked(&self) -> Result<Option<(String, Secret)>, HumanConfigError> {
        let url = self.human_check_url.clone().filter(|url| !url.trim().is_empty());
        let secret = self.human_check_secret.clone().filter(|secret| !secret.expose().trim().is_empty());
        match (url, secret) {
            (None, None) => Ok(None),
            (Some(url), Some(secret)) => Ok(Some((url, secret))),
            (Some(_), None) => Err(HumanConfigError::NoSecret),
            (None, Some(_)) => Err(HumanConfigError::NoUrl),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_given_or_neither() {
        let rows = [
            (None, None, Ok(false)),
            (Some(""), Some(" "), Ok(false)),
            (Some("https://human.example/siteverify"), Some("key"), Ok(true)),
            (Some("https://human.example/siteverify"), Some(""), Err(HumanConfigError::NoSecret)),
            (None, Some("key"), Err(HumanConfigError::NoUrl)),
        ];
        for (url, secret, meant) in rows {
            let args = HumanArgs {
                human_check_url: url.map(str::to_owned),
                human_check_secret: secret.map(|secret| Secret::from(secret.to_owned())),
            };
            assert_eq!(args.checked().map(|found| found.is_some()), meant, "{args:?}");
        }
    }
}
