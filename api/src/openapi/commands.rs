//! What commands have in common: the headers that go with them, and their answers, with examples of what the code really
//! writes.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use common::limits::{MAX_IDEMPOTENCY_KEY_CHARS, MAX_WAIT_SECONDS};
use common::{Group, Kind, Outcome, Receipt, Refusal, RequestId, Success};
use serde_json::{Value, json};
use utoipa::openapi::{Ref, RefOr, Response};
use utoipa::{IntoResponses, ToSchema};
use uuid::Uuid;

use super::example::{EXAMPLE_ID, EXAMPLE_TIME};
use super::refusals::COMPONENTS;
use super::shapes::{BalanceCharged, CouponIssued, OrderPlaced};
use crate::language::Language;
use crate::status::{Found, InLine};

/// The answers of a command with the result `T`: 202 as soon as it stands on disk; 201, or for a charge 200, to who waits for
/// the outcome.
#[derive(Debug)]
pub struct Accepted<T>(PhantomData<T>);

/// The answer to who asks for a request.
#[derive(Debug)]
pub struct RequestShown;

/// The stream of who listens to a request.
#[derive(Debug)]
pub struct RequestEvents;

/// A result that a command can have.
pub trait CommandResult: ToSchema {
    /// The kind of its command.
    const KIND: Kind;

    /// The status of a good outcome.
    const DONE: &str = "201";

    /// What is said of it.
    const ABOUT_DONE: &str = "The outcome, committed. Only with `Prefer: wait`.";

    /// One, of the request with this id.
    fn example(id: Uuid) -> Success;
}

impl CommandResult for CouponIssued {
    const KIND: Kind = Kind::CouponIssue;

    fn example(id: Uuid) -> Success {
        let coupon_id = "C001".parse().expect("letters and digits are an id");
        Success::CouponIssued { user_coupon_id: id, coupon_id, expires_at: Some(example_time()) }
    }
}

impl CommandResult for OrderPlaced {
    const KIND: Kind = Kind::OrderPlacement;

    fn example(id: Uuid) -> Success {
        Success::OrderPlaced {
            order_id: id,
            total_amount: 100_000,
            discount_amount: 10_000,
            final_amount: 90_000,
            remaining_balance: 10_000,
        }
    }
}

impl CommandResult for BalanceCharged {
    const KIND: Kind = Kind::BalanceCharge;
    const DONE: &str = "200";
    const ABOUT_DONE: &str =
        "The outcome, committed. It is waited for, for as long as `Prefer: wait` says, or 10 seconds.";

    fn example(id: Uuid) -> Success {
        Success::BalanceCharged {
            charge_id: id,
            previous_balance: 10_000,
            charged_amount: 50_000,
            current_balance: 60_000,
        }
    }
}

impl<T: CommandResult> IntoResponses for Accepted<T> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        BTreeMap::from([
            (T::DONE.to_owned(), reference(&T::name())),
            ("202".to_owned(), reference(&format!("{}{}", T::name(), ACCEPTED))),
        ])
    }
}

impl IntoResponses for RequestShown {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        BTreeMap::from([("200".to_owned(), reference("RequestShown"))])
    }
}

impl IntoResponses for RequestEvents {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        BTreeMap::from([("200".to_owned(), reference("RequestEvents"))])
    }
}

/// How the names of answers end that take a command.
pub const ACCEPTED: &str = "Accepted";

fn reference(name: &str) -> RefOr<Response> {
    RefOr::Ref(Ref::new(format!("{COMPONENTS}{name}")))
}

/// The answers of commands and of requests, by name.
pub fn components() -> Vec<(String, Value)> {
    let mut components = vec![("RequestShown".to_owned(), shown()), ("RequestEvents".to_owned(), events())];
    components.extend(of::<CouponIssued>());
    components.extend(of::<OrderPlaced>());
    components.extend(of::<BalanceCharged>());
    components
}

fn of<T: CommandResult>() -> [(String, Value); 2] {
    let text = |description: &str| json!({"description": description, "schema": {"type": "string"}});
    let location = text("The request: `/api/requests/{requestId}`.");
    let done = json!({
        "description": T::ABOUT_DONE,
        "headers": {"location": location, "preference-applied": text("`wait`")},
        "content": {"application/json": {
            "schema": {"$ref": format!("#/components/schemas/{}", T::name())},
            "example": T::example(example_id(T::KIND).as_uuid()),
        }},
    });
    let accepted = json!({
        "description": "On disk in every line that it touches: it will be decided, in order of arrival.",
        "headers": {
            "location": location,
            "retry-after": text("Seconds after which to ask; not there when it is decided already."),
        },
        "content": documents(example_id(T::KIND), T::example, &["QUEUED", "PROCESSING"]),
    });
    [(T::name().into_owned(), done), (format!("{}{}", T::name(), ACCEPTED), accepted)]
}

fn shown() -> Value {
    let id = example_id(Kind::OrderPlacement);
    let all = ["QUEUED", "PROCESSING", "SUCCEEDED", "FAILED"];
    json!({
        "description": "Where it stands, or what came of it. A final status never changes.",
        "content": documents(id, OrderPlaced::example, &all),
    })
}

fn events() -> Value {
    let id = example_id(Kind::OrderPlacement);
    let event = |status: &str| format!("event: status\ndata: {}\n\n", document(id, OrderPlaced::example, status));
    json!({
        "description": "Events `status`; the data of each is a `RequestDocument`. The stream ends after the final one.",
        "content": {"text/event-stream": {
            "schema": {"type": "string"},
            "example": event("QUEUED") + &event("SUCCEEDED"),
        }},
    })
}

/// A request document with an example for each of these statuses.
fn documents(id: RequestId, success: fn(Uuid) -> Success, statuses: &[&str]) -> Value {
    let example = |status: &&str| ((*status).to_owned(), json!({"value": document(id, success, status)}));
    let examples: serde_json::Map<String, Value> = statuses.iter().map(example).collect();
    json!({"application/json": {"schema": {"$ref": "#/components/schemas/RequestDocument"}, "examples": examples}})
}

/// What the code writes for a request with this status.
fn document(request_id: RequestId, success: fn(Uuid) -> Success, status: &str) -> Value {
    let kind = request_id.group().map_or(Kind::OrderPlacement, |group| group.kind);
    let (ticket, accepted_at) = (1_204, example_time());
    let decided = |outcome: Outcome| {
        let user_id = "user1".parse().ok();
        Found::Final(Receipt { request_id, kind, user_id, ticket, accepted_at, decided_at: example_time(), outcome })
    };
    let found = match status {
        "SUCCEEDED" => decided(Outcome::Succeeded(success(request_id.as_uuid()))),
        "FAILED" => decided(Outcome::Failed(Refusal::InsufficientBalance {
            required_amount: 90_000,
            current_balance: 50_000,
            shortfall: 40_000,
        })),
        status => {
            let position = (status == "QUEUED").then_some(37);
            Found::Waiting(InLine { request_id, kind, ticket, accepted_at, position })
        }
    };
    serde_json::to_value(found.document(Language::Korean)).expect("a document is texts and numbers")
}

fn example_id(kind: Kind) -> RequestId {
    RequestId::new(EXAMPLE_ID.parse().expect("it is a UUID"), Group { kind, spread: 0 })
}

fn example_time() -> DateTime<Utc> {
    EXAMPLE_TIME.parse().expect("it is a time")
}

/// The headers that go with a command.
pub fn headers() -> Value {
    let key = "Belongs to user, method and path. A repeat with the same body gets the same request and outcome, also \
               while the first is in flight, for at least 24 hours; with another body it is 422 `R002`.";
    let prefer = format!(
        "`wait=N`: hold the answer until the outcome is known, for up to N seconds (more than {MAX_WAIT_SECONDS} is \
         {MAX_WAIT_SECONDS}). Then it is 201 and the result, or the refusal with its own status, either with \
         `Location` and `Preference-Applied: wait`; if the time passes first, 202."
    );
    let trace = "A W3C trace context, which goes through the line with the command.";
    let keys = json!({"type": "string", "pattern": "^[!-~]+$", "minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY_CHARS});
    let text = json!({"type": "string"});
    // A page that tries calls sends every example along: no key, which would bind all that is tried to the first answer, and
    // no trace.
    json!([
        {"name": "Idempotency-Key", "in": "header", "description": key, "schema": keys},
        {"name": "Prefer", "in": "header", "description": prefer, "schema": text, "example": "wait=5"},
        {"name": "traceparent", "in": "header", "description": trace, "schema": text},
    ])
}
