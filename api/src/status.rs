//! The request document: where a request stands, or what came of it.

use axum::Json;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use common::{Envelope, Group, Kind, Outcome, Receipt, RequestId, Success, UserId};
use lanes::Status;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::error_table::Code;
use crate::language::Language;
use crate::openapi::shapes;
use crate::problem::{Problem, document_error};
use crate::state::AppState;
use crate::wait::{Waiter, Woken};

/// Nobody needs to ask more often than this.
const POLL_MIN_MS: u64 = 200;

/// Nobody is told to wait longer than this: the line may get shorter all at once, and a shopper looks at a clock.
const POLL_MAX_MS: u64 = 5_000;

/// A gateway is not as quick as a line, and may be asked again only after half a minute.
const POLL_AT_THE_GATEWAY_MS: u64 = 1_000;

/// A line moves by about this many commands a millisecond when the shop is busy, so asking earlier only makes it
/// slower.
const COMMANDS_DECIDED_PER_MS: u64 = 20;

/// Where a request stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// Without an outcome yet.
    Waiting(InLine),
    /// Decided, for good.
    Final(Receipt),
}

/// A request without an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InLine {
    /// The request.
    pub request_id: RequestId,
    /// What was asked.
    pub kind: Kind,
    /// Its arrival number.
    pub ticket: u64,
    /// When it was accepted.
    pub accepted_at: DateTime<Utc>,
    /// Commands ahead on the longest of its lanes; none: a worker has it.
    pub position: Option<u64>,
}

impl InLine {
    /// When it makes sense to ask again, in milliseconds; grows with the position.
    pub fn next_poll_ms(&self) -> u64 {
        let Some(ahead) = self.position else {
            return if self.kind == Kind::BalanceCharge { POLL_AT_THE_GATEWAY_MS } else { POLL_MIN_MS };
        };
        (ahead / COMMANDS_DECIDED_PER_MS).clamp(POLL_MIN_MS, POLL_MAX_MS)
    }
}

/// The time that the line gives, as the documents show it.
pub fn time_of(microseconds: i64) -> DateTime<Utc> {
    // Microseconds reach far beyond the years that a date can have; a clock that says so is 1970's.
    DateTime::from_timestamp_micros(microseconds).unwrap_or_default()
}

/// Looks a request up: in the line, else in Postgres.
///
/// # Errors
/// R001 when there is no such request, or it is somebody else's; R005 when that cannot be known now.
pub async fn look_up(state: &AppState, id: RequestId, caller: &Caller) -> Result<Found, Problem> {
    let Some(group) = id.group() else {
        return Err(unknown());
    };
    let in_line = match state.lines.of(group) {
        Some(line) => line.lanes.status(id.as_uuid()).await,
        None => Ok(Status::Unknown),
    };
    match in_line {
        Ok(Status::Waiting { ticket, accepted_at_us, in_flight, position, may_be_decided, envelope }) => {
            check_owner(caller, &envelope)?;
            if may_be_decided && let Some(found) = archived(state, id, caller).await? {
                return Ok(found);
            }
            Ok(Found::Waiting(InLine {
                request_id: id,
                kind: group.kind,
                ticket,
                accepted_at: time_of(accepted_at_us),
                position: (!in_flight).then_some(position),
            }))
        }
        Ok(Status::Decided(receipt)) if !receipt.is_empty() => shown(decoded(&receipt)?, caller),
        // An outcome that was left open: Postgres knows whether it is settled by now.
        Ok(Status::Unknown | Status::Decided(_)) => archived(state, id, caller).await?.ok_or_else(unknown),
        // Postgres may know an outcome. But while its ack is still to come the line would say again that it waits, and what
        // is final must stay so.
        Err(error) => Err(error.into()),
    }
}

fn unknown() -> Problem {
    Problem::new(Code::R001)
}

fn check_owner(caller: &Caller, envelope: &[u8]) -> Result<(), Problem> {
    if *caller == Caller::Anyone {
        return Ok(());
    }
    let envelope = Envelope::decode(envelope).map_err(Problem::unavailable)?;
    if caller.may_see(Some(envelope.command.user_id())) { Ok(()) } else { Err(unknown()) }
}

fn shown(receipt: Receipt, caller: &Caller) -> Result<Found, Problem> {
    if caller.may_see(receipt.user_id.as_ref()) { Ok(Found::Final(receipt)) } else { Err(unknown()) }
}

/// Reads a receipt as the line keeps it.
///
/// # Errors
/// X003 when it is none.
pub fn decoded(receipt: &[u8]) -> Result<Receipt, Problem> {
    Receipt::decode(receipt).map_err(Problem::internal)
}

#[derive(sqlx::FromRow)]
struct Row {
    kind: String,
    user_id: Option<String>,
    ticket: i64,
    status: String,
    outcome: Value,
    accepted_at: DateTime<Utc>,
    decided_at: DateTime<Utc>,
}

/// What Postgres knows: that a charge has begun, or the outcome. In this order: a charge that is settled meanwhile is found as
/// an outcome.
async fn archived(state: &AppState, id: RequestId, caller: &Caller) -> Result<Option<Found>, Problem> {
    if let Some(charge) = pending_charge(state, id).await? {
        if !caller.may_see(charge.user_id.parse::<UserId>().ok().as_ref()) {
            return Err(unknown());
        }
        return Ok(Some(Found::Waiting(InLine {
            request_id: id,
            kind: Kind::BalanceCharge,
            ticket: charge.ticket.unsigned_abs(),
            accepted_at: charge.accepted_at,
            position: None,
        })));
    }
    let row: Option<Row> = sqlx::query_as(
        "select kind, user_id, ticket, status, outcome, accepted_at, decided_at
           from requests
          where request_id = $1",
    )
    .bind(id.as_uuid())
    .fetch_optional(&state.pool)
    .await?;
    row.map(|row| shown(row.receipt(id).map_err(Problem::internal)?, caller)).transpose()
}

/// A charge that has left the line and is not settled yet.
#[derive(sqlx::FromRow)]
pub struct PendingCharge {
    /// Whose balance.
    pub user_id: String,
    /// Its arrival number.
    pub ticket: i64,
    /// When it was accepted.
    pub accepted_at: DateTime<Utc>,
}

/// The charge of this request, if it is one that is not settled yet.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn pending_charge(state: &AppState, id: RequestId) -> Result<Option<PendingCharge>, Problem> {
    if id.group() != Some(Group::CHARGE) {
        return Ok(None);
    }
    let charge = sqlx::query_as(
        "select user_id, ticket, accepted_at
           from charges
          where charge_id = $1 and status = 'PENDING'",
    );
    Ok(charge.bind(id.as_uuid()).fetch_optional(&state.pool).await?)
}

impl Row {
    fn receipt(self, request_id: RequestId) -> anyhow::Result<Receipt> {
        let kind: Kind = self.kind.parse()?;
        Ok(Receipt {
            request_id,
            kind,
            // A command that nobody could read was nobody's.
            user_id: self.user_id.and_then(|user| user.parse::<UserId>().ok()),
            ticket: u64::try_from(self.ticket)?,
            accepted_at: self.accepted_at,
            decided_at: self.decided_at,
            outcome: Outcome::from_json(kind, &self.status, self.outcome)?,
        })
    }
}

/// Waits until a request is final, at most until `end`, and gives what is known then. The waiter was registered before
/// the caller looked at the request, or put it in the line.
///
/// # Errors
/// As [`look_up`].
pub async fn wait_for(
    state: &AppState,
    id: RequestId,
    caller: &Caller,
    waiter: Waiter,
    end: Instant,
) -> Result<Found, Problem> {
    let mut waiter = waiter;
    loop {
        match waiter.woken(end).await {
            Woken::Decided(receipt) => return shown(decoded(&receipt)?, caller),
            Woken::Over => return look_up(state, id, caller).await,
            Woken::LookAgain => {
                let again = state.waiters.register(id);
                let found = look_up(state, id, caller).await?;
                match (found, again) {
                    (Found::Waiting(_), Some(again)) => waiter = again,
                    (found, _) => return Ok(found),
                }
            }
        }
    }
}

/// The request document of the contract.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RequestDocument)]
pub struct Document<'a> {
    #[schema(value_type = uuid::Uuid)]
    request_id: RequestId,
    #[schema(value_type = shapes::RequestKind)]
    kind: Kind,
    #[schema(value_type = shapes::Status)]
    status: &'static str,
    ticket: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_poll_ms: Option<u64>,
    accepted_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<shapes::CommandResult>)]
    result: Option<&'a Success>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<shapes::CommandError>)]
    error: Option<Value>,
}

impl Found {
    /// Writes the document in the language of the reader.
    pub fn document(&self, language: Language) -> Document<'_> {
        match self {
            Found::Waiting(in_line) => in_line.document(),
            Found::Final(receipt) => {
                let (result, error) = match &receipt.outcome {
                    Outcome::Succeeded(success) => (Some(success), None),
                    Outcome::Failed(refusal) => (None, Some(document_error(refusal, language))),
                };
                Document {
                    request_id: receipt.request_id,
                    kind: receipt.kind,
                    status: receipt.outcome.status(),
                    ticket: receipt.ticket,
                    position: None,
                    next_poll_ms: None,
                    accepted_at: receipt.accepted_at,
                    decided_at: Some(receipt.decided_at),
                    result,
                    error,
                }
            }
        }
    }

    /// The document as an answer, which nobody may keep: the next one can differ.
    pub fn answer(&self, language: Language) -> Response {
        let mut response = Json(self.document(language)).into_response();
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl InLine {
    fn document(&self) -> Document<'static> {
        Document {
            request_id: self.request_id,
            kind: self.kind,
            status: if self.position.is_some() { "QUEUED" } else { "PROCESSING" },
            ticket: self.ticket,
            position: self.position,
            next_poll_ms: Some(self.next_poll_ms()),
            accepted_at: self.accepted_at,
            decided_at: None,
            result: None,
            error: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::Group;
    use uuid::Uuid;

    fn in_line(position: Option<u64>) -> InLine {
        InLine {
            request_id: RequestId::new(Uuid::now_v7(), Group::ORDER),
            kind: Kind::OrderPlacement,
            ticket: 7,
            accepted_at: time_of(1_790_000_000_123_456),
            position,
        }
    }

    #[test]
    fn the_next_poll_grows_with_the_position() {
        let rows = [
            (None, 200),
            (Some(0), 200),
            (Some(4_000), 200),
            (Some(10_000), 500),
            (Some(100_000), 5_000),
            (Some(u64::MAX), 5_000),
        ];
        for (position, meant) in rows {
            assert_eq!(in_line(position).next_poll_ms(), meant, "{position:?}");
        }
        let charge = |position| InLine { kind: Kind::BalanceCharge, ..in_line(position) };
        assert_eq!((charge(Some(0)).next_poll_ms(), charge(None).next_poll_ms()), (200, 1_000));
    }

    #[test]
    fn a_position_is_shown_only_while_queued() {
        let queued = serde_json::to_value(in_line(Some(3)).document()).unwrap();
        assert_eq!((&queued["status"], &queued["position"]), (&"QUEUED".into(), &3.into()));
        let processing = serde_json::to_value(in_line(None).document()).unwrap();
        assert_eq!(processing["status"], "PROCESSING");
        assert_eq!(processing["acceptedAt"], "2026-09-21T14:13:20.123456Z");
        for absent in ["position", "decidedAt", "result", "error"] {
            assert!(processing.get(absent).is_none(), "{absent}");
        }
    }
}
