//! What became of a request: asked for, waited for, or listened to.

use std::convert::Infallible;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use common::RequestId;
use futures::Stream;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::error_table::Code;
use crate::extract::{Named, Params, PathId};
use crate::language::Language;
use crate::limits::EVENTS_REFRESH;
use crate::openapi::codes::R001;
use crate::openapi::commands::{RequestEvents, RequestShown};
use crate::openapi::{OfShopper, Refused, WithInput};
use crate::problem::Problem;
use crate::state::AppState;
use crate::status::{Found, look_up, wait_for};
use crate::submit::bounded_wait;
use crate::wait::{Waiter, end_after};

/// Tells proxies that collect answers to pass events on at once.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(events))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ShowParams {
    wait: Option<String>,
}

/// Where a request stands, or what came of it.
#[utoipa::path(
    get,
    path = "/api/requests/{requestId}",
    operation_id = "showRequest",
    params(ShowParams),
    responses(RequestShown, Refused<(WithInput, OfShopper, R001)>),
)]
async fn show(
    State(state): State<AppState>,
    PathId(Named(id)): PathId<Named>,
    headers: HeaderMap,
    Params(params): Params<ShowParams>,
) -> Result<Response, Problem> {
    let seconds = params.wait.as_deref().map_or(Ok(0), str::parse::<u64>);
    let seconds = seconds.map_err(|_| Problem::field("wait", "must be a number of seconds"))?;
    let caller = state.auth.caller(&headers).await?;
    let id = id.ok_or_else(|| Problem::new(Code::R001))?;
    // Before looking: the outcome may come right after the look.
    let wait = bounded_wait(seconds).and_then(|wait| Some((wait, state.waiters.register(id)?)));
    let mut found = look_up(&state, id, &caller).await?;
    if let (Found::Waiting(_), Some((wait, waiter))) = (&found, wait) {
        found = wait_for(&state, id, &caller, waiter, end_after(wait)).await?;
    }
    Ok(found.answer(Language::of(&headers)))
}

/// The same as server-sent events: the document at once, every 15 seconds, and when it is decided.
#[utoipa::path(
    get,
    path = "/api/requests/{requestId}/events",
    operation_id = "followRequest",
    responses(RequestEvents, Refused<(WithInput, OfShopper, R001)>),
)]
async fn events(
    State(state): State<AppState>,
    PathId(Named(id)): PathId<Named>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = state.auth.caller(&headers).await?;
    let id = id.ok_or_else(|| Problem::new(Code::R001))?;
    let waiter = state.waiters.register(id);
    let found = look_up(&state, id, &caller).await?;
    let language = Language::of(&headers);
    let listener = Listener { state, id, caller, language, next: Next::Tell(found, waiter) };
    let mut response = Sse::new(listener.events()).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// A client that listens to one request.
struct Listener {
    state: AppState,
    id: RequestId,
    caller: Caller,
    language: Language,
    next: Next,
}

/// What a listener gets next.
enum Next {
    /// This document; then it waits, if it has a place to wait in.
    Tell(Found, Option<Waiter>),
    /// The next thing that happens.
    Wait(Waiter),
    /// Nothing more.
    End,
}

impl Listener {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures::stream::unfold(self, |mut listener| async move {
            let (found, waiter) = match std::mem::replace(&mut listener.next, Next::End) {
                Next::Tell(found, waiter) => (found, waiter),
                Next::Wait(waiter) => listener.wait(waiter).await?,
                Next::End => return None,
            };
            let event = Event::default().event("status").json_data(found.document(listener.language));
            if let (Found::Waiting(_), Some(waiter)) = (&found, waiter) {
                listener.next = Next::Wait(waiter);
            }
            // A document is made of texts and numbers, so writing it does not fail.
            Some((Ok(event.ok()?), listener))
        })
    }

    /// Waits until the request is decided, or it is time to tell where it stands. When the process is about to end
    /// there is no next place, and the current document is the last. A client whose stream ends before the final
    /// document connects again, as it does when the network fails.
    async fn wait(&self, waiter: Waiter) -> Option<(Found, Option<Waiter>)> {
        let end = end_after(EVENTS_REFRESH);
        let found = wait_for(&self.state, self.id, &self.caller, waiter, end).await.ok()?;
        if matches!(found, Found::Final(_)) {
            return Some((found, None));
        }
        let next = self.state.waiters.register(self.id);
        // It may have been decided between the look and the new place.
        let found = look_up(&self.state, self.id, &self.caller).await.ok()?;
        Some((found, next))
    }
}
