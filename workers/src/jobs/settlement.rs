//! Finding out what came of charges whose outcome the gateway did not say at once: it is asked again with the same key until
//! it knows, or may have forgotten the key. Then an operator must find out, and what that one says is done here, too.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use common::Payment;
use futures::StreamExt;
use lanes::Lanes;
use runtime::metrics;
use runtime::postgres::{Timeouts, begin};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::alerts::{self, Alert};
use super::answered;
use crate::charge::{Books, CLAIM_MARGIN, tell};
use crate::clients::gateway::{Asked, Gateway};
use crate::metrics::record_outcomes;
use crate::store::{self, DueCharge};

/// Charges that are asked about at once.
const ASKED_TOGETHER_MAX: usize = 64;

/// The pause between two questions about the same charge.
const PAUSE: Duration = Duration::from_secs(60);

/// Gateways keep idempotency keys for a day; an hour of it is for clocks that differ and for the last question.
const ASKED_MAX: Duration = Duration::from_secs(23 * 3_600);

/// A sweep begins no other round after this; the next one goes on.
const SWEEP_MAX: Duration = Duration::from_secs(45);

/// The reason of a charge that an operator found to have failed.
const FOUND_TO_HAVE_FAILED: &str = "found_to_have_failed";

/// Settles charges. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Settlement(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pool: PgPool,
    books: Books,
    gateway: Option<Gateway>,
    /// The line that charges stand in, over which those who wait are told.
    lanes: Lanes,
    shutdown: CancellationToken,
}

impl Settlement {
    /// Without a gateway only what operators found out is done.
    pub(crate) fn new(
        pool: PgPool,
        books: Books,
        gateway: Option<Gateway>,
        lanes: Lanes,
        shutdown: CancellationToken,
    ) -> Settlement {
        Settlement(Arc::new(Shared { pool, books, gateway, lanes, shutdown }))
    }

    /// Asks about every charge that is due.
    ///
    /// # Errors
    /// The first fault of Postgres. What was claimed and not settled is due again when its claim has run out.
    pub async fn sweep(&self) -> anyhow::Result<()> {
        let shared = &self.0;
        let pending = answered(store::pending_charges(&shared.pool)).await?;
        metrics::charges_pending().set(pending.count as f64);
        metrics::charges_oldest_seconds().set(pending.oldest_seconds);
        let (began, claim, mut fault) = (Instant::now(), self.claim(), None);
        while began.elapsed() < SWEEP_MAX && !shared.shutdown.is_cancelled() {
            let claimed_at = Instant::now();
            let due = answered(store::claim_due_charges(&shared.pool, ASKED_TOGETHER_MAX, claim, ASKED_MAX)).await?;
            if due.is_empty() {
                break;
            }
            let settling =
                futures::stream::iter(due).map(|charge| async move { self.settle(&charge, claimed_at).await });
            let results: Vec<anyhow::Result<()>> = settling.buffer_unordered(ASKED_TOGETHER_MAX).collect().await;
            // One that cannot be settled holds up nobody.
            fault = fault.or(results.into_iter().find_map(Result::err));
        }
        fault.map_or(Ok(()), Err)
    }

    fn claim(&self) -> Duration {
        self.0.gateway.as_ref().map_or(Duration::ZERO, Gateway::timeout) + CLAIM_MARGIN
    }

    async fn settle(&self, charge: &DueCharge, claimed_at: Instant) -> anyhow::Result<()> {
        if claimed_at.elapsed() > self.claim() {
            // This process was stopped meanwhile; others ask, and in the end the gateway forgets the key.
            return Ok(());
        }
        let payment = match charge.verdict.as_deref() {
            Some("SUCCEEDED") => Payment::Taken,
            Some(_) => Payment::Declined { reason: FOUND_TO_HAVE_FAILED.to_owned() },
            None if charge.too_old => return answered(self.give_up(charge)).await,
            None => {
                let Some(gateway) = &self.0.gateway else {
                    return self.ask_later(charge.charge_id, "is not configured", None).await;
                };
                let answer = gateway.ask(asked(charge)).await;
                match answer.payment {
                    Ok(payment) => {
                        return self.finish(charge.charge_id, &payment, answer.gateway_id.as_deref()).await;
                    }
                    Err(why) => {
                        return self.ask_later(charge.charge_id, &why, answer.gateway_id.as_deref()).await;
                    }
                }
            }
        };
        self.finish(charge.charge_id, &payment, None).await
    }

    async fn finish(&self, charge_id: Uuid, payment: &Payment, gateway_id: Option<&str>) -> anyhow::Result<()> {
        let began = Instant::now();
        let settled = answered(self.0.books.settle(Timeouts::CHANGE, charge_id, payment, gateway_id)).await;
        if let Some(receipts) = settled.context("settling a charge")? {
            record_outcomes(self.0.lanes.group().as_str(), receipts.iter(), began.elapsed());
            tell(&self.0.lanes, &receipts).await;
        }
        Ok(())
    }

    async fn ask_later(&self, charge_id: Uuid, why: &str, gateway_id: Option<&str>) -> anyhow::Result<()> {
        tracing::warn!("what came of charge {charge_id} is not known: the gateway {why}; it will be asked again");
        answered(store::note_unknown_charge(&self.0.pool, charge_id, why, gateway_id, PAUSE)).await
    }

    async fn give_up(&self, charge: &DueCharge) -> anyhow::Result<()> {
        let mut transaction = begin(&self.0.pool, Timeouts::CHANGE).await.context("beginning to give up a charge")?;
        if !store::give_up_charge(&mut transaction, charge.charge_id).await? {
            return Ok(());
        }
        let last_error = charge.last_error.as_deref();
        let alert = Alert::charge_unsettled(charge.charge_id, &charge.user_id, charge.amount, last_error);
        alerts::raise(&mut transaction, &alert).await?;
        transaction.commit().await.context("giving up a charge")?;
        alert.told();
        Ok(())
    }
}

fn asked(charge: &DueCharge) -> Asked<'_> {
    Asked {
        charge_id: charge.charge_id,
        amount: charge.amount,
        payment_method: &charge.payment_method,
        gateway_id: charge.gateway_id.as_deref(),
        is_first: false,
        // The trace of a charge ends with its turn in line: what is asked later was caused by a schedule.
        trace: None,
    }
}
