//! The heart: a batch from claim to ack.
//!
//! lock, load → decide → write → commit, in one transaction; then the outcomes go back to the line. Whatever fails
//! before the commit changes nothing, and everybody keeps the place.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use apalis_core::{error::BoxDynError, task::data::Data};
use chrono::{DateTime, Utc};
use common::{
    Accepted, Changes, Coupon, CouponId, EnvelopeError, LaneName, Outcome, Receipt, RequestId, Trace, UserId, needs,
};
use lanes::{Batch, BatchEnd, Decided, Entry, Gate, Lane};
use runtime::{
    causes::chain,
    fault_points::{Bug, Point, reached},
    traces::{self, BatchSpan},
};
use sqlx::PgConnection;
use tokio::time::{Instant, MissedTickBehavior};

use crate::{
    Shop,
    faults::BatchFault,
    metrics::{record_batch, record_outcomes},
    mistakes,
    sort_out::{Fate, SortedOut, sort_out},
    store::{self, BatchRow, OutcomeRow},
};

/// Handles one claimed batch. An error blames the batch: it comes back smaller, and a lone command that fails again and
/// again is parked.
pub async fn handle(batch: Arc<Batch>, shop: Data<Shop>) -> Result<BatchEnd, BoxDynError> {
    record_batch(&batch);
    let started = Instant::now();
    let decided = match shop.gateway_of(&batch) {
        // Not in hand: what waits for a gateway must not hold up what only waits for us.
        Some(gateway) if !shop.parks(&batch) => shop.charge(gateway, &batch).await,
        _ => {
            let _in_hand = shop.take_in_hand(&batch).await;
            if batch.suspect && Bug::RetryToTheTail.is_made() {
                mistakes::decide_head_last(&shop, &batch).await
            } else {
                shop.decide_batch(&batch).await
            }
        }
    };
    tell(&batch, started.elapsed(), decided.as_ref().err());
    match decided {
        Ok(decided) => {
            shop.faults.reset();
            Ok(BatchEnd::Decided(decided))
        }
        Err(fault) => shop.after(&batch, fault).await,
    }
}

/// Tells the log and the traces what came of a batch. Batches are many a second and are counted anyway, so their lines are
/// written only when somebody turns `batch=debug` on; why one failed is told where that is dealt with.
fn tell(batch: &Batch, took: Duration, fault: Option<&BatchFault>) {
    let is_logged = tracing::enabled!(target: "batch", tracing::Level::DEBUG);
    if !is_logged && !traces::is_on() {
        return;
    }
    let (group, size) = (batch.group.as_str(), batch.entries.len());
    let traces: Vec<Trace> =
        batch.entries.iter().filter_map(|entry| common::Envelope::trace_in(&entry.envelope)).collect();
    let error = fault.map(|fault| chain(fault));
    traces::tell_batch(BatchSpan { group, size, took, error }, &traces);
    if is_logged && fault.is_none() {
        let trace_id = match traces.as_slice() {
            [one] => Some(one.trace_id()),
            _ => None,
        };
        let took_us = took.as_micros();
        tracing::debug!(target: "batch", group, batch = %batch.token, trace_id, size, took_us, "{group}: {size} decided");
    }
}

impl Shop {
    /// Decides a batch, again if somebody else decided part of it meanwhile.
    pub(crate) async fn decide_batch(&self, batch: &Batch) -> Result<Decided, BatchFault> {
        let mut lease_is_ours = false;
        for _ in 0..DECIDE_TRIES_MAX {
            if self.parks(batch) {
                if self.is_pending_charge(batch).await? {
                    // Its money may have been taken, so nobody can say that it failed.
                    return Ok(Decided { outcomes: vec![Vec::new()], gates: Vec::new() });
                }
                if self.holds_instead_of_parking(batch).await? {
                    return Err(BatchFault::GroupHeld);
                }
            }
            match self.decide_once(batch, lease_is_ours).await {
                // Ours or not, the next try finds the outcome that was in the way.
                Err(BatchFault::DecidedMeanwhile { .. }) => {}
                // Part of the batch was decided under an earlier lease. Going on is right only while the lease is
                // ours: otherwise somebody else is about to decide the rest.
                Err(BatchFault::PartlyDecided) if !lease_is_ours => {
                    lease_is_ours = self.lease_is_ours(batch).await?;
                    if !lease_is_ours {
                        return Err(BatchFault::LeaseLost);
                    }
                }
                other => return other,
            }
        }
        Err(BatchFault::DecidedMeanwhile { source: None })
    }

    /// As [`Shop::decide_unbounded`], given up after a lease. Postgres ends a transaction that stands still much earlier;
    /// this is for a Postgres that has gone without a word, which would hold the lanes for as long as we renew.
    async fn decide_once(&self, batch: &Batch, lease_is_ours: bool) -> Result<Decided, BatchFault> {
        tokio::select! {
            biased;
            ended = self.decide_unbounded(batch, lease_is_ours) => ended,
            () = patience(self.lease) => Err(BatchFault::NoAnswer),
        }
    }

    /// One transaction: lock, look for earlier outcomes, load, decide, write, commit.
    async fn decide_unbounded(&self, batch: &Batch, lease_is_ours: bool) -> Result<Decided, BatchFault> {
        let commands = Commands::read(batch, self.parks(batch))?;
        reached(Point::BeforeTransaction);
        let began = Instant::now();
        let mut transaction = runtime::postgres::begin(&self.pool, self.timeouts).await.map_err(BatchFault::begin)?;

        let lanes: BTreeSet<&str> = batch.entries.iter().flat_map(|entry| &entry.lanes).map(String::as_str).collect();
        let locked = store::lock(&mut transaction, &lanes).await?;
        reached(Point::HoldingLocks);
        if let Some(user) = commands.user_of_parked() {
            // A charge begins under this lock. One that began since we looked is not ours to end, and after us none can: its
            // ticket comes too late.
            store::lock_charges_of(&mut transaction, user).await?;
            if store::is_pending_charge(&mut transaction, batch.entries[0].id).await? {
                return Err(BatchFault::DecidedMeanwhile { source: None });
            }
        }
        let earlier = store::earlier(&mut transaction, &commands.ids(), &commands.keys()).await?;
        let sorted = sort_out(batch, &commands.keys, &earlier);
        if sorted.nothing_to_decide() {
            drop(transaction);
            let gates = gates(&locked.coupons, &Changes::default());
            return Ok(self.decided(batch, sorted.receipts_found(), gates));
        }
        self.check_fence(batch, &sorted, &locked, lease_is_ours)?;

        let (batch_id, decided_at) = store::insert_batch(&mut transaction, self.batch_row(batch, &sorted)).await?;
        let fences = fences(batch, &sorted, &locked);
        let issued_before = locked.coupons.clone();
        let (outcomes, changes) =
            self.decide_fresh(&mut transaction, batch, &commands, &sorted, locked, decided_at).await?;
        let gates = gates(&issued_before, &changes);
        let receipts = sorted.receipts(batch, &commands.users, outcomes, decided_at);
        store::write(&mut transaction, &changes, &commands.traces).await?;
        store::move_fences(&mut transaction, &changes, &fences).await?;
        let rows = outcome_rows(batch, &commands, &sorted, &receipts);
        store::insert_outcomes(&mut transaction, batch.group.as_str(), batch_id, decided_at, &rows).await?;

        reached(Point::BeforeCommit);
        if Bug::AckBeforeCommit.is_made() {
            mistakes::commit_later(transaction);
        } else {
            transaction.commit().await.map_err(BatchFault::commit)?;
        }
        reached(Point::AfterCommit);
        if let Some(announcer) = &self.announcer {
            announcer.announce(changes.orders.iter().map(|order| order.order_id).collect());
        }
        record_outcomes(batch.group.as_str(), sorted.undecided().map(|index| &receipts[index]), began.elapsed());
        Ok(self.decided(batch, receipts, gates))
    }

    /// Decides what has no outcome yet; pure but for the loading. A parked command is not looked at.
    async fn decide_fresh(
        &self,
        connection: &mut PgConnection,
        batch: &Batch,
        commands: &Commands,
        sorted: &SortedOut,
        locked: store::Locked,
        decided_at: DateTime<Utc>,
    ) -> Result<(Vec<Outcome>, Changes), BatchFault> {
        if sorted.fresh().next().is_none() {
            return Ok((Vec::new(), Changes::default()));
        }
        if let Some(reason) = &commands.parked {
            let entry = &batch.entries[0];
            store::insert_parked(connection, entry.id, batch.group.as_str(), &entry.envelope, reason, decided_at)
                .await?;
            return Ok((vec![Outcome::Failed(common::Refusal::Internal)], Changes::default()));
        }
        let fresh: Vec<Accepted> = sorted.fresh().map(|index| commands.accepted[index].clone()).collect();
        let needs = needs(fresh.iter().map(|accepted| &accepted.command));
        let mut state = store::load(connection, &needs, locked).await?;
        let decision = common::decide(&mut state, &fresh, decided_at);
        Ok((decision.outcomes, decision.changes))
    }

    /// The fence: a ticket of ours at or below the last one decided on its lane means that somebody else decided.
    fn check_fence(
        &self,
        batch: &Batch,
        sorted: &SortedOut,
        locked: &store::Locked,
        lease_is_ours: bool,
    ) -> Result<(), BatchFault> {
        for index in sorted.undecided().filter(|_| !Bug::NoFence.is_made()) {
            let entry = &batch.entries[index];
            for lane in &entry.lanes {
                match locked.last_tickets.get(lane) {
                    Some(&last) if last >= entry.ticket => {
                        return Err(BatchFault::Overtaken { lane: lane.clone(), ticket: entry.ticket, last });
                    }
                    _ => {}
                }
            }
        }
        if sorted.partly_decided() && !lease_is_ours { Err(BatchFault::PartlyDecided) } else { Ok(()) }
    }

    fn batch_row<'a>(&'a self, batch: &'a Batch, sorted: &SortedOut) -> BatchRow<'a> {
        let tickets = || sorted.undecided().map(|index| batch.entries[index].ticket);
        BatchRow {
            group: batch.group.as_str(),
            first_ticket: tickets().min().unwrap_or_default(),
            last_ticket: tickets().max().unwrap_or_default(),
            size: tickets().count(),
            worker: &self.name,
            claimed_at: instant(batch.claimed_at_us),
        }
    }

    fn decided(&self, batch: &Batch, receipts: Vec<Receipt>, gates: Vec<Gate>) -> Decided {
        debug_assert_eq!(batch.entries.len(), receipts.len());
        Decided { outcomes: receipts.iter().map(Receipt::encode).collect(), gates }
    }
}

/// How often a batch is decided anew because somebody else decided part of it meanwhile.
const DECIDE_TRIES_MAX: usize = 3;

/// Ends after so long of this process' own time. While the process is stopped one step passes at most, so that whoever
/// wakes from it hears what Postgres has to say before giving up on it.
pub(crate) async fn patience(longest: Duration) {
    const STEPS: u32 = 8;
    let step = longest / STEPS;
    let mut steps = tokio::time::interval_at(Instant::now() + step, step);
    steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..STEPS {
        steps.tick().await;
    }
}

/// The commands of a batch, read.
struct Commands {
    /// One per entry of the batch; none when the batch is parked unread.
    accepted: Vec<Accepted>,
    /// Who asked, by entry; nobody where the command cannot be read.
    users: Vec<Option<UserId>>,
    /// The idempotency key and body hash of each entry, as bytes.
    keys: Vec<Option<Key>>,
    /// Where those that came with a trace belong in it, by request.
    traces: HashMap<uuid::Uuid, Trace>,
    /// Why the batch, which is one command, is parked instead of being decided.
    parked: Option<String>,
    ids: Vec<uuid::Uuid>,
}

/// An idempotency key as Postgres keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The hash of scope and key.
    pub digest: Vec<u8>,
    /// The hash of the body.
    pub body: Vec<u8>,
}

impl Commands {
    fn read(batch: &Batch, parks: bool) -> Result<Self, BatchFault> {
        let ids = batch.entries.iter().map(|entry| entry.id).collect();
        let keys = batch.entries.iter().map(key).collect();
        let read: Result<Vec<(Accepted, Option<Trace>)>, _> = batch.entries.iter().map(opened).collect();
        match read {
            Ok(opened) => {
                let traced = |(accepted, trace): &(Accepted, Option<Trace>)| {
                    trace.clone().map(|trace| (accepted.request_id.as_uuid(), trace))
                };
                let traces = opened.iter().filter_map(traced).collect();
                let accepted: Vec<Accepted> = opened.into_iter().map(|(accepted, _)| accepted).collect();
                let users = accepted.iter().map(|accepted| Some(accepted.command.user_id().clone())).collect();
                let parked = parks.then(|| FAILED_ALONE.to_owned());
                Ok(Self { accepted, users, keys, traces, parked, ids })
            }
            Err(error @ EnvelopeError::Unreadable(_)) if parks => {
                let users = vec![None; batch.entries.len()];
                let (accepted, traces, parked) = (Vec::new(), HashMap::new(), Some(error.to_string()));
                Ok(Self { accepted, users, keys, traces, parked, ids })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whose command is parked, where it could be read.
    fn user_of_parked(&self) -> Option<&UserId> {
        self.parked.as_ref().and(self.users.first()).and_then(Option::as_ref)
    }

    fn ids(&self) -> Vec<uuid::Uuid> {
        self.ids.clone()
    }

    fn keys(&self) -> Vec<Vec<u8>> {
        self.keys.iter().flatten().map(|key| key.digest.clone()).collect()
    }
}

const FAILED_ALONE: &str = "its worker failed or died each time it was tried alone";

/// The command of an entry, and where it belongs in a trace.
pub(crate) fn opened(entry: &Entry) -> Result<(Accepted, Option<Trace>), EnvelopeError> {
    let envelope = common::Envelope::decode(&entry.envelope)?;
    let trace = envelope.trace();
    let accepted = Accepted {
        request_id: RequestId::from_uuid(entry.id),
        ticket: entry.ticket,
        accepted_at: instant(entry.accepted_at_us),
        command: envelope.command,
    };
    Ok((accepted, trace))
}

/// A key that is no hash is treated as none: it can only come from another version, and the request id still holds.
pub(crate) fn key(entry: &Entry) -> Option<Key> {
    let key = entry.key.as_ref()?;
    Some(Key { digest: hex::decode(&key.digest).ok()?, body: hex::decode(&key.body).ok()? })
}

pub(crate) fn instant(us: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(us).unwrap_or_default()
}

/// The gates of all coupons of the batch, whether it issued any or not: a gate that Redis lost, or that the ack of the last
/// unit never reached, closes with the next batch. A coupon that never had a unit has no gate; its line says why.
fn gates(coupons: &HashMap<CouponId, Coupon>, changes: &Changes) -> Vec<Gate> {
    let gate = |(id, coupon): (&CouponId, &Coupon)| {
        let lane: Lane = LaneName::Coupon(id.clone()).to_string().parse().ok()?;
        let issued = changes.coupons.get(id).copied().unwrap_or(coupon.issued_quantity);
        let gate = Gate { lane, used: issued.unsigned_abs(), limit: coupon.total_quantity.unsigned_abs() };
        (gate.limit > 0).then_some(gate)
    };
    coupons.iter().filter_map(gate).collect()
}

/// The highest undecided ticket of the batch in each lane that has a row.
fn fences<'a>(batch: &'a Batch, sorted: &SortedOut, locked: &store::Locked) -> Vec<(&'a str, u64)> {
    let mut highest: BTreeMap<&str, u64> = BTreeMap::new();
    for index in sorted.undecided() {
        let entry = &batch.entries[index];
        for lane in entry.lanes.iter().filter(|lane| locked.last_tickets.contains_key(*lane)) {
            let ticket = highest.entry(lane).or_default();
            *ticket = (*ticket).max(entry.ticket);
        }
    }
    highest.into_iter().collect()
}

fn outcome_rows<'a>(
    batch: &'a Batch,
    commands: &'a Commands,
    sorted: &SortedOut,
    receipts: &'a [Receipt],
) -> Vec<OutcomeRow<'a>> {
    let row = |index: usize| {
        let (entry, receipt) = (&batch.entries[index], &receipts[index]);
        let key = commands.keys[index].as_ref().filter(|_| sorted.fates[index] == Fate::Fresh);
        OutcomeRow {
            request_id: entry.id,
            ticket: entry.ticket,
            kind: receipt.kind,
            user_id: receipt.user_id.as_ref().map(|user| user.as_str()),
            lanes: &entry.lanes,
            accepted_at: receipt.accepted_at,
            outcome: &receipt.outcome,
            key: key.map(|key| (key.digest.as_slice(), key.body.as_slice())),
            repeat_of: sorted.repeat_of(index, batch),
        }
    };
    sorted.undecided().map(row).collect()
}
