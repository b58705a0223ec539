//! A trace that a caller began goes on in both programs, and in whoever is told of the order.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AttributeValue;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use prost::Message;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use stack::wait_for_async;

use crate::receiver::{Received, Receiver};
use crate::shop::{DEADLINE, Shop};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const CALLER: &str = "b7ad6b7169203331";
const CLAIM: &str = "0af7651916cd43dd8448eb211c80319c";
const ORDER: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const NOT_RECORDED: &str = "11111111111111111111111111111111";
/// One line per request and per batch.
const LOG: &str = "info,access=debug,batch=debug";
const TOGETHER: [&str; 2] = ["22222222222222222222222222222222", "33333333333333333333333333333333"];

/// A span, and the program that told of it.
#[derive(Debug, Clone)]
struct Told {
    service: String,
    span: Span,
}

impl Told {
    fn is(&self, service: &str, kind: SpanKind, trace: &str) -> bool {
        self.service == service && self.span.kind() == kind && hex(&self.span.trace_id) == trace
    }

    fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn told(received: &[Received]) -> Vec<Told> {
    let mut told = Vec::new();
    for message in received {
        for part in ExportTraceServiceRequest::decode(message.body.clone()).unwrap().resource_spans {
            let attributes = part.resource.unwrap_or_default().attributes;
            let service = attributes.into_iter().find(|attribute| attribute.key == "service.name");
            let service = match service.and_then(|service| service.value?.value) {
                Some(AttributeValue::StringValue(name)) => name,
                other => panic!("a service without a name: {other:?}"),
            };
            let spans = part.scope_spans.into_iter().flat_map(|scope| scope.spans);
            told.extend(spans.map(|span| Told { service: service.clone(), span }));
        }
    }
    told
}

/// The one span that is meant, as soon as it was told of.
async fn span(collector: &Receiver, what: &str, meant: impl Fn(&Told) -> bool) -> Told {
    wait_for_async(what, DEADLINE, || async { told(&collector.received()).into_iter().find(|told| meant(told)) }).await
}

fn parent(trace: &str, flags: &str) -> String {
    format!("00-{trace}-{CALLER}-{flags}")
}

fn traced(request: RequestBuilder, trace: &str) -> RequestBuilder {
    request.header("traceparent", parent(trace, "01")).header("tracestate", "vendor=1")
}

async fn with_something_to_order(shop: &Shop) -> RequestBuilder {
    shop.as_admin("/products", &json!({"productId": "P1", "name": "Lamp", "price": 1_000, "stock": 9})).await;
    shop.as_admin("/users", &json!({"userId": "user1", "balance": 9_000})).await;
    let order = json!({"userId": "user1", "items": [{"productId": "P1", "quantity": 1}]});
    shop.request(Method::POST, "/api/orders").json(&order)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_from_the_request_to_the_order_system() {
    let (collector, order_system) = (Receiver::start().await, Receiver::start().await);
    let endpoint = collector.url.trim_end_matches("/in").to_owned();
    let both = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "100"), ("RUST_LOG", LOG)];
    let shop = Shop::open_told(&both, &[("ORDER_SYNC_URL", &order_system.url), ("ORDER_SYNC_SECRET", SECRET)]).await;
    let (api, workers) = ("droplane-api", "droplane-workers");

    // A claim: the caller's span, ours at the door, and the batch that decided it.
    shop.coupon("C1", 9).await;
    assert_eq!(shop.decided(traced(shop.claim("C1", "user1"), CLAIM)).await.0, 201);
    let door = span(&collector, "the claim at the door", |told| told.is(api, SpanKind::Server, CLAIM)).await;
    assert_eq!((door.parent(), &*door.span.name), (CALLER.to_owned(), "POST /api/coupons/{couponId}/issue"));
    let batch = span(&collector, "the claim's batch", |told| told.is(workers, SpanKind::Consumer, CLAIM)).await;
    assert_eq!((batch.parent(), &*batch.span.name), (door.id(), "batch coupon"));

    // An order: the same, and the call to the order system, which is told of the trace.
    let order = with_something_to_order(&shop).await;
    assert_eq!(shop.decided(traced(order.try_clone().unwrap(), ORDER)).await.0, 201);
    let door = span(&collector, "the order at the door", |told| told.is(api, SpanKind::Server, ORDER)).await;
    let batch = span(&collector, "the order's batch", |told| told.is(workers, SpanKind::Consumer, ORDER)).await;
    let call = span(&collector, "the call", |told| told.is(workers, SpanKind::Client, ORDER)).await;
    assert_eq!((batch.parent(), call.parent()), (door.id(), door.id()));
    let arrived = order_system.received();
    assert_eq!(arrived[0].header("traceparent"), format!("00-{ORDER}-{}-01", call.id()));
    assert_eq!(arrived[0].header("tracestate"), "vendor=1");

    // What the caller does not record is passed on, and told to nobody.
    let unrecorded = order.try_clone().unwrap().header("traceparent", parent(NOT_RECORDED, "00"));
    assert_eq!(shop.decided(unrecorded).await.0, 201);
    let passed_on = wait_for_async("the second order", DEADLINE, || async { order_system.received().get(1).cloned() });
    let passed_on = passed_on.await.header("traceparent").to_owned();
    assert!(passed_on.starts_with(&format!("00-{NOT_RECORDED}-")) && passed_on.ends_with("-00"), "{passed_on}");

    // A trace that begins here has nothing of one that the caller failed to name.
    assert_eq!(shop.decided(order.header("tracestate", "stranger=1")).await.0, 201);
    let begun = wait_for_async("the third order", DEADLINE, || async { order_system.received().get(2).cloned() }).await;
    assert!(begun.header("traceparent").ends_with("-01") && begun.header("tracestate").is_empty(), "{begun:?}");

    // Claims that are decided together: their batch belongs to none of their traces alone.
    shop.coupon("C2", 9).await;
    shop.as_admin("/lanes/coupon:C2/pause", &json!({})).await;
    for (user, trace) in ["user1", "user2"].into_iter().zip(TOGETHER) {
        assert_eq!(traced(shop.claim("C2", user), trace).send().await.unwrap().status(), 202);
    }
    shop.as_admin("/lanes/coupon:C2/resume", &json!({})).await;
    let batch = span(&collector, "a batch of two", |told| told.span.links.len() == 2).await;
    let linked: BTreeSet<String> = batch.span.links.iter().map(|link| hex(&link.trace_id)).collect();
    assert_eq!(linked, TOGETHER.map(str::to_owned).into());
    assert!(batch.span.parent_span_id.is_empty() && !linked.contains(&hex(&batch.span.trace_id)), "{batch:?}");
    for trace in TOGETHER {
        let door = span(&collector, "a claim at the door", |told| told.is(api, SpanKind::Server, trace)).await;
        assert!(batch.span.links.iter().any(|link| hex(&link.span_id) == door.id()));
    }
    let all = told(&collector.received());
    assert!(all.iter().all(|told| hex(&told.span.trace_id) != NOT_RECORDED), "{all:?}");

    // One line per request, and one per batch, with the trace.
    for (log, line) in [(shop.api.log(), "POST /api/orders 201"), (shop.workers.log(), "order: 1 decided")] {
        let found = log.lines().any(|logged| logged.contains(line) && logged.contains(ORDER));
        assert!(found, "no line says {line} with {ORDER}:\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_no_span_is_made() {
    let order_system = Receiver::start().await;
    let shop = Shop::open_with(&[("ORDER_SYNC_URL", &order_system.url), ("ORDER_SYNC_SECRET", SECRET)]).await;
    let order = with_something_to_order(&shop).await;
    for order in [traced(order.try_clone().unwrap(), ORDER), order] {
        assert_eq!(shop.decided(order).await.0, 201);
    }
    let both = wait_for_async("both orders", DEADLINE, || async {
        let arrived = order_system.received();
        (arrived.len() == 2).then_some(arrived)
    });
    // Whoever adds no span passes on the caller's.
    let parents: BTreeSet<String> = both.await.iter().map(|order| order.header("traceparent").to_owned()).collect();
    assert_eq!(parents, BTreeSet::from([String::new(), parent(ORDER, "01")]));
}
