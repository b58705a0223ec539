//! Whether a claim was made by a person, as a verifier says whom the shop's operators chose: reCAPTCHA, hCaptcha, Turnstile, or
//! whoever speaks as they do (`siteverify`). Nobody is let in because the verifier cannot be asked.

use anyhow::{Context, anyhow, bail, ensure};
use reqwest::redirect::Policy;
use reqwest::{Client as HttpClient, Url};
use runtime::config::{HumanArgs, Secret, check_target};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::client::Client;
use crate::extract::Object;
use crate::limits::{HUMAN_ANSWER_MAX_BYTES, HUMAN_CHECK, HUMAN_CHECKS_MAX_IN_FLIGHT, HUMAN_TOKEN_MAX_CHARS};

/// A verifier.
#[derive(Debug)]
pub struct HumanCheck {
    url: Url,
    secret: Secret,
    http: HttpClient,
    places: Semaphore,
}

/// What a verifier answers.
#[derive(Debug, Deserialize)]
struct Answer {
    success: bool,
    #[serde(default, rename = "error-codes")]
    error_codes: Vec<String>,
}

/// What a verifier says when not the token is wrong, but our question.
const OURS: [&str; 6] = [
    "missing-input-secret",
    "invalid-input-secret",
    "invalid-keys",
    "sitekey-secret-mismatch",
    "bad-request",
    "internal-error",
];

impl HumanCheck {
    /// The verifier as it is configured, if there is one; nothing is asked yet.
    ///
    /// # Errors
    /// A sentence that names the variable when it cannot work.
    pub fn new(args: &HumanArgs, allow_private_http: bool) -> anyhow::Result<Option<HumanCheck>> {
        let Some((url, secret)) = args.checked()? else {
            return Ok(None);
        };
        let url = Url::parse(&url).context("HUMAN_CHECK_URL")?;
        let checked = check_target(url.scheme(), url.host_str(), allow_private_http);
        checked.map_err(|why| anyhow!("HUMAN_CHECK_URL: {why}"))?;
        let http = HttpClient::builder().timeout(HUMAN_CHECK).redirect(Policy::none()).build();
        let http = http.context("making an HTTP client for proofs of being human")?;
        Ok(Some(HumanCheck { url, secret, http, places: Semaphore::new(HUMAN_CHECKS_MAX_IN_FLIGHT) }))
    }

    /// Whether the token proves that a person sent it from there. It is used up by the question.
    ///
    /// # Errors
    /// When the verifier does not answer in time, or nothing that says so.
    pub async fn is_human(&self, token: &str, client: Client) -> anyhow::Result<bool> {
        if !(1..=HUMAN_TOKEN_MAX_CHARS).contains(&token.len()) {
            return Ok(false);
        }
        let asking = async {
            let _place = self.places.acquire().await.context("the verifier is not asked any more")?;
            self.ask(token, client).await
        };
        // The address of a verifier may hold a key, so it is not told.
        let answer = tokio::time::timeout(HUMAN_CHECK, asking).await;
        answer.context("the verifier of HUMAN_CHECK_URL did not answer in time")?.context("asking HUMAN_CHECK_URL")
    }

    async fn ask(&self, token: &str, client: Client) -> anyhow::Result<bool> {
        let address = client.0.to_string();
        let form = [("secret", self.secret.expose()), ("response", token), ("remoteip", &address)];
        let sent = self.http.post(self.url.clone()).form(&form).send().await;
        let mut answer = sent.map_err(reqwest::Error::without_url)?;
        ensure!(answer.status().is_success(), "it answered {}", answer.status().as_u16());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
            body.extend_from_slice(&chunk);
            ensure!(body.len() <= HUMAN_ANSWER_MAX_BYTES, "it answered more than {HUMAN_ANSWER_MAX_BYTES} bytes");
        }
        verdict(&body)
    }
}

/// Whether the answer of a verifier says that it was a person.
///
/// # Errors
/// When it says neither yes nor no.
pub fn verdict(body: &[u8]) -> anyhow::Result<bool> {
    // What it answered is not repeated: it may be anything.
    let Object(answer): Object<Answer> =
        serde_json::from_slice(body).map_err(|_| anyhow!("its answer cannot be read"))?;
    if !answer.success
        && let Some(code) = OURS.iter().find(|code| answer.error_codes.iter().any(|said| said == *code))
    {
        bail!("it says {code}");
    }
    Ok(answer.success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_answer_counts() {
        let rows = [
            (r#"{"success":true}"#, Some(true)),
            (r#"{"success":true,"challenge_ts":"2026-11-27T01:00:00Z","hostname":"shop.example"}"#, Some(true)),
            (r#"{"success":false}"#, Some(false)),
            (r#"{"success":false,"error-codes":["timeout-or-duplicate"]}"#, Some(false)),
            (r#"{"success":false,"error-codes":["invalid-input-response"]}"#, Some(false)),
            (r#"{"success":false,"error-codes":["invalid-input-secret"]}"#, None),
            (r#"{"success":false,"error-codes":["timeout-or-duplicate","internal-error"]}"#, None),
            (r#"{"success":"true"}"#, None),
            (r#"{"success":1}"#, None),
            (r#"{"success":null}"#, None),
            (r#"{"success":true,"success":false}"#, None),
            (r#"{"success":true} {"success":false}"#, None),
            ("{}", None),
            ("[true]", None),
            ("true", None),
            ("", None),
            ("<html>", None),
        ];
        for (body, meant) in rows {
            assert_eq!(verdict(body.as_bytes()).ok(), meant, "{body}");
        }
    }

    #[test]
    fn where_a_verifier_may_be() {
        let of = |url: &str| {
            let human_check_secret = Some(Secret::from("key".to_owned()));
            HumanCheck::new(&HumanArgs { human_check_url: Some(url.to_owned()), human_check_secret }, false)
        };
        for url in ["https://human.example/siteverify", "http://127.0.0.1:9/siteverify"] {
            assert!(of(url).is_ok_and(|check| check.is_some()), "{url}");
        }
        for url in ["http://human.example/siteverify", "ftp://127.0.0.1/", "siteverify"] {
            let refused = format!("{:#}", of(url).expect_err(url));
            assert!(refused.contains("HUMAN_CHECK_URL"), "{refused}");
        }
    }
}
