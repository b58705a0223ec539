//! Plays the worker: takes a batch from the line, writes what came of it, and acks.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use common::{Command, Envelope, Group, Outcome, Receipt, Refusal, RequestId, Success};
use futures::future::BoxFuture;
use lanes::{Acked, Archive, ArchiveError, Batch, ClaimLimits, Decided, Entry, Floor, Gate, Lanes, LineLimits, Link};
use sqlx::PgPool;
use stack::wait_for_async;
use std::time::Duration;

use crate::kit::{DEADLINE, Shop};

/// `api` has seeded the line already.
struct Nothing;

impl Archive for Nothing {
    fn floor<'a>(&'a self, _: &'a lanes::Group) -> BoxFuture<'a, Result<Floor, ArchiveError>> {
        Box::pin(async { Ok(Floor::default()) })
    }
}

pub struct Worker {
    pub lanes: Lanes,
}

impl Worker {
    pub fn of(shop: &Shop, group: &str) -> Worker {
        let group: lanes::Group = group.parse().unwrap();
        let limits = LineLimits::new(1_000_000);
        let servers = lanes::Servers::new(&shop.redis.url(), None).unwrap();
        let link = Link::new(servers, vec![group.clone()], limits, Arc::new(Nothing), None, 0);
        Worker { lanes: Lanes::new(link, group, limits) }
    }

    /// What is ready now.
    pub async fn claim_now(&self) -> Option<Batch> {
        let limits = ClaimLimits { commands_max: 1_000, entries_max: 10_000, lease: Duration::from_secs(60) };
        self.lanes.claim(limits).await.unwrap().batch
    }

    /// What is ready now, or soon.
    pub async fn claim(&self) -> Batch {
        wait_for_async("a batch", DEADLINE, || self.claim_now()).await
    }

    /// Tells what came of each command.
    pub async fn ack(&self, batch: &Batch, receipts: &[Receipt], gates: Vec<Gate>) {
        let outcomes = receipts.iter().map(Receipt::encode).collect();
        let acked = self.lanes.ack(batch, &Decided { outcomes, gates }).await.unwrap();
        assert_eq!(acked, Acked::Done);
    }

    /// Takes a batch and gives every command the same kind of outcome.
    pub async fn decide(&self, outcome: impl Fn(&Entry, &Command) -> Outcome) -> Vec<Receipt> {
        let batch = self.claim().await;
        let receipts = receipts(&batch, outcome);
        self.ack(&batch, &receipts, Vec::new()).await;
        receipts
    }
}

pub fn receipts(batch: &Batch, outcome: impl Fn(&Entry, &Command) -> Outcome) -> Vec<Receipt> {
    let receipt = |entry: &Entry| {
        let command = Envelope::decode(&entry.envelope).unwrap().command;
        Receipt {
            request_id: RequestId::from_uuid(entry.id),
            kind: command.kind(),
            user_id: Some(command.user_id().clone()),
            ticket: entry.ticket,
            accepted_at: DateTime::from_timestamp_micros(entry.accepted_at_us).unwrap(),
            decided_at: Utc::now(),
            outcome: outcome(entry, &command),
        }
    };
    batch.entries.iter().map(receipt).collect()
}

/// What a command that succeeds comes to.
pub fn yes(entry: &Entry, command: &Command) -> Outcome {
    Outcome::Succeeded(match command {
        Command::ClaimCoupon(claim) => {
            Success::CouponIssued { user_coupon_id: entry.id, coupon_id: claim.coupon_id.clone(), expires_at: None }
        }
        Command::PlaceOrder(_) => Success::OrderPlaced {
            order_id: entry.id,
            total_amount: 3_000,
            discount_amount: 0,
            final_amount: 3_000,
            remaining_balance: 7_000,
        },
        Command::ChargeBalance(charge) => Success::BalanceCharged {
            charge_id: entry.id,
            previous_balance: 10_000,
            charged_amount: charge.amount,
            current_balance: 10_000 + charge.amount,
        },
    })
}

pub fn no(refusal: Refusal) -> impl Fn(&Entry, &Command) -> Outcome {
    move |_, _| Outcome::Failed(refusal.clone())
}

/// Writes outcomes where they stay.
pub async fn archive(pool: &PgPool, receipts: &[Receipt]) {
    for receipt in receipts {
        let group = receipt.request_id.group().unwrap_or(Group::ORDER);
        sqlx::query(
            "insert into requests (request_id, lane_group, ticket, batch_id, kind, user_id, lanes, status, outcome,
                                   accepted_at, decided_at)
             values ($1, $2, $3, 1, $4, $5, array['x'], $6, $7, $8, $9)",
        )
        .bind(receipt.request_id.as_uuid())
        .bind(group.to_string())
        .bind(receipt.ticket as i64)
        .bind(receipt.kind.as_str())
        .bind(receipt.user_id.as_ref().map_or("", |id| id.as_str()))
        .bind(receipt.outcome.status())
        .bind(receipt.outcome.to_json())
        .bind(receipt.accepted_at)
        .bind(receipt.decided_at)
        .execute(pool)
        .await
        .unwrap();
    }
}
