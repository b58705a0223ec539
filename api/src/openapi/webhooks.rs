//! What the shop sends to others, as `webhooks` of the document.

use serde_json::{Value, json};

use super::example;

/// The webhooks. Their examples are put together from the schemas in `document`.
pub fn webhooks(document: &Value) -> Value {
    let body = |name: &str| {
        let schema = json!({"$ref": format!("#/components/schemas/{name}")});
        let example = example::of(&schema, document);
        json!({"required": true, "content": {"application/json": {"schema": schema, "example": example}}})
    };
    let header = |name: &str, description: &str, example: &str| {
        json!({
            "name": name, "in": "header", "required": true, "description": description,
            "schema": {"type": "string"}, "example": example,
        })
    };
    let responses = json!({
        "2XX": {"description": "Taken. It is not sent again, but may already be under way for a second time."},
        "default": {"description": "Not taken: also no answer in time, and a redirect, which is not followed."},
    });
    json!({
        "orderSync": {"post": {
            "tags": ["What the shop sends"],
            "operationId": "orderSync",
            "summary": "Every order, after its commit, to `ORDER_SYNC_URL`.",
            "description": "Signed by [Standard Webhooks](https://www.standardwebhooks.com) 1.0 with \
                            `ORDER_SYNC_SECRET`. What is not taken is sent again after 5, 15 and 45 minutes \
                            (`ORDER_SYNC_RETRY_DELAYS`); then it is on the operators' desk, and admins are alerted. \
                            It is sent at least once: expect the same `webhook-id` again.",
            "parameters": [
                header("webhook-id", "The order's id, the same at every attempt.", example::EXAMPLE_ID),
                header("webhook-timestamp", "When this attempt was made, in seconds since 1970.", "1795741200"),
                header(
                    "webhook-signature",
                    "`v1,` and the HMAC-SHA256, in base64, over `id.timestamp.body`.",
                    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
                ),
            ],
            "requestBody": body("SyncedOrder"),
            "responses": responses,
        }},
        "adminAlert": {"post": {
            "tags": ["What the shop sends"],
            "operationId": "adminAlert",
            "summary": "What admins must know, to `ALERT_WEBHOOK_URL`.",
            "description": "One for each order that could not be sent in all its retries. Chat tools read `text`. \
                            Other alerts have other members beside it.",
            "parameters": [],
            "requestBody": body("AdminAlert"),
            "responses": responses,
        }},
    })
}
