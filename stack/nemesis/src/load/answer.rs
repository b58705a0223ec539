//! What an answer means to a shopper.

use std::time::Duration;

use reqwest::{Response, Result as Answered, StatusCode};
use serde_json::Value;
use uuid::Uuid;

/// The pause before somebody sends again who was told nothing else.
pub(super) const PAUSE: Duration = Duration::from_millis(200);

/// Longer nobody waits who is told to come again, so that there is always somebody.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What the answer to a command was.
pub(super) enum Sent {
    /// A 202 with its ticket.
    Accepted(Uuid, u64),
    /// The outcome of a charge at once, and the request where it was named.
    Ended(Option<Uuid>, String),
    /// No before the line.
    Refused(String),
    /// Nothing that ends it.
    Again(Duration),
    /// What nobody promised.
    Surprise(String),
}

/// An answer that came whole.
#[derive(Debug)]
pub struct Heard {
    status: StatusCode,
    /// In seconds.
    retry_after: Option<u64>,
    /// The request that its `Location` names.
    request: Option<Uuid>,
    body: Value,
}

/// Reads an answer.
///
/// # Errors
/// When the connection broke before it was whole.
pub async fn hear(answer: Answered<Response>) -> Answered<Heard> {
    let answer = answer?;
    let status = answer.status();
    let header = |name: &str| answer.headers().get(name)?.to_str().ok();
    let retry_after = header("retry-after").and_then(|value| value.parse().ok());
    let request = header("location").and_then(|value| value.rsplit('/').next()?.parse().ok());
    let body = answer.bytes().await?;
    let body = serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
    Ok(Heard { status, retry_after, request, body })
}

/// Who is to come again is told when.
fn is_for_now(Heard { status, retry_after, .. }: &Heard) -> Option<Duration> {
    let is_for_now = matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    retry_after.filter(|_| is_for_now).map(Duration::from_secs)
}

pub(super) fn understand(heard: Heard) -> Sent {
    if let Some(pause) = is_for_now(&heard) {
        return Sent::Again(pause.clamp(PAUSE, PAUSE_MAX));
    }
    let Heard { status, request, body, .. } = heard;
    let code = body["code"].as_str().unwrap_or_default().to_owned();
    let id = |name: &str| body[name].as_str().and_then(|id| id.parse().ok());
    match status {
        StatusCode::OK if body["chargeId"].is_string() => Sent::Ended(id("chargeId"), "SUCCEEDED".to_owned()),
        StatusCode::PAYMENT_REQUIRED if code == "PAY002" => Sent::Ended(request, code),
        StatusCode::ACCEPTED | StatusCode::OK | StatusCode::CREATED if body["requestId"].is_string() => {
            match (id("requestId"), body["ticket"].as_u64()) {
                (Some(id), Some(ticket)) => Sent::Accepted(id, ticket),
                _ => Sent::Surprise(format!("{status} {body}")),
            }
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

/// Whether the document says that the request has no outcome yet.
pub(super) fn waits(Heard { status, body, .. }: &Heard) -> bool {
    *status == StatusCode::OK && matches!(body["status"].as_str(), Some("QUEUED" | "PROCESSING"))
}

/// The document of a request that has ended; none while it has not, or nobody can say.
///
/// # Errors
/// What was answered instead. Nobody may be told that an accepted request is unknown.
pub fn document(heard: Heard) -> Result<Option<Document>, String> {
    if is_for_now(&heard).is_some() {
        return Ok(None);
    }
    if waits(&heard) {
        return Ok(None);
    }
    let Heard { status, body, .. } = heard;
    let ended = |outcome: &str| Ok(Some(Document { ticket: body["ticket"].as_u64(), outcome: outcome.to_owned() }));
    match (status, body["status"].as_str()) {
        (StatusCode::OK, Some("SUCCEEDED")) => ended("SUCCEEDED"),
        (StatusCode::OK, Some("FAILED")) => ended(body["error"]["code"].as_str().unwrap_or("a refusal without a code")),
        _ => Err(format!("{status} {body}")),
    }
}
