//! Traces: what a request caused, in which program, for how long, as spans sent to a collector by OTLP.
//!
//! Without a collector no span is made, and a trace that a caller began is only passed on. With one, a span of `api` is
//! recorded when its caller records the trace, or, where none was begun, as `OTEL_TRACES_SAMPLER` says; workers record
//! what was recorded before them. Spans are made by hand, and not from the events of the log: a batch belongs to as many
//! traces as it has commands, and a log that is turned down must not cut a trace.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use common::Trace;
use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
    Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span};

use crate::config::{TelemetryArgs, check_target};
use crate::limits::{BATCH_LINKS_MAX_SPANS, TRACES_END_MAX};

/// Where a request belongs in a trace.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What tracing systems have added to it.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

const TRACES_PATH: &str = "/v1/traces";

static EXPORTER: OnceLock<Exporter> = OnceLock::new();

#[derive(Debug)]
struct Exporter {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// Who begins a trace where nobody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginner {
    /// This program, as often as `OTEL_TRACES_SAMPLER` and its `_ARG` say; by default always.
    Sampled,
    /// Whoever came before: what is told here is part of something that is recorded already.
    Earlier,
}

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// Nothing can or may be sent to the address.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT {endpoint:?}: {why}")]
    Address {
        /// Where to.
        endpoint: String,
        /// Why not.
        why: String,
    },
    /// The exporter cannot be made.
    #[error("traces cannot be sent to OTEL_EXPORTER_OTLP_ENDPOINT {endpoint}")]
    Exporter {
        /// Where to.
        endpoint: String,
        /// Why not.
        source: ExporterBuildError,
    },
}

/// Begins to send traces, if a collector is configured; another call changes nothing.
///
/// # Errors
/// See [`TracesError`].
pub fn start(
    args: &TelemetryArgs,
    allow_private_http: bool,
    service: &'static str,
    beginner: Beginner,
) -> Result<(), TracesError> {
    let endpoint = args.otel_exporter_otlp_endpoint.as_deref().filter(|endpoint| !endpoint.trim().is_empty());
    let Some(endpoint) = endpoint.filter(|_| !is_on()) else {
        return Ok(());
    };
    let wrong = |why| TracesError::Address { endpoint: endpoint.to_owned(), why };
    let url = Uri::try_from(endpoint).map_err(|error| wrong(error.to_string()))?;
    check_target(url.scheme_str().unwrap_or_default(), url.host(), allow_private_http).map_err(wrong)?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}{TRACES_PATH}", endpoint.trim_end_matches('/')))
        .build()
        .map_err(|source| TracesError::Exporter { endpoint: endpoint.to_owned(), source })?;
    let builder = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_max_links_per_span(BATCH_LINKS_MAX_SPANS)
        .with_resource(Resource::builder().with_service_name(service).build());
    let provider = match beginner {
        Beginner::Sampled => builder.build(),
        Beginner::Earlier => builder.with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn))).build(),
    };
    let tracer = provider.tracer("droplane");
    // An error says that there is one already.
    let _ = EXPORTER.set(Exporter { provider, tracer });
    tracing::info!("traces are sent to {endpoint}");
    Ok(())
}

/// Sends what is left, and ends. To be called when nothing is done any more.
pub async fn end() {
    let Some(exporter) = EXPORTER.get() else {
        return;
    };
    let ended = tokio::task::spawn_blocking(|| exporter.provider.shutdown_with_timeout(TRACES_END_MAX)).await;
    if let Ok(Err(error)) = ended {
        tracing::warn!(%error, "the last traces could not be sent");
    }
}

/// Whether spans are made at all.
pub fn is_on() -> bool {
    EXPORTER.get().is_some()
}

/// Where a request with these headers belongs in a trace, if in any.
pub fn trace_of(headers: &HeaderMap) -> Option<Trace> {
    let traceparent = headers.get(TRACEPARENT)?.to_str().ok()?;
    let mut states = headers.get_all(TRACESTATE).iter().filter_map(|state| state.to_str().ok());
    let first = states.next().map(Cow::Borrowed);
    let state = states.fold(first, |all, more| all.map(|all| Cow::Owned(format!("{all},{more}"))));
    Trace::read(traceparent, state.as_deref())
}

/// Passes a trace on.
pub fn pass_on(trace: Option<&Trace>, headers: &mut HeaderMap) {
    let Some(trace) = trace else {
        return;
    };
    if let Ok(traceparent) = HeaderValue::from_str(trace.traceparent()) {
        headers.insert(TRACEPARENT, traceparent);
    }
    if let Some(Ok(tracestate)) = trace.tracestate().map(HeaderValue::from_str) {
        headers.insert(TRACESTATE, tracestate);
    }
}

/// A request that is being served, or something that is being asked for, as a span that ends with it.
///
/// In a box, because most requests have none and should not be larger for it.
#[derive(Debug)]
pub struct Open(Option<Box<Span>>);

/// Begins the span of a request, which then stands in its headers as what belongs below it. Nothing is changed where no span
/// is made, nor where nobody records the trace and no caller began it.
pub fn serve(headers: &mut HeaderMap, method: &str, route: &str) -> Open {
    let Some(exporter) = EXPORTER.get() else {
        return Open(None);
    };
    let parent = trace_of(headers);
    let span = exporter
        .tracer
        .span_builder(format!("{method} {route}"))
        .with_kind(SpanKind::Server)
        .with_attributes([
            KeyValue::new("http.request.method", method.to_owned()),
            KeyValue::new("http.route", route.to_owned()),
        ])
        .start_with_context(&exporter.tracer, &context(parent.as_ref()));
    if parent.is_none() {
        // It belongs to a trace that we do not know.
        headers.remove(TRACESTATE);
    }
    if parent.is_some() || span.span_context().is_sampled() {
        let state = parent.as_ref().and_then(Trace::tracestate);
        pass_on(trace_at(span.span_context(), state).as_ref(), headers);
    }
    Open(Some(Box::new(span)))
}

/// Begins the span of a call to somebody else, and writes into the headers of the call where it belongs. A call that belongs
/// to nothing has neither.
pub fn call(name: &'static str, trace: Option<&Trace>, headers: &mut HeaderMap) -> Open {
    let (Some(exporter), Some(parent)) = (EXPORTER.get(), trace) else {
        pass_on(trace, headers);
        return Open(None);
    };
    let span = exporter
        .tracer
        .span_builder(name)
        .with_kind(SpanKind::Client)
        .start_with_context(&exporter.tracer, &context(Some(parent)));
    pass_on(trace_at(span.span_context(), parent.tracestate()).as_ref(), headers);
    Open(Some(Box::new(span)))
}

impl Open {
    /// Ends the span with the status that was answered, if any was, and what went wrong, if it did.
    pub fn end(self, status: Option<u16>, error: Option<&str>) {
        let Some(mut span) = self.0 else {
            return;
        };
        if let Some(status) = status {
            span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        }
        if let Some(error) = error {
            span.set_status(Status::error(error.to_owned()));
        }
        span.end();
    }
}

/// A batch that ended just now.
#[derive(Debug)]
pub struct BatchSpan<'a> {
    /// The group of its lanes.
    pub group: &'a str,
    /// Its commands.
    pub size: usize,
    /// How long it took.
    pub took: Duration,
    /// Why it came to nothing, if it did.
    pub error: Option<String>,
}

/// Tells of a batch whose commands belong to these traces: as a part of the trace if there is one, and beside them, linked to
/// each, if there are several. Nothing is told where none of them is recorded.
pub fn tell_batch(batch: BatchSpan<'_>, traces: &[Trace]) {
    let Some(exporter) = EXPORTER.get() else {
        return;
    };
    let recorded: Vec<&Trace> = traces.iter().filter(|trace| trace.is_sampled()).collect();
    let (parent, links) = match recorded.as_slice() {
        [] => return,
        [one] => (Some(*one), Vec::new()),
        many => (None, many.iter().filter_map(|trace| span_context(trace)).map(Link::with_context).collect()),
    };
    let ended = SystemTime::now();
    let mut span = exporter
        .tracer
        .span_builder(format!("batch {}", batch.group))
        .with_kind(SpanKind::Consumer)
        .with_start_time(ended.checked_sub(batch.took).unwrap_or(ended))
        .with_links(links)
        .with_attributes([
            KeyValue::new("messaging.batch.message_count", i64::try_from(batch.size).unwrap_or(i64::MAX)),
            KeyValue::new("droplane.group", batch.group.to_owned()),
        ])
        .start_with_context(&exporter.tracer, &context(parent));
    if let Some(error) = batch.error {
        span.set_status(Status::error(error));
    }
    span.end_with_timestamp(ended);
}

fn context(parent: Option<&Trace>) -> Context {
    let context = Context::new();
    match parent.and_then(span_context) {
        Some(parent) => context.with_remote_span_context(parent),
        None => context,
    }
}

fn span_context(trace: &Trace) -> Option<SpanContext> {
    let (trace_id, span_id) = (TraceId::from_hex(trace.trace_id()).ok()?, SpanId::from_hex(trace.span_id()).ok()?);
    // The state is passed on beside the span, as it came.
    Some(SpanContext::new(trace_id, span_id, TraceFlags::new(trace.flags()), true, TraceState::NONE))
}

fn trace_at(span: &SpanContext, state: Option<&str>) -> Option<Trace> {
    let flags = span.trace_flags().to_u8();
    Trace::read(&format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id()), state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_tell_of_a_trace() {
        const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let of = |lines: &[(HeaderName, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
            }
            trace_of(&headers)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(TRACESTATE, "a=1")]), None);
        assert_eq!(of(&[(TRACEPARENT, PARENT)]), Trace::read(PARENT, None));
        let split = [(TRACEPARENT, PARENT), (TRACESTATE, "a=1"), (TRACESTATE, "b=2")];
        assert_eq!(of(&split), Trace::read(PARENT, Some("a=1,b=2")));
        let mut headers = HeaderMap::new();
        pass_on(of(&split).as_ref(), &mut headers);
        assert_eq!(
            (&headers[TRACEPARENT], &headers[TRACESTATE]),
            (&PARENT.parse().unwrap(), &"a=1,b=2".parse().unwrap())
        );
    }

    #[test]
    fn without_a_collector_a_trace_is_only_passed_on() {
        const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace = Trace::read(PARENT, None);
        let mut headers = HeaderMap::new();
        call("a call", trace.as_ref(), &mut headers).end(Some(200), None);
        serve(&mut headers, "GET", "/").end(Some(200), None);
        assert_eq!(trace_of(&headers), trace);
        let mut none = HeaderMap::new();
        serve(&mut none, "GET", "/").end(Some(200), None);
        assert!(none.is_empty() && !is_on());
    }

    #[test]
    fn a_place_in_a_trace_stays_what_it_is() {
        let trace = Trace::read("00-0af7651916cd43dd8448eb211c80319c-00000000000000a1-01", Some("a=1")).unwrap();
        let same = trace_at(&span_context(&trace).unwrap(), trace.tracestate());
        assert_eq!(same, Some(trace));
    }
}
