//! The order system, and whoever hears of alerts: both keep what they get, and answer.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use chrono::Utc;

use crate::arrived::{Alert, Order};
use crate::faults::{Mode, Target};
use crate::odd;
use crate::world::World;

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().route("/orders", post(order)).route("/alerts", post(alert))
}

async fn order(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    let at = Utc::now();
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let number = world.desk.lists().orders.push(Order {
        at,
        webhook_id: headers.get("webhook-id").map(|id| text(id.as_bytes())),
        signature: world.verifier.check(&headers, &body, at.timestamp()),
        headers: headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
            .collect::<BTreeMap<_, _>>(),
        body: text(&body),
        answer: None,
    });
    let response = answer(&world, Target::Orders).await;
    if let Some(order) = world.desk.lists().orders.get_mut(number) {
        order.answer = Some(response.status().as_u16());
    }
    response
}

async fn alert(State(world): State<Arc<World>>, body: Bytes) -> Response {
    let body = String::from_utf8_lossy(&body).into_owned();
    let number = world.desk.lists().alerts.push(Alert { at: Utc::now(), body, answer: None });
    let response = answer(&world, Target::Alerts).await;
    if let Some(alert) = world.desk.lists().alerts.get_mut(number) {
        alert.answer = Some(response.status().as_u16());
    }
    response
}

async fn answer(world: &Arc<World>, target: Target) -> Response {
    let mode = world.switches.bite(target);
    if let Some(odd) = odd::answer(world, mode) {
        return odd;
    }
    match mode {
        Mode::Fail { status } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, odd::retry_after(status)).into_response()
        }
        Mode::Hang => pending().await,
        Mode::Slow { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            StatusCode::OK.into_response()
        }
        Mode::Drip => odd::drip(StatusCode::OK.into_response()).await,
        // Nobody can set those that take money: there is none here.
        _ => StatusCode::OK.into_response(),
    }
}
