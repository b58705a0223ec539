//! The record of a decision as it is kept beside the line, for whoever asks soon after.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Kind, Outcome, OutcomeError, RequestId, UserId};

/// A decided request: everything that its document shows. The same facts stand in the archive for good.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// The request.
    pub request_id: RequestId,
    /// What was asked.
    pub kind: Kind,
    /// Who asked; nobody where the command could not be read.
    pub user_id: Option<UserId>,
    /// The arrival number.
    pub ticket: u64,
    /// When it was accepted.
    pub accepted_at: DateTime<Utc>,
    /// When it was decided.
    pub decided_at: DateTime<Utc>,
    /// What came of it.
    pub outcome: Outcome,
}

/// A receipt that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// It is not the JSON that [`Receipt::encode`] writes.
    #[error("reading a receipt")]
    Json(#[from] serde_json::Error),
    /// Its outcome does not fit its kind.
    #[error("reading the outcome of a receipt")]
    Outcome(#[from] OutcomeError),
}

/// The stored form. Short names, because a busy line writes many thousands of them a second.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    id: RequestId,
    kind: Kind,
    #[serde(rename = "user", default, skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
    ticket: u64,
    #[serde(rename = "accepted")]
    accepted_at: DateTime<Utc>,
    #[serde(rename = "decided")]
    decided_at: DateTime<Utc>,
    status: std::borrow::Cow<'a, str>,
    outcome: Value,
}

impl Receipt {
    /// The bytes that are kept.
    pub fn encode(&self) -> Vec<u8> {
        let stored = Stored {
            id: self.request_id,
            kind: self.kind,
            user_id: self.user_id.clone(),
            ticket: self.ticket,
            accepted_at: self.accepted_at,
            decided_at: self.decided_at,
            status: self.outcome.status().into(),
            outcome: self.outcome.to_json(),
        };
        serde_json::to_vec(&stored).expect("a receipt has no maps with keys that are not text")
    }

    /// Reads what [`Receipt::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let stored: Stored<'_> = serde_json::from_slice(bytes)?;
        Ok(Self {
            request_id: stored.id,
            kind: stored.kind,
            user_id: stored.user_id,
            ticket: stored.ticket,
            accepted_at: stored.accepted_at,
            decided_at: stored.decided_at,
            outcome: Outcome::from_json(stored.kind, &stored.status, stored.outcome)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Group, Refusal, Success};
    use uuid::Uuid;

    #[test]
    fn a_receipt_is_read_as_it_was_written() {
        let at = DateTime::from_timestamp_micros(1_790_000_000_123_456).expect("a time");
        let request_id = RequestId::new(Uuid::from_u128(7), Group::ORDER);
        let outcomes = [
            Outcome::Failed(Refusal::CouponSoldOut),
            Outcome::Succeeded(Success::OrderPlaced {
                order_id: request_id.as_uuid(),
                total_amount: 10,
                discount_amount: 3,
                final_amount: 7,
                remaining_balance: 0,
            }),
        ];
        for outcome in outcomes {
            let user_id = "user1".parse().ok();
            let receipt = Receipt {
                request_id,
                kind: Kind::OrderPlacement,
                user_id,
                ticket: 3,
                accepted_at: at,
                decided_at: at,
                outcome,
            };
            assert_eq!(Receipt::decode(&receipt.encode()).expect("readable"), receipt);
        }
    }
}
