//! What happens to every request, whatever it asks for: it gets an id, a command without room is turned away, a panic becomes
//! an answer, an error is written in the caller's language, and the end is measured and logged. One layer, so that a request
//! pays for it once.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use common::Trace;
use futures::FutureExt;
use metrics::{Counter, Histogram};
use runtime::causes::chain;
use runtime::config::TrustedProxies;
use runtime::metrics as table;
use runtime::traces::{self, TRACEPARENT};
use tower::{Layer, Service};
use tracing::field::display;
use uuid::Uuid;

use crate::auth::is_local;
use crate::client::Client;
use crate::error_table::Code;
use crate::extract::skip;
use crate::language::Language;
use crate::limits::REQUEST_ID_MAX_CHARS;
use crate::problem::Problem;
use crate::room::Room;
use crate::serve::Peer;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Below this is what shoppers and operators ask for; probes and pages have no spans.
const TRACED: &str = "/api/";

/// The label of requests that no route answers.
pub const UNMATCHED: (&str, &str) = ("ANY", "unmatched");

/// Wraps all routes.
#[derive(Clone)]
pub struct Door {
    rules: Arc<Rules>,
}

struct Rules {
    /// Whether only this machine may call, because whoever is named is believed.
    only_local: bool,
    /// Whose word on a caller's address is taken.
    proxies: TrustedProxies,
    /// Who comes with a command finds room here, or is turned away.
    room: Option<Room>,
    meters: HashMap<&'static str, Vec<(&'static str, Meter)>>,
    unmatched: Meter,
}

/// The series of one route.
struct Meter {
    /// By class of status: 1xx to 5xx.
    answers: [Counter; table::STATUS_CLASSES.len()],
    seconds: Histogram,
}

impl Door {
    /// A door for these routes, each a method and a pattern.
    pub fn new(
        routes: &[(&'static str, &'static str)],
        only_local: bool,
        proxies: TrustedProxies,
        room: Option<Room>,
    ) -> Door {
        let mut meters: HashMap<_, Vec<_>> = HashMap::new();
        for &(method, pattern) in routes {
            meters.entry(pattern).or_default().push((method, Meter::of(method, pattern)));
        }
        let unmatched = Meter::of(UNMATCHED.0, UNMATCHED.1);
        Door { rules: Arc::new(Rules { only_local, proxies, room, meters, unmatched }) }
    }
}

impl<S> Layer<S> for Door {
    type Service = AtTheDoor<S>;

    fn layer(&self, inner: S) -> AtTheDoor<S> {
        AtTheDoor { inner, rules: Arc::clone(&self.rules) }
    }
}

/// A service behind the door.
#[derive(Clone)]
pub struct AtTheDoor<S> {
    inner: S,
    rules: Arc<Rules>,
}

impl<S> Service<Request> for AtTheDoor<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let pattern = request.extensions().get::<MatchedPath>().cloned();
        let span =
            pattern.as_ref().map(MatchedPath::as_str).filter(|pattern| pattern.starts_with(TRACED)).map(|pattern| {
                let method = request.method().clone();
                traces::serve(request.headers_mut(), method.as_str(), pattern)
            });
        let client = self.rules.client(&request);
        if let Some(client) = client {
            request.extensions_mut().insert(Client(client));
        }
        let visit = Visit {
            began: Instant::now(),
            id: request_id(request.headers()),
            language: Language::of(request.headers()),
            method: request.method().clone(),
            client,
            traceparent: request.headers().get(TRACEPARENT).cloned(),
            pattern,
            span,
        };
        let rules = Arc::clone(&self.rules);
        if rules.only_local && !is_local(request.headers(), request.uri()) {
            let refusal = Problem::new(Code::A002).into_response();
            return Box::pin(std::future::ready(Ok(visit.end(&rules, refusal))));
        }
        if let Err(problem) = rules.find_room(&visit, request.uri()) {
            let body = request.into_body();
            return Box::pin(async move {
                skip(body).await;
                Ok(visit.end(&rules, problem.into_response()))
            });
        }
        let answering = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
        Box::pin(async move {
            let response = match answering.await {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                // The panic itself was logged by the hook, with its place.
                Err(_) => Problem::new(Code::X003).into_response(),
            };
            Ok(visit.end(&rules, response))
        })
    }
}

/// One request, from its head to its answer.
struct Visit {
    began: Instant,
    id: HeaderValue,
    language: Language,
    method: Method,
    pattern: Option<MatchedPath>,
    /// Who called, as far as it is known.
    client: Option<IpAddr>,
    /// What belongs below this visit belongs here in its trace, if there is one.
    traceparent: Option<HeaderValue>,
    span: Option<traces::Open>,
}

impl Visit {
    fn end(mut self, rules: &Rules, mut response: Response) -> Response {
        let problem = response.extensions_mut().remove::<Problem>();
        if let Some(problem) = &problem {
            problem.write_into(&mut response, self.language);
        }
        let took = self.began.elapsed();
        let status = response.status().as_u16();
        let meter = rules.meter(&self.method, self.pattern.as_ref());
        meter.answers[usize::from(status / 100).clamp(1, 5) - 1].increment(1);
        meter.seconds.record(took);
        if let Some(span) = self.span.take() {
            let code = problem.as_ref().map(|problem| problem.code().row().code);
            span.end(Some(status), code.filter(|_| status >= 500));
        }
        self.log(status, took, problem.as_ref());
        response.headers_mut().insert(X_REQUEST_ID, self.id);
        response
    }

    /// One line per request. Successes and refusals are many thousands a second and are counted anyway, so they are
    /// written only when somebody turns `access=debug` on; what we could not do is always written, with its cause. Whoever
    /// found no room is refused, too: that has no cause but the others.
    fn log(&self, status: u16, took: Duration, problem: Option<&Problem>) {
        let found_no_room = |problem: &Problem| status == StatusCode::SERVICE_UNAVAILABLE && problem.cause().is_none();
        let is_refusal = status < 500 || problem.is_some_and(found_no_room);
        if is_refusal && !tracing::enabled!(target: "access", tracing::Level::DEBUG) {
            return;
        }
        let id = self.id.to_str().unwrap_or_default();
        let method = self.method.as_str();
        let route = self.pattern.as_ref().map_or(UNMATCHED.1, MatchedPath::as_str);
        let code = problem.map(|problem| problem.code().row().code);
        let took_us = took.as_micros();
        let client = self.client.map(display);
        let trace = self.traceparent.as_ref().and_then(|value| Trace::read(value.to_str().ok()?, None));
        let trace_id = trace.as_ref().map(Trace::trace_id);
        if is_refusal {
            tracing::debug!(target: "access", id, trace_id, client, status, took_us, code, "{method} {route} {status}");
            return;
        }
        let cause = problem.and_then(Problem::cause).map(|cause| chain(cause.as_ref()));
        let because = cause.as_deref().unwrap_or("no cause given");
        tracing::warn!(target: "access", id, trace_id, client, status, took_us, code, "{method} {route} {status}: {because}");
    }
}

impl Rules {
    fn client(&self, request: &Request) -> Option<IpAddr> {
        let Peer(peer) = *request.extensions().get::<Peer>()?;
        let forwarded = request.headers().get_all(X_FORWARDED_FOR).iter();
        // What is no text says nothing, and nothing before it is believed.
        let forwarded = forwarded.map(|list| list.to_str().unwrap_or_default());
        Some(self.proxies.client(peer, forwarded))
    }

    fn find_room(&self, visit: &Visit, uri: &Uri) -> Result<(), Problem> {
        let (Some(room), Some(pattern)) = (&self.room, &visit.pattern) else {
            return Ok(());
        };
        room.find(&visit.method, pattern.as_str(), uri)
    }

    fn meter(&self, method: &Method, pattern: Option<&MatchedPath>) -> &Meter {
        let meters = pattern.and_then(|pattern| self.meters.get(pattern.as_str()));
        // HEAD is answered by the routes of GET.
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        meters
            .and_then(|meters| meters.iter().find(|(known, _)| *known == method))
            .map_or(&self.unmatched, |(_, meter)| meter)
    }
}

impl Meter {
    fn of(method: &'static str, pattern: &'static str) -> Meter {
        Meter {
            answers: table::STATUS_CLASSES.map(|class| table::http_requests(method, pattern, class)),
            seconds: table::http_request_seconds(method, pattern),
        }
    }
}

/// The id that the client chose, if it can stand in a log line, else one of ours.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let sane = |id: &HeaderValue| {
        let bytes = id.as_bytes();
        (1..=REQUEST_ID_MAX_CHARS).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':'))
    };
    match headers.get(X_REQUEST_ID) {
        Some(id) if sane(id) => id.clone(),
        _ => {
            let mut buffer = Uuid::encode_buffer();
            let text = Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
            HeaderValue::from_str(text).expect("a UUID has only visible characters")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::http::header::CONTENT_TYPE;
    use axum::routing::get;
    use tower::ServiceExt;

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        async fn panics() {
            panic!("for this test");
        }
        let door = Door::new(&[("GET", "/")], false, TrustedProxies::default(), None);
        let router = Router::new().route("/", get(panics)).layer(door);
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), 500);
        assert!(response.headers().contains_key(X_REQUEST_ID));
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    }

    #[test]
    fn ids_that_a_log_can_show_are_kept() {
        let rows = [
            ("abc-123_x.y:z", true),
            (&*"a".repeat(64), true),
            (&*"a".repeat(65), false),
            ("", false),
            ("two words", false),
            ("a\"b", false),
        ];
        for (id, kept) in rows {
            let headers = HeaderMap::from_iter([(X_REQUEST_ID, HeaderValue::from_str(id).unwrap())]);
            assert_eq!(request_id(&headers) == id, kept, "{id:?}");
        }
    }
}
