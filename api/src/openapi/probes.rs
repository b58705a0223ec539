//! `/healthz` and `/readyz`, whose handlers belong to all programs and know no document.

use serde_json::{Value, json};
use utoipa::IntoResponses;

use super::Refused;

/// Their paths.
pub fn paths() -> Value {
    let answer = |description: &str| {
        json!({
            "description": description,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Readiness"}}},
        })
    };
    let operation = |id: &str, summary: &str, answers: Value| {
        let mut responses = serde_json::to_value(Refused::<()>::responses()).expect("references are texts");
        for (status, answer) in answers.as_object().into_iter().flatten() {
            responses[status] = answer.clone();
        }
        json!({"get": {"operationId": id, "summary": summary, "responses": responses}})
    };
    let alive = json!({"200": {
        "description": "It does.",
        "content": {"text/plain": {"schema": {"const": "ok\n"}}},
    }});
    let ready = json!({"200": answer("It can work."), "503": answer("It cannot, and says why.")});
    json!({
        "/healthz": operation("showHealth", "Whether the process lives.", alive),
        "/readyz": operation("showReadiness", "Whether it can work now: Postgres, Redis and what Redis keeps.", ready),
    })
}
