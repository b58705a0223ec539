//! The order system, and whoever hears of alerts: both keep what they get, and answer.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use chrono::Utc;

use crate::arrived::{Alert, Order};
use crate::faults::{Mode, Target};
use crate::world::World;

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().route("/orders", post(order)).route("/alerts", post(alert))
}

async fn order(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> StatusCode {
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
    let status = answer(&world, Target::Orders).await;
    if let Some(order) = world.desk.lists().orders.get_mut(number) {
        order.answer = Some(status.as_u16());
    }
    status
}

async fn alert(State(world): State<Arc<World>>, body: Bytes) -> StatusCode {
    let body = String::from_utf8_lossy(&body).into_owned();
    let number = world.desk.lists().alerts.push(Alert { at: Utc::now(), body, answer: None });
    let status = answer(&world, Target::Alerts).await;
    if let Some(alert) = world.desk.lists().alerts.get_mut(number) {
        alert.answer = Some(status.as_u16());
    }
    status
}

async fn answer(world: &World, target: Target) -> StatusCode {
    match world.switches.bite(target) {
        Mode::Fail { status } => StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        Mode::Hang => pending().await,
        Mode::Slow { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            StatusCode::OK
        }
        // Nobody can set the others: there is no money here.
        Mode::Ok | Mode::TakeAndHang | Mode::TakeAndFail { .. } | Mode::TakeAndCut => StatusCode::OK,
    }
}
