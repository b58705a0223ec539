//! Outcomes that are there already: this batch was decided before and its ack was lost, or a shopper repeated a command
//! with the same key after Redis had forgotten it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use common::{Kind, Outcome, Receipt, RequestId, UserId};
use serde_json::Value;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::{Doing, StoreError};

/// An outcome that was stored before.
#[derive(Debug, Clone)]
pub struct EarlierOutcome {
    /// The request that it belongs to.
    pub request_id: RequestId,
    /// What was asked.
    pub kind: Kind,
    /// Who asked.
    pub user_id: Option<UserId>,
    /// Its ticket.
    pub ticket: u64,
    /// When it was accepted.
    pub accepted_at: DateTime<Utc>,
    /// When it was decided.
    pub decided_at: DateTime<Utc>,
    /// What came of it.
    pub outcome: Outcome,
    /// The hash of its body, where it came with an idempotency key.
    pub body_hash: Option<Vec<u8>>,
}

impl EarlierOutcome {
    /// As it is told.
    pub fn receipt(&self) -> Receipt {
        Receipt {
            request_id: self.request_id,
            kind: self.kind,
            user_id: self.user_id.clone(),
            ticket: self.ticket,
            accepted_at: self.accepted_at,
            decided_at: self.decided_at,
            outcome: self.outcome.clone(),
        }
    }
}

/// The outcomes that were found.
#[derive(Debug, Default)]
pub struct Earlier {
    /// By request.
    pub by_request: HashMap<Uuid, EarlierOutcome>,
    /// By idempotency key.
    pub by_key: HashMap<Vec<u8>, EarlierOutcome>,
}

#[derive(FromRow)]
struct Row {
    request_id: Uuid,
    kind: String,
    user_id: Option<String>,
    ticket: i64,
    accepted_at: DateTime<Utc>,
    decided_at: DateTime<Utc>,
    status: String,
    outcome: Value,
    idempotency_key: Option<Vec<u8>>,
    body_hash: Option<Vec<u8>>,
}

const DOING: &str = "looking for earlier outcomes";

/// Looks for the outcomes of these requests and of these idempotency keys. A statement after the one that locked, so
/// that it sees what was committed while the lock was waited for.
///
/// # Errors
/// When Postgres fails, or a row cannot be read.
pub async fn earlier(connection: &mut PgConnection, ids: &[Uuid], keys: &[Vec<u8>]) -> Result<Earlier, StoreError> {
    let mut earlier = Earlier::default();
    let by_request: Vec<Row> = sqlx::query_as(
        "select request_id, kind, user_id, ticket, accepted_at, decided_at, status, outcome, idempotency_key, body_hash
           from requests
          where request_id = any($1)",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await
    .doing(DOING)?;
    for row in by_request {
        earlier.by_request.insert(row.request_id, row.read()?);
    }
    if keys.is_empty() {
        return Ok(earlier);
    }
    let by_key: Vec<Row> = sqlx::query_as(
        "select request_id, kind, user_id, ticket, accepted_at, decided_at, status, outcome, idempotency_key, body_hash
           from requests
          where idempotency_key = any($1)",
    )
    .bind(keys)
    .fetch_all(connection)
    .await
    .doing(DOING)?;
    for mut row in by_key {
        let key = row.idempotency_key.take().unwrap_or_default();
        earlier.by_key.insert(key, row.read()?);
    }
    Ok(earlier)
}

impl Row {
    fn read(self) -> Result<EarlierOutcome, StoreError> {
        let id = self.request_id;
        let unreadable = |why: String| StoreError::Unreadable { doing: DOING, row: id.to_string(), why };
        let kind: Kind = self.kind.parse().map_err(|error: common::UnknownKind| unreadable(error.to_string()))?;
        let outcome =
            Outcome::from_json(kind, &self.status, self.outcome).map_err(|error| unreadable(error.to_string()))?;
        Ok(EarlierOutcome {
            request_id: RequestId::from_uuid(id),
            kind,
            user_id: self.user_id.and_then(|user| user.parse().ok()),
            ticket: self.ticket.unsigned_abs(),
            accepted_at: self.accepted_at,
            decided_at: self.decided_at,
            outcome,
            body_hash: self.body_hash,
        })
    }
}
