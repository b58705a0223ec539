//! A charge from its turn in line to its outcome. It is noted before the gateway is asked, and the gateway is asked with no
//! transaction open; whatever dies in between, settlement asks again with the same key. What the gateway does not say in
//! time is left to settlement, too, and the lane is free for the next charge.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use common::{ChargeBalance, Command, Outcome, Payment, Receipt, Refusal, RequestId};
use lanes::{Batch, Decided, Entry, Lanes};
use runtime::causes::chain;
use runtime::fault_points::{Point, reached};
use runtime::postgres::{Timeouts, Transaction, alone, begin};
use sqlx::{PgConnection, PgPool};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use uuid::Uuid;

use crate::Shop;
use crate::batch::{instant, key, opened, patience};
use crate::clients::gateway::{Answer, Asked, Gateway};
use crate::faults::BatchFault;
use crate::jobs::alerts::{self, Alert};
use crate::metrics::record_outcomes;
use crate::store::{self, BatchRow, EarlierCharge, EarlierOutcome, NewCharge, OutcomeRow, StoreError};

/// How long a claim of a charge outlasts the question: noting what came of it must not race the next question.
pub(crate) const CLAIM_MARGIN: Duration = Duration::from_secs(5);

/// Settlement asks for the first time this long after the charge began.
const FIRST_PAUSE: Duration = Duration::from_secs(30);

/// How often a charge is begun anew because somebody else began or settled it meanwhile.
const BEGIN_TRIES_MAX: usize = 3;

/// Transactions about charges that a process has open at once. They may wait for a user's row behind a batch of orders, and
/// must not take the connections of other batches meanwhile.
pub(crate) const TRANSACTIONS_MAX: u32 = 4;

/// A gateway that is being asked when the process is to end has this long; then settlement asks.
const ASKED_AT_THE_END_MAX: Duration = Duration::from_secs(4);

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
        let (accepted, trace) = opened(entry)?;
        let Command::ChargeBalance(charge) = &accepted.command else {
            return Err(BatchFault::NotOfThisGroup);
        };
        let began = Instant::now();
        let method = charge.payment_method.as_deref().unwrap_or(gateway.default_method());
        let outcome = match self.begin_charge(batch, entry, charge, method, gateway.timeout()).await? {
            Begun::Pending => None,
            Begun::Final(receipt) => Some(*receipt),
            Begun::Ask => {
                reached(Point::BeforeGateway);
                let asked = Asked {
                    charge_id: entry.id,
                    amount: charge.amount,
                    payment_method: method,
                    gateway_id: None,
                    is_first: true,
                    trace: trace.as_ref(),
                };
                match self.answer_of(gateway, asked, began).await {
                    Some(Answer { payment: Ok(payment), gateway_id }) => {
                        reached(Point::AfterGateway);
                        self.settle_at_once(batch, &payment, gateway_id.as_deref()).await
                    }
                    Some(Answer { payment: Err(why), gateway_id }) => {
                        tracing::warn!("what came of charge {} is not known yet: the gateway {why}", entry.id);
                        let pause = FIRST_PAUSE.saturating_sub(gateway.timeout()).max(CLAIM_MARGIN);
                        let noted =
                            store::note_unknown_charge(&self.pool, entry.id, &why, gateway_id.as_deref(), pause);
                        self.try_to("noting that a charge is not known", entry.id, noted).await;
                        None
                    }
                    None => {
                        self.try_to("hastening a charge", entry.id, store::hasten_charge(alone(&self.pool), entry.id))
                            .await;
                        None
                    }
                }
            }
        };
        Ok(Decided { outcomes: vec![outcome.map(|receipt| receipt.encode()).unwrap_or_default()], gates: vec![] })
    }

    /// What the gateway says; none: it was not asked, or the process ends before it has answered. It is not asked after the
    /// charge's claim has run out, because this process was stopped meanwhile: others ask, and in the end the gateway
    /// forgets the key.
    async fn answer_of(&self, gateway: &Gateway, asked: Asked<'_>, began: Instant) -> Option<Answer> {
        if began.elapsed() > gateway.timeout() + CLAIM_MARGIN {
            return None;
        }
        tokio::select! {
            answer = gateway.ask(asked) => Some(answer),
            () = async {
                self.shutdown.cancelled().await;
                tokio::time::sleep(ASKED_AT_THE_END_MAX).await;
            } => None,
        }
    }

    /// That it fails does no harm: settlement looks at the charge all the same.
    async fn try_to(&self, what: &str, charge_id: Uuid, doing: impl Future<Output = Result<(), StoreError>>) {
        match tokio::time::timeout(self.lease, doing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("{what} failed, {charge_id}: {}", chain(&error)),
            Err(_) => tracing::warn!("{what} failed, {charge_id}: Postgres did not answer"),
        }
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
            let begun = tokio::select! {
                biased;
                begun = self.begin_once(batch, entry, &new, timeout) => begun,
                () = patience(self.lease) => Err(BatchFault::NoAnswer),
            };
            match begun {
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
        reached(Point::BeforeTransaction);
        let (_room, mut transaction) = self.books.begin(self.timeouts).await.map_err(BatchFault::begin)?;
        let last = store::lock_charges_of(&mut transaction, new.user_id).await?;
        let first = store::earlier_charge(&mut transaction, entry.id, new.key).await?;
        // The charge itself, or the one whose key it has.
        let known = first.as_ref().map_or(entry.id, |first| first.charge_id);
        let keys: Vec<_> = new.key.iter().map(|key| key.digest.clone()).collect();
        let earlier = store::earlier(&mut transaction, &[entry.id, known], &keys).await?;
        if let Some(found) = earlier.by_request.get(&entry.id) {
            return Ok(Begun::Final(Box::new(found.receipt())));
        }
        let is_known = first.as_ref().is_some_and(|first| first.charge_id == entry.id);
        if !is_known && last >= entry.ticket {
            let lane = entry.lanes.first().cloned().unwrap_or_default();
            return Err(BatchFault::Overtaken { lane, ticket: entry.ticket, last });
        }
        // One with this key that never became a charge, because it could not be decided.
        let undecidable = new.key.and_then(|key| earlier.by_key.get(&key.digest)).filter(|_| first.is_none());
        let first = first.or_else(|| {
            undecidable.map(|found| EarlierCharge {
                charge_id: found.request_id.as_uuid(),
                settled: true,
                body_hash: found.body_hash.clone(),
            })
        });
        let outcomes = earlier.by_request.values().chain(undecidable);
        let outcomes: HashMap<Uuid, &EarlierOutcome> =
            outcomes.map(|found| (found.request_id.as_uuid(), found)).collect();
        let begun = match first {
            Some(first) if first.charge_id == entry.id => {
                store::hasten_charge(&mut *transaction, entry.id).await?;
                Begun::Pending
            }
            Some(first) if first.body_hash.as_ref() != new.key.map(|key| &key.body) => {
                let refused = Outcome::Failed(Refusal::IdempotencyKeyReused);
                self.decide_at_once(&mut transaction, batch, new, refused, None).await?
            }
            Some(first) if first.settled => {
                let outcome = outcomes.get(&first.charge_id).map(|found| found.outcome.clone());
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

    /// What the gateway said is written down. Where that fails, or takes as long as a lease, it is left to settlement, which
    /// asks again and hears the same: the lane need not wait for Postgres.
    async fn settle_at_once(&self, batch: &Batch, payment: &Payment, gateway_id: Option<&str>) -> Option<Receipt> {
        let charge_id = batch.entries.first().expect("a batch is never empty").id;
        let began = Instant::now();
        let settling = self.books.settle(self.timeouts, charge_id, payment, gateway_id);
        match tokio::time::timeout(self.lease, settling).await {
            Ok(Ok(Some(mut receipts))) => {
                record_outcomes(batch.group.as_str(), receipts.iter(), began.elapsed());
                let own = receipts.swap_remove(0);
                tell(self.lanes_of(&batch.group), &receipts).await;
                Some(own)
            }
            // Somebody else was quicker, and has told it.
            Ok(Ok(None)) => None,
            Ok(Err(error)) => {
                tracing::warn!("charge {charge_id} could not be settled, and will be later: {}", chain(&error));
                None
            }
            Err(_) => {
                tracing::warn!("charge {charge_id} could not be settled in time, and will be later");
                None
            }
        }
    }
}

/// Where charges are written down. A copy shares the room for transactions.
#[derive(Debug, Clone)]
pub(crate) struct Books {
    pool: PgPool,
    room: Arc<Semaphore>,
}

impl Books {
    pub(crate) fn new(pool: PgPool) -> Books {
        Books { pool, room: Arc::new(Semaphore::new(TRANSACTIONS_MAX as usize)) }
    }

    async fn begin(&self, timeouts: Timeouts) -> Result<(SemaphorePermit<'_>, Transaction), sqlx::Error> {
        let room = self.room.acquire().await.expect("the semaphore is never closed");
        Ok((room, begin(&self.pool, timeouts).await?))
    }

    /// Settles a charge with what the gateway, or an operator, says of it. None: it was settled before.
    ///
    /// # Errors
    /// When Postgres fails. It may have happened.
    pub(crate) async fn settle(
        &self,
        timeouts: Timeouts,
        charge_id: Uuid,
        payment: &Payment,
        gateway_id: Option<&str>,
    ) -> Result<Option<Vec<Receipt>>, StoreError> {
        let doing = |source| StoreError::Postgres { doing: "settling a charge", source };
        let (_room, mut transaction) = self.begin(timeouts).await.map_err(doing)?;
        let Some(settled) = store::settle_charge(&mut transaction, charge_id, payment, gateway_id).await? else {
            if let Some(alert) = contradiction(&mut transaction, charge_id, payment, gateway_id).await? {
                let is_new = alerts::raise_once(&mut transaction, &alert).await.map_err(doing)?;
                transaction.commit().await.map_err(doing)?;
                if is_new {
                    alert.told();
                }
            }
            return Ok(None);
        };
        if settled.was_given_up {
            alerts::resolve_charge(&mut transaction, charge_id).await.map_err(doing)?;
        }
        transaction.commit().await.map_err(doing)?;
        Ok(Some(settled.receipts))
    }
}

/// What an admin must hear of a charge that was settled otherwise than the gateway says now: an operator was wrong, or a
/// process asked for the second time after the gateway had forgotten its key.
async fn contradiction(
    connection: &mut PgConnection,
    charge_id: Uuid,
    payment: &Payment,
    gateway_id: Option<&str>,
) -> Result<Option<Alert>, StoreError> {
    let Some((settled_as, known_id)) = store::settled_as(connection, charge_id).await? else {
        return Ok(None);
    };
    let said = match payment {
        Payment::Taken => "it took the money".to_owned(),
        Payment::Declined { reason } => format!("it did not take the money ({reason})"),
    };
    let contradicts = match (settled_as.as_str(), payment) {
        ("SUCCEEDED", Payment::Taken) => known_id.zip(gateway_id).is_some_and(|(known, other)| known.as_str() != other),
        ("SUCCEEDED", Payment::Declined { .. }) | (_, Payment::Taken) => true,
        _ => false,
    };
    Ok(contradicts.then(|| Alert::charge_contradicted(charge_id, &settled_as, &said)))
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
