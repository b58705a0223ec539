//! The only way into a line: room, shape, who it is, how often, key, gate, append. The door asks for room ([`crate::room`]), the
//! handlers check shape and caller; from there on a command is a command, and [`crate::enter`] finds its place.

use std::time::Duration;

use anyhow::anyhow;
use axum::Json;
use axum::http::header::{CACHE_CONTROL, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use common::limits::{MAX_IDEMPOTENCY_KEY_CHARS, MAX_WAIT_SECONDS};
use common::{Command, Group, Kind, Outcome, Receipt, RequestId, Trace};
use lanes::{Appended, TurnedAway};
use runtime::traces::trace_of;
use serde_json::json;
use uuid::Uuid;

use crate::auth::Caller;
use crate::client::Client;
use crate::enter::enter;
use crate::error_table::Code;
use crate::language::Language;
use crate::lines::Line;
use crate::problem::Problem;
use crate::room::no_room;
use crate::state::AppState;
use crate::status::{Found, InLine, look_up, time_of, wait_for};
use crate::wait::{Waiter, end_after};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const HUMAN_TOKEN: HeaderName = HeaderName::from_static("human-token");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

const MS_PER_SECOND: u64 = 1_000;

/// What a client wants besides the command itself, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    client: Client,
    key: Option<String>,
    human_token: Option<String>,
    wait: Option<Duration>,
    /// Whether the client said how long, be it not at all; it is told when that was done.
    preferred: bool,
    trace: Option<Trace>,
    language: Language,
}

impl Wishes {
    /// Reads the headers.
    ///
    /// # Errors
    /// V001 for an `Idempotency-Key` that is none. A preference that is not understood is no error (RFC 7240).
    pub fn read(client: Client, headers: &HeaderMap) -> Result<Wishes, Problem> {
        let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
        let key = match (keys.next(), keys.next()) {
            (None, _) => None,
            (Some(key), None) if is_key(key.as_bytes()) => key.to_str().ok().map(str::to_owned),
            _ => {
                let rule = format!("must be 1 to {MAX_IDEMPOTENCY_KEY_CHARS} visible characters, and given once");
                return Err(Problem::field("Idempotency-Key", rule));
            }
        };
        let preferred = preferred_wait(headers);
        Ok(Wishes {
            client,
            key,
            human_token: human_token(headers),
            wait: preferred.and_then(bounded_wait),
            preferred: preferred.is_some(),
            trace: trace_of(headers),
            language: Language::of(headers),
        })
    }

    /// Where the client is.
    pub fn client(&self) -> Client {
        self.client
    }

    /// The idempotency key.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The proof of being human, if one was brought; empty: none that could be read.
    pub fn human_token(&self) -> Option<&str> {
        self.human_token.as_deref()
    }

    /// How long the outcome is waited for; none: not at all. See [`crate::fuzzing`].
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// The trace that the command belongs to.
    pub fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    /// Who says nothing of a wait waits so long all the same.
    #[must_use]
    pub fn waiting(self, usual: Duration) -> Wishes {
        if self.preferred { self } else { Wishes { wait: Some(usual), ..self } }
    }
}

/// What is no text, or given twice, is a proof that proves nothing.
fn human_token(headers: &HeaderMap) -> Option<String> {
    let mut tokens = headers.get_all(HUMAN_TOKEN).iter();
    let token = match (tokens.next()?, tokens.next()) {
        (token, None) => token.to_str().unwrap_or_default(),
        (_, Some(_)) => "",
    };
    Some(token.to_owned())
}

fn is_key(key: &[u8]) -> bool {
    (1..=MAX_IDEMPOTENCY_KEY_CHARS).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic)
}

/// The seconds of `Prefer: respond-async, wait=10`, if it says any.
fn preferred_wait(headers: &HeaderMap) -> Option<u64> {
    let lists = headers.get_all(PREFER).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("wait").then(|| value.parse::<u64>().ok())?
    })
}

/// How long somebody waits who asked for so many seconds; none: not at all.
pub fn bounded_wait(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds.min(MAX_WAIT_SECONDS)))
}

fn line_of(state: &AppState, group: Group) -> Result<&Line, Problem> {
    state.lines.of(group).ok_or_else(|| Problem::unavailable(anyhow!("there is no line of the group {group}")))
}

/// Puts a command in line and answers: 202 with its document or, if the client waits for it, what came of it.
///
/// # Errors
/// The refusals of the door, faults, and with `Prefer: wait` the line's own "no".
pub async fn submit(state: &AppState, wishes: Wishes, caller: Caller, command: Command) -> Result<Response, Problem> {
    let group = command.group(state.lines.coupon_groups());
    let line = line_of(state, group)?;
    // The address first: a flood from it must not use up what a shopper whom it names may send.
    if let Err(problem) = state.address_limit.check(&wishes.client.network()) {
        line.counters.address_rate_limited.increment(1);
        return Err(problem);
    }
    if let Err(problem) = state.user_limit.check(command.user_id()) {
        line.counters.rate_limited.increment(1);
        return Err(problem);
    }
    if !state.durability.may_accept(line.lanes.group()) {
        line.counters.unavailable.increment(1);
        return Err(Problem::unavailable(anyhow!("the Redis of {group} has not shown that it keeps what it accepts")));
    }
    let id = RequestId::new(Uuid::now_v7(), group);
    // Before the append: the outcome may be there before its answer is.
    let waiter = wishes.wait.and_then(|_| state.waiters.register(id));
    match enter(state, line, id, &command, &wishes).await? {
        Appended::Accepted { ticket, accepted_at_us, position } => {
            line.counters.accepted.increment(1);
            let accepted = Found::Waiting(InLine {
                request_id: id,
                kind: command.kind(),
                ticket,
                accepted_at: time_of(accepted_at_us),
                position: Some(position),
            });
            answer_accepted(state, &wishes, &caller, id, waiter, accepted).await
        }
        // The first call of a repeated one was already decided when the second came.
        Appended::Decided => {
            line.counters.accepted.increment(1);
            answer_known(state, &wishes, &caller, id, waiter).await
        }
        Appended::Repeated(first) => {
            line.counters.repeated.increment(1);
            let first = RequestId::from_uuid(first);
            let waiter = wishes.wait.and_then(|_| state.waiters.register(first));
            answer_known(state, &wishes, &caller, first, waiter).await
        }
        Appended::KeyReused(_) => {
            line.counters.key_reused.increment(1);
            Err(Problem::new(Code::R002))
        }
        Appended::Full => Err(no_room(line, TurnedAway::Full)),
        Appended::LaneFull => {
            line.counters.lane_full.increment(1);
            Err(Problem::new(Code::R004).retry())
        }
        // Both were made an answer of before.
        Appended::GateClosed | Appended::UsedUp => {
            Err(Problem::internal(anyhow!("a gate or a quota that was not asked said no")))
        }
    }
}

async fn answer_accepted(
    state: &AppState,
    wishes: &Wishes,
    caller: &Caller,
    id: RequestId,
    waiter: Option<Waiter>,
    accepted: Found,
) -> Result<Response, Problem> {
    let (Some(waiter), Some(wait)) = (waiter, wishes.wait) else {
        return Ok(accepted_answer(id, &accepted, wishes.language));
    };
    match wait_for(state, id, caller, waiter, end_after(wait)).await {
        Ok(Found::Final(receipt)) => Ok(final_answer(&receipt, wishes)),
        Ok(waiting) => Ok(accepted_answer(id, &waiting, wishes.language)),
        // It is in the line, whatever we know by now.
        Err(_) => Ok(accepted_answer(id, &accepted, wishes.language)),
    }
}

/// Answers for a request that was accepted earlier.
async fn answer_known(
    state: &AppState,
    wishes: &Wishes,
    caller: &Caller,
    id: RequestId,
    waiter: Option<Waiter>,
) -> Result<Response, Problem> {
    let with_id = |problem: Problem| problem.with("requestId", json!(id));
    let found = match (look_up(state, id, caller).await.map_err(with_id)?, waiter, wishes.wait) {
        (found @ Found::Waiting(_), Some(waiter), Some(wait)) => {
            wait_for(state, id, caller, waiter, end_after(wait)).await.unwrap_or(found)
        }
        (found, _, _) => found,
    };
    match &found {
        Found::Final(receipt) if wishes.wait.is_some() => Ok(final_answer(receipt, wishes)),
        found => Ok(accepted_answer(id, found, wishes.language)),
    }
}

/// 202: it is on disk and will be decided.
fn accepted_answer(id: RequestId, found: &Found, language: Language) -> Response {
    let mut response = found.answer(language);
    *response.status_mut() = StatusCode::ACCEPTED;
    if let Found::Waiting(in_line) = found {
        let seconds = in_line.next_poll_ms().div_ceil(MS_PER_SECOND);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    with_location(response, id)
}

/// The synchronous answer: 201 and the result, or the error with its own status. A charge makes nothing new, so it is 200.
fn final_answer(receipt: &Receipt, wishes: &Wishes) -> Response {
    let done = if receipt.kind == Kind::BalanceCharge { StatusCode::OK } else { StatusCode::CREATED };
    let mut response = match &receipt.outcome {
        Outcome::Succeeded(success) => (done, Json(success)).into_response(),
        Outcome::Failed(refusal) => Problem::refused(refusal).into_response(),
    };
    let headers = response.headers_mut();
    if wishes.preferred {
        headers.insert(PREFERENCE_APPLIED, HeaderValue::from_static("wait"));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    with_location(response, receipt.request_id)
}

fn with_location(mut response: Response, id: RequestId) -> Response {
    let location = HeaderValue::try_from(format!("/api/requests/{id}")).expect("a UUID has only visible characters");
    response.headers_mut().insert(LOCATION, location);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    const HOME: Client = Client(IpAddr::V4(Ipv4Addr::LOCALHOST));

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn waits_that_clients_prefer() {
        const USUAL_SECONDS: u64 = 7;
        // What is waited, and what a command waits that waits by itself.
        let rows: [(&[&str], Option<u64>, Option<u64>); 12] = [
            (&[], None, Some(USUAL_SECONDS)),
            (&["wait=10"], Some(10), Some(10)),
            (&["Wait=10"], Some(10), Some(10)),
            (&["respond-async, wait=10"], Some(10), Some(10)),
            (&["respond-async", "wait=10"], Some(10), Some(10)),
            (&["wait=\"10\"; foo=bar"], Some(10), Some(10)),
            (&["wait=31"], Some(30), Some(30)),
            (&["wait=99999999999"], Some(30), Some(30)),
            (&["wait=0"], None, None),
            (&["wait=-1"], None, Some(USUAL_SECONDS)),
            (&["wait"], None, Some(USUAL_SECONDS)),
            (&["wait=soon, waiting=3"], None, Some(USUAL_SECONDS)),
        ];
        for (values, seconds, by_itself) in rows {
            let wishes = Wishes::read(HOME, &headers(PREFER, values)).unwrap();
            assert_eq!(wishes.wait, seconds.map(Duration::from_secs), "{values:?}");
            let waiting = wishes.waiting(Duration::from_secs(USUAL_SECONDS));
            assert_eq!(waiting.wait, by_itself.map(Duration::from_secs), "{values:?}");
        }
    }

    #[test]
    fn keys_that_clients_choose() {
        let longest = "k".repeat(MAX_IDEMPOTENCY_KEY_CHARS);
        for good in ["1", "8e03978e-40d5-43dd-bc93-6894a57f9324", "\"quoted\"", "~!/", &longest] {
            let wishes = Wishes::read(HOME, &headers(IDEMPOTENCY_KEY, &[good])).expect(good);
            assert_eq!(wishes.key.as_deref(), Some(good));
        }
        let too_long = "k".repeat(MAX_IDEMPOTENCY_KEY_CHARS + 1);
        let bad: [&[&str]; 4] = [&[""], &["two words"], &["once", "twice"], &[&too_long]];
        for values in bad {
            let problem = Wishes::read(HOME, &headers(IDEMPOTENCY_KEY, values)).expect_err("a refusal");
            assert_eq!(problem.code(), Code::V001, "{values:?}");
        }
    }
}
