//! What the tests share.

use std::time::Duration;

use reqwest::{Client, Response};
use sandbox::{Arrived, Options, Sandbox};
use serde_json::Value;
use stack::wait_for_async;

/// For whatever should happen at once, on a machine that is busy with other tests.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// An outside world, and a client that talks to it.
pub struct Kit {
    pub sandbox: Sandbox,
    pub http: Client,
}

/// A status, whether the answer is an old one, and the body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub is_replayed: bool,
    pub body: Value,
}

impl Kit {
    pub async fn start() -> Kit {
        Kit::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Kit {
        Kit { sandbox: Sandbox::start(options).await.unwrap(), http: Client::new() }
    }

    pub fn url(&self, path: &str) -> String {
        self.sandbox.url() + path
    }

    pub async fn get(&self, path: &str) -> Answer {
        answer(self.http.get(self.url(path)).send().await.unwrap()).await
    }

    /// A payment as the shop's workers send it.
    pub fn payment(&self, key: &str, amount: u32, method: &str) -> reqwest::RequestBuilder {
        self.payment_of(&self.http, key, amount, method)
    }

    /// The same from another client.
    pub fn payment_of(&self, http: &Client, key: &str, amount: u32, method: &str) -> reqwest::RequestBuilder {
        let form = format!(
            "amount={amount}&currency=krw&confirm=true&payment_method={method}&payment_method_types[]=card\
             &metadata[chargeId]={key}"
        );
        let post = http.post(self.url("/v1/payment_intents")).bearer_auth("sk_test");
        post.header("idempotency-key", key).header("content-type", "application/x-www-form-urlencoded").body(form)
    }

    pub async fn pay(&self, key: &str, amount: u32, method: &str) -> Answer {
        answer(self.payment(key, amount, method).send().await.unwrap()).await
    }

    pub async fn wait_until(&self, what: &str, holds: impl Fn(&Arrived) -> bool) -> Arrived {
        wait_for_async(what, DEADLINE, || async { Some(self.sandbox.arrived()).filter(&holds) }).await
    }

    /// How often the card was charged under this key.
    pub fn taken(&self, key: &str) -> usize {
        let ledger = self.sandbox.arrived().ledger;
        ledger.iter().filter(|taken| taken.idempotency_key.as_deref() == Some(key)).count()
    }
}

pub async fn answer(response: Response) -> Answer {
    Answer {
        status: response.status().as_u16(),
        is_replayed: response.headers().get("idempotent-replayed").is_some_and(|value| value == "true"),
        body: response.json().await.unwrap_or_default(),
    }
}
