//! A charge from its turn in line to its outcome. It is noted before the gateway is asked, and the gateway is asked with no
//! transaction open; whatever dies in between, settlement asks again with the same key. What the gateway does not say in
//! time is left to settlement, too, and the lane is free for the next charge.

use std::time::Duration;

use common::{ChargeBalance, Command, Outcome, Payment, Receipt, Refusal, RequestId};
use lanes::{Batch, Decided, Entry, Lanes};
use runtime::causes::chain;
use runtime::fault_points::{Point, reached};
use runtime::postgres::{Timeouts, begin};
use sqlx::{PgConnection, PgPool};
use tokio::time::Instant;
use uuid::Uuid;

use crate::Shop;
use crate::batch::{accepted, instant, key};
use crate::clients::gateway::{Asked, Gateway};
use crate::faults::BatchFault;
use crate::jobs::alerts;
use crate::metrics::record_outcomes;
use crate::store::{self, BatchRow, NewCharge, OutcomeRow, StoreError};

/// How long a claim of a charge outlasts the question: noting what came of it must not race the next question.
pub(crate) const CLAIM_MARGIN: Duration = Duration::from_secs(5);

/// Settlement asks for the first time this long after the charge began.
const FIRST_PAUSE: Duration = Duration::from_secs(30);

/// How often a charge is begun anew because somebody else began or settled it meanwhile.
const BEGIN_TRIES_MAX: usize = 3;

/// What is left to do after the first transaction.
enum Begun {
    /// To ask the gateway.
    Ask,
    /// Nothing here: settlement does it, or has another charge with this one's key in hand.
    Pending,
    /// Nothing: this is the outcome.
    Final(Box<Receipt>),
}

impl Shop {
    /// Decides the one charge of a batch, or leaves its outcome open.
    pub(crate) async fn charge(&self, gateway: &Gateway, batch: &Batch) -> Result<Decided, BatchFault> {
        let entry = batch.entries.first().expect("a batch is never empty");
        let command = accepted(entry)?.command;
        let Command::ChargeBalance(charge) = &command else {
            return Err(BatchFault::NotOfThisGroup);
        };
        let method = charge.payment_method.as_deref().unwrap_or(gateway.default_method());
        let outcome = match self.begin_charge(batch, entry, charge, method, gateway.timeout()).await? {
            Begun::Pending => None,
            Begun::Final(receipt) => Some(*receipt),
            Begun::Ask => {
                reached(Point::BeforeGateway);
                let asked =
                    Asked { charge_id: entry.id, amount: charge.amount, payment_method: method, gateway_id: None };
                let answer = gateway.ask(asked).await;
                reached(Point::AfterGateway);
                match answer.payment {
                    Ok(payment) => self.settle_at_once(batch, &payment, answer.gateway_id.as_deref()).await,
                    Err(why) => {
                        tracing::warn!("what came of charge {} is not known yet: the gateway {why}", entry.id);
                        self.leave_open(entry.id, &why, answer.gateway_id.as_deref()).await;
                        None
                    }
                }
            }
        };
        Ok(Decided { outcomes: vec![outcome.map(|receipt| receipt.encode()).unwrap_or_default()], gates: vec![] })
    }

    /// Whether the batch is a charge that has begun and is not settled.
    pub(crate) async fn is_pending_charge(&self, batch: &Batch) -> Result<bool, BatchFault> {
        let entry = batch.entries.first().expect("a batch is never empty");
        let mut connection = self.pool.acquire().await.map_err(BatchFault::begin)?;
        Ok(store::is_pending_charge(&mut connection, entry.id).await?)
    }

    async fn begin_charge(
        &self,
        batch: &Batch,
        entry: &Entry,
        charge: &ChargeBalance,
        method: &str,
        timeout: Duration,
    ) -> Result<Begun, BatchFault> {
        let key = key(entry);
        let new = NewCharge {
            charge_id: entry.id,
            user_id: &charge.user_id,
            amount: charge.amount,
            payment_method: method,
            ticket: entry.ticket,
            accepted_at: instant(entry.accepted_at_us),
            key: key.as_ref(),
        };
        for _ in 0..BEGIN_TRIES_MAX {
            match self.begin_once(batch, entry, &new, timeout).await {
                Err(BatchFault::DecidedMeanwhile { .. }) => {}
                other => return other,
            }
        }
        Err(BatchFault::DecidedMeanwhile { source: None })
    }

    async fn begin_once(
        &self,
        batch: &Batch,
        entry: &Entry,
        new: &NewCharge<'_>,
        timeout: Duration,
    ) -> Result<Begun, BatchFault> {
        let mut transaction = begin(&self.pool, self.timeouts).await.map_err(BatchFault::begin)?;
        let first = store::earlier_charge(&mut transaction, entry.id, new.key).await?;
        // The charge itself, or the one whose key it has.
        let known = first.as_ref().map_or(entry.id, |first| first.charge_id);
        let earlier = store::earlier(&mut transaction, &[entry.id, known], &[]).await?;
        if let Some(found) = earlier.by_request.get(&entry.id) {
            return Ok(Begun::Final(Box::new(found.receipt())));
        }
        let begun = match first {
            Some(first) if first.charge_id == entry.id => {
                store::hasten_charge(&mut transaction, entry.id).await?;
                Begun::Pending
            }
            Some(first) if first.body_hash.as_ref() != new.key.map(|key| &key.body) => {
                let refused = Outcome::Failed(Refusal::IdempotencyKeyReused);
                self.decide_at_once(&mut transaction, batch, new, refused, None).await?
            }
            Some(first) if first.settled => {
                let outcome = earlier.by_request.get(&first.charge_id).map(|found| found.outcome.clone());
                let outcome = outcome.ok_or(BatchFault::DecidedMeanwhile { source: None })?;
                self.decide_at_once(&mut transaction, batch, new, outcome, Some(first.charge_id)).await?
            }
            first => {
                let repeat_of = first.map(|first| first.charge_id);
                let row = store::insert_batch(&mut transaction, self.row_of_charge(batch, entry)).await?;
                let times = (timeout + CLAIM_MARGIN, FIRST_PAUSE.max(timeout + CLAIM_MARGIN));
                store::begin_charge(&mut transaction, new, row, repeat_of, times).await?;
                if repeat_of.is_some() { Begun::Pending } else { Begun::Ask }
            }
        };
        transaction.commit().await.map_err(BatchFault::commit)?;
        Ok(begun)
    }

    fn row_of_charge<'a>(&'a self, batch: &'a Batch, entry: &Entry) -> BatchRow<'a> {
        BatchRow {
            group: batch.group.as_str(),
            first_ticket: entry.ticket,
            last_ticket: entry.ticket,
            size: 1,
            worker: &self.name,
            claimed_at: instant(batch.claimed_at_us),
        }
    }

    /// Records an outcome that needs no gateway: a copy of an earlier one, or a refusal.
    async fn decide_at_once(
        &self,
        connection: &mut PgConnection,
        batch: &Batch,
        new: &NewCharge<'_>,
        outcome: Outcome,
        repeat_of: Option<Uuid>,
    ) -> Result<Begun, BatchFault> {
        let entry = batch.entries.first().expect("a batch is never empty");
        let (batch_id, decided_at) = store::insert_batch(connection, self.row_of_charge(batch, entry)).await?;
        let receipt = Receipt {
            request_id: RequestId::from_uuid(new.charge_id),
            kind: common::Kind::BalanceCharge,
            user_id: Some(new.user_id.clone()),
            ticket: new.ticket,
            accepted_at: new.accepted_at,
            decided_at,
            outcome,
        };
        let row = OutcomeRow {
            request_id: new.charge_id,
            ticket: new.ticket,
            kind: receipt.kind,
            user_id: Some(new.user_id.as_str()),
            lanes: &entry.lanes,
            accepted_at: new.accepted_at,
            outcome: &receipt.outcome,
            key: None,
            repeat_of,
        };
        store::insert_outcomes(connection, batch.group.as_str(), batch_id, decided_at, &[row]).await?;
        Ok(Begun::Final(Box::new(receipt)))
    }

    /// What the gateway said is written down. Where that fails it is left to settlement, which asks again and hears the same:
    /// the lane need not wait for Postgres.
    async fn settle_at_once(&self, batch: &Batch, payment: &Payment, gateway_id: Option<&str>) -> Option<Receipt> {
        let charge_id = batch.entries.first().expect("a batch is never empty").id;
        let began = Instant::now();
        match settle(&self.pool, self.timeouts, charge_id, payment, gateway_id).await {
            Ok(Some(mut receipts)) => {
                record_outcomes(batch.group.as_str(), receipts.iter(), began.elapsed());
                let own = receipts.swap_remove(0);
                tell(self.lanes_of(&batch.group), &receipts).await;
                Some(own)
            }
            // Somebody else was quicker, and has told it.
            Ok(None) => None,
            Err(error) => {
                tracing::warn!("charge {charge_id} could not be settled, and will be later: {}", chain(&error));
                None
            }
        }
    }

    /// That this fails does no harm: the charge is asked about all the same.
    async fn leave_open(&self, charge_id: Uuid, why: &str, gateway_id: Option<&str>) {
        let noted = store::note_unknown_charge(&self.pool, charge_id, why, gateway_id, FIRST_PAUSE).await;
        if let Err(error) = noted {
            tracing::warn!("noting that charge {charge_id} is not known failed: {}", chain(&error));
        }
    }
}

/// Settles a charge with what the gateway, or an operator, says of it. None: it was settled before.
///
/// # Errors
/// When Postgres fails. It may have happened.
pub(crate) async fn settle(
    pool: &PgPool,
    timeouts: Timeouts,
    charge_id: Uuid,
    payment: &Payment,
    gateway_id: Option<&str>,
) -> Result<Option<Vec<Receipt>>, StoreError> {
    let doing = |source| StoreError::Postgres { doing: "settling a charge", source };
    let mut transaction = begin(pool, timeouts).await.map_err(doing)?;
    let Some(receipts) = store::settle_charge(&mut transaction, charge_id, payment, gateway_id).await? else {
        if *payment == Payment::Taken && store::has_failed(&mut transaction, charge_id).await? {
            tracing::error!(
                "the gateway took the money of charge {charge_id}, which an operator had found to have failed"
            );
        }
        return Ok(None);
    };
    alerts::resolve_charge(&mut transaction, charge_id).await.map_err(doing)?;
    transaction.commit().await.map_err(doing)?;
    Ok(Some(receipts))
}

/// Tells those who wait. Whoever is not reached asks again, and is told from Postgres.
pub(crate) async fn tell(lanes: &Lanes, receipts: &[Receipt]) {
    if receipts.is_empty() {
        return;
    }
    let outcomes: Vec<(Uuid, Vec<u8>)> =
        receipts.iter().map(|receipt| (receipt.request_id.as_uuid(), receipt.encode())).collect();
    if let Err(error) = lanes.tell(&outcomes).await {
        tracing::warn!("telling what came of charges failed: {}", chain(&error));
    }
}
