//! What an answer means to a shopper.

use std::time::Duration;

use reqwest::{Response, Result as Answered, StatusCode};
use serde_json::Value;
use uuid::Uuid;

/// The pause before somebody sends again who was told nothing else.
pub(super) const PAUSE: Duration = Duration::from_millis(200);

/// What the answer to a command was.
pub(super) enum Sent {
    /// A 202 with its ticket.
    Accepted(Uuid, u64),
    /// The outcome of a charge at once, and the charge where it was named.
    Ended(Option<Uuid>, String),
    /// No before the line.
    Refused(String),
    /// Nothing that ends it.
    Again(Duration),
    /// What nobody promised.
    Surprise(String),
}

pub(super) async fn understand(answer: Answered<Response>) -> Sent {
    let Ok(answer) = answer else {
        return Sent::Again(PAUSE);
    };
    let status = answer.status();
    let retry_after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let Ok(body) = answer.json::<Value>().await else {
        return Sent::Again(PAUSE);
    };
    let code = body["code"].as_str().unwrap_or_default().to_owned();
    let id = |name: &str| body[name].as_str().and_then(|id| id.parse().ok());
    match status {
        StatusCode::OK if body["chargeId"].is_string() => Sent::Ended(id("chargeId"), "SUCCEEDED".to_owned()),
        StatusCode::PAYMENT_REQUIRED if code == "PAY002" => Sent::Ended(id("requestId"), code),
        StatusCode::ACCEPTED | StatusCode::OK | StatusCode::CREATED if body["requestId"].is_string() => {
            match (id("requestId"), body["ticket"].as_u64()) {
                (Some(id), Some(ticket)) => Sent::Accepted(id, ticket),
                _ => Sent::Surprise(format!("{status} {body}")),
            }
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Sent::Again(retry_after.map_or(PAUSE, |seconds: u64| Duration::from_secs(seconds.min(1)).max(PAUSE)))
        }
        StatusCode::CONFLICT | StatusCode::GONE | StatusCode::UNPROCESSABLE_ENTITY if code.starts_with('C') => {
            Sent::Refused(code)
        }
        status => Sent::Surprise(format!("{status} {body}")),
    }
}

/// What a request's document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its ticket.
    pub ticket: Option<u64>,
    /// `SUCCEEDED`, or a code.
    pub outcome: String,
}

/// The document of a request that has ended; none while it has not, or nobody answers.
///
/// # Errors
/// What was answered instead. Nobody may be told that an accepted request is unknown.
pub async fn document(answer: Answered<Response>) -> Result<Option<Document>, String> {
    let Ok(answer) = answer else {
        return Ok(None);
    };
    let status = answer.status();
    let Ok(body) = answer.json::<Value>().await else {
        return Ok(None);
    };
    let ended = |outcome: &str| Ok(Some(Document { ticket: body["ticket"].as_u64(), outcome: outcome.to_owned() }));
    match (status, body["status"].as_str()) {
        (StatusCode::OK, Some("SUCCEEDED")) => ended("SUCCEEDED"),
        (StatusCode::OK, Some("FAILED")) => ended(body["error"]["code"].as_str().unwrap_or("a refusal without a code")),
        (StatusCode::OK, Some("QUEUED" | "PROCESSING")) | (StatusCode::SERVICE_UNAVAILABLE, _) => Ok(None),
        _ => Err(format!("{status} {body}")),
    }
}
