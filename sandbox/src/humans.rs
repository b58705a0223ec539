//! Whoever says whether somebody is a person, in the words that reCAPTCHA, hCaptcha and Turnstile share.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use chrono::Utc;
use serde_json::{Value, json};

use crate::arrived::HumanCheck;
use crate::bounded::Memory;
use crate::faults::{Mode, Target};
use crate::limits::KEYS_MAX;
use crate::odd;
use crate::world::World;

/// How tokens of persons begin.
const GOOD: &str = "human";

/// The tokens that were used.
#[derive(Debug)]
pub(crate) struct Humans(Mutex<Memory<()>>);

impl Default for Humans {
    fn default() -> Humans {
        Humans(Mutex::new(Memory::new(KEYS_MAX)))
    }
}

impl Humans {
    /// What is wrong, as a code; nothing: this was a person. A good token is good once.
    fn judge(&self, secret: &str, token: &str) -> Result<(), &'static str> {
        if secret.is_empty() {
            return Err("missing-input-secret");
        }
        if token.is_empty() {
            return Err("missing-input-response");
        }
        if !token.starts_with(GOOD) {
            return Err("invalid-input-response");
        }
        // A token is put in whole, so a poisoned lock holds good data.
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if used.get(token).is_some() {
            return Err("timeout-or-duplicate");
        }
        used.insert(token, ());
        Ok(())
    }
}

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().route("/siteverify", post(verify))
}

async fn verify(State(world): State<Arc<World>>, body: Bytes) -> Response {
    let form: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    let value = |name: &str| {
        let found = form.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let (token, remote_ip) = (value("response"), value("remoteip"));
    let came = HumanCheck { at: Utc::now(), token: token.clone(), remote_ip, success: None, answer: None };
    let number = world.desk.lists().humans.push(came);
    let judged = || world.humans.judge(&value("secret"), &token);
    let mode = world.switches.bite(Target::Humans);
    if let Some(odd) = odd::answer(&world, mode) {
        return odd;
    }
    let (status, success, told) = match mode {
        Mode::Fail { status } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, None, json!({}))
        }
        Mode::Hang => pending().await,
        Mode::Slow { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            told(judged())
        }
        // Nobody can set the others: there is no money here.
        _ => told(judged()),
    };
    if let Some(came) = world.desk.lists().humans.get_mut(number) {
        (came.success, came.answer) = (success, Some(status.as_u16()));
    }
    let answer = (status, odd::retry_after(status), Json(told)).into_response();
    if mode == Mode::Drip { odd::drip(answer).await } else { answer }
}

/// The answer: whatever is said of a token, the question was answered.
fn told(judged: Result<(), &'static str>) -> (StatusCode, Option<bool>, Value) {
    let told = match judged {
        Ok(()) => json!({"success": true, "challenge_ts": Utc::now(), "hostname": "localhost"}),
        Err(code) => json!({"success": false, "error-codes": [code]}),
    };
    (StatusCode::OK, Some(judged.is_ok()), told)
}
