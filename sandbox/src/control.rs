//! What a developer does here: looks at what arrived, and sets switches.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use crate::arrived::Arrived;
use crate::faults::{Fault, Faults, Target};
use crate::world::World;

/// Why something is not done: a status, and a sentence.
#[derive(Debug)]
pub(crate) struct Refusal(StatusCode, String);

impl Refusal {
    pub fn bad(sentence: String) -> Refusal {
        Refusal(StatusCode::BAD_REQUEST, sentence)
    }

    /// The body is not the JSON that it should be.
    pub fn unreadable(error: serde_json::Error) -> Refusal {
        Refusal::bad(format!("the body cannot be read: {error}"))
    }

    /// Something failed here.
    pub fn failed(error: anyhow::Error) -> Refusal {
        Refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/faults", get(faults))
        .route("/faults/{target}", put(set_fault))
        .route("/arrived", get(arrived).delete(forget))
        .route("/readyz", get(async || "ready\n"))
        .fallback(async || Refusal(StatusCode::NOT_FOUND, "there is nothing here; / shows what there is".to_owned()))
}

async fn faults(State(world): State<Arc<World>>) -> Json<Faults> {
    Json(world.switches.all())
}

/// The body is read whatever type it says it has: curl calls everything a form.
async fn set_fault(
    State(world): State<Arc<World>>,
    Path(target): Path<String>,
    body: Bytes,
) -> Result<Json<Faults>, Refusal> {
    let target: Target = serde_json::from_value(target.into()).map_err(|_| {
        Refusal(StatusCode::NOT_FOUND, "the switches are gateway, orders, mail, alerts and humans".to_owned())
    })?;
    let fault: Fault = serde_json::from_slice(&body).map_err(Refusal::unreadable)?;
    world.switches.set(target, fault).map_err(|error| Refusal::bad(format!("{error:#}")))?;
    Ok(Json(world.switches.all()))
}

#[derive(Debug, Deserialize)]
struct Shown {
    /// So many of each kind; all that are kept, if it is not said.
    limit: Option<usize>,
}

async fn arrived(State(world): State<Arc<World>>, Query(shown): Query<Shown>) -> Json<Arrived> {
    Json(world.desk.newest(shown.limit.unwrap_or(usize::MAX)))
}

async fn forget(State(world): State<Arc<World>>) -> StatusCode {
    world.desk.forget();
    StatusCode::NO_CONTENT
}
