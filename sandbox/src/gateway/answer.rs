//! What the gateway says, word for word as Stripe does where a client looks at it.

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use super::request::PaymentRequest;
use crate::odd::retry_after;

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A status and a body. A copy shares the body.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub status: u16,
    body: Bytes,
}

impl Answer {
    fn new(status: u16, body: &Value) -> Answer {
        Answer { status, body: body.to_string().into() }
    }

    /// The intent as it is now.
    pub fn intent(intent: &Value) -> Answer {
        Answer::new(200, intent)
    }

    /// The card was not charged. `reason` is Stripe's `decline_code`.
    pub fn declined(reason: &str, intent: &Value) -> Answer {
        let message = match reason {
            "insufficient_funds" => "Your card has insufficient funds.",
            _ => "Your card was declined.",
        };
        let error = json!({"type": "card_error", "code": "card_declined", "decline_code": reason,
                           "message": message, "payment_intent": intent});
        Answer::new(402, &json!({ "error": error }))
    }

    pub fn unauthenticated() -> Answer {
        let message =
            "You did not provide an API key: it belongs into the header 'Authorization: Bearer YOUR_SECRET_KEY'.";
        Answer::new(401, &json!({"error": {"type": "invalid_request_error", "message": message}}))
    }

    /// What was asked cannot be done; `parameter` is at fault.
    pub fn invalid(code: &str, parameter: &str, message: &str) -> Answer {
        let error = json!({"type": "invalid_request_error", "code": code, "param": parameter, "message": message});
        Answer::new(400, &json!({ "error": error }))
    }

    pub fn unknown_intent(id: &str) -> Answer {
        let message = format!("No such payment_intent: '{id}'");
        let error = json!({"type": "invalid_request_error", "code": "resource_missing", "param": "intent",
                           "message": message});
        Answer::new(404, &json!({ "error": error }))
    }

    pub fn key_of_other_parameters() -> Answer {
        let message =
            "Keys for idempotent requests can only be used with the same parameters they were first used with.";
        Answer::new(400, &json!({"error": {"type": "idempotency_error", "message": message}}))
    }

    pub fn bad_key(message: &str) -> Answer {
        Answer::new(400, &json!({"error": {"type": "idempotency_error", "message": message}}))
    }

    pub fn key_in_use() -> Answer {
        let message = "There is currently another in-progress request using this idempotency key.";
        let error = json!({"type": "invalid_request_error", "code": "idempotency_key_in_use", "message": message});
        Answer::new(409, &json!({ "error": error }))
    }

    /// The gateway itself failed, because it was told to.
    pub fn failure(status: u16) -> Answer {
        let message = "The sandbox was told to fail.";
        Answer::new(status, &json!({"error": {"type": "api_error", "message": message}}))
    }

    pub fn replayed(self) -> Response {
        let mut response = self.into_response();
        response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
        response
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, retry_after(status), [(CONTENT_TYPE, "application/json")], self.body).into_response()
    }
}

/// A new intent in this state.
pub(super) fn new_intent(request: &PaymentRequest, status: &str) -> Value {
    let id = format!("pi_{}", Uuid::now_v7().simple());
    let paid = status == "succeeded";
    json!({
        "client_secret": format!("{id}_secret_{}", Uuid::new_v4().simple()),
        "id": id,
        "object": "payment_intent",
        "amount": request.amount,
        "amount_received": if paid { request.amount } else { 0 },
        "capture_method": "automatic",
        "created": chrono::Utc::now().timestamp(),
        "currency": request.currency,
        "latest_charge": paid.then(|| format!("ch_{}", Uuid::now_v7().simple())),
        "livemode": false,
        "metadata": request.metadata,
        "payment_method": request.payment_method.as_ref().filter(|_| status != "requires_payment_method"),
        "payment_method_types": request.payment_method_types,
        "status": status,
    })
}
