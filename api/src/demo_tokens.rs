//! Tokens for a demo: whoever asks for one gets it, so that the storefront lets everybody choose who to be. A browser loads
//! nothing from elsewhere, so the door fetches them.

use anyhow::{Context, anyhow, ensure};
use common::UserId;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use runtime::config::check_target;
use serde::Deserialize;
use serde_json::json;

use crate::limits::{DEMO_TOKEN_FETCH, DEMO_TOKEN_MAX_BYTES};

/// An issuer that gives a token to everybody.
pub struct DemoTokens {
    url: Url,
    client: Client,
}

#[derive(Deserialize)]
struct Answer {
    token: String,
}

impl DemoTokens {
    /// The issuer at this address; nothing is asked yet.
    ///
    /// # Errors
    /// When it is no address of HTTP, or one that [`check_target`] refuses.
    pub fn new(url: &str, allow_private_http: bool) -> anyhow::Result<DemoTokens> {
        let url = Url::parse(url).context("DEMO_TOKENS_URL")?;
        let checked = check_target(url.scheme(), url.host_str(), allow_private_http);
        checked.map_err(|why| anyhow!("DEMO_TOKENS_URL: {why}"))?;
        let client = Client::builder().timeout(DEMO_TOKEN_FETCH).redirect(Policy::none()).build();
        let client = client.context("making an HTTP client for demo tokens")?;
        Ok(DemoTokens { url, client })
    }

    /// A token of this shopper, without any role.
    ///
    /// # Errors
    /// When the issuer does not answer in time, or with something else.
    pub async fn of(&self, user_id: &UserId) -> anyhow::Result<String> {
        self.fetch(user_id).await.with_context(|| format!("fetching a demo token from {}", self.url))
    }

    async fn fetch(&self, user_id: &UserId) -> anyhow::Result<String> {
        let wish = json!({"userId": user_id});
        let mut answer = self.client.post(self.url.clone()).json(&wish).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            body.extend_from_slice(&chunk);
            ensure!(body.len() <= DEMO_TOKEN_MAX_BYTES, "it is longer than {DEMO_TOKEN_MAX_BYTES} bytes");
        }
        let answer: Answer = serde_json::from_slice(&body).context("the answer holds no token")?;
        Ok(answer.token)
    }
}
