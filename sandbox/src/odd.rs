//! Answers that no honest server gives.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures::{StreamExt, stream};

use crate::faults::Mode;
use crate::limits::{DRIP_PAUSE, FLOOD_BYTES, FLOOD_PIECE_BYTES, RETRY_AFTER_SECONDS};
use crate::serve;
use crate::world::World;

/// Where a redirect leads to.
const ELSEWHERE: &str = "/elsewhere";

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().route(ELSEWHERE, any(elsewhere))
}

/// Somebody followed a redirect.
async fn elsewhere(State(world): State<Arc<World>>) -> StatusCode {
    world.desk.lists().followed += 1;
    StatusCode::OK
}

/// The answer of a part that does nothing but give an odd one; none: this mode has no such answer.
pub(crate) fn answer(world: &Arc<World>, mode: Mode) -> Option<Response> {
    match mode {
        Mode::Refuse => Some(serve::cut()),
        // 307 asks for the same once more, body and all.
        Mode::Redirect => Some((StatusCode::TEMPORARY_REDIRECT, [(LOCATION, ELSEWHERE)]).into_response()),
        Mode::Flood => Some(flood(Arc::clone(world))),
        _ => None,
    }
}

/// 200, and then far too much. It is noted how much of it could be sent.
fn flood(world: Arc<World>) -> Response {
    let pieces = stream::unfold(0, move |sent: usize| {
        let world = Arc::clone(&world);
        async move {
            let mut lists = world.desk.lists();
            lists.flooded = lists.flooded.max(sent as u64);
            let piece = FLOOD_PIECE_BYTES.min(FLOOD_BYTES - sent);
            (piece > 0).then(|| (Ok::<_, Infallible>(Bytes::from(vec![b' '; piece])), sent + piece))
        }
    });
    Body::from_stream(pieces).into_response()
}

/// An answer whose head comes at once, and its body a byte a second; one without a body gets blanks.
pub(crate) async fn drip(answer: Response) -> Response {
    let (head, body) = answer.into_parts();
    let body = axum::body::to_bytes(body, FLOOD_BYTES).await.unwrap_or_default();
    let blanks = stream::repeat(b' ').take(FLOOD_BYTES);
    let bytes = stream::iter(body).chain(blanks).then(|byte| async move {
        tokio::time::sleep(DRIP_PAUSE).await;
        Ok::<_, Infallible>(Bytes::copy_from_slice(&[byte]))
    });
    let mut headers = head.headers;
    headers.remove(axum::http::header::CONTENT_LENGTH);
    (head.status, headers, Body::from_stream(bytes)).into_response()
}

/// Who comes too often is told when to come again.
pub(crate) fn retry_after(status: StatusCode) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if status == StatusCode::TOO_MANY_REQUESTS {
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    headers
}
