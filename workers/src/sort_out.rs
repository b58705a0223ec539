//! Who of a batch is still to be decided: a command may have an outcome already, or repeat another one by its key.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use common::{Kind, Outcome, Receipt, Refusal, RequestId, UserId};
use lanes::Batch;
use uuid::Uuid;

use crate::{
    batch::{Key, instant},
    store::{Earlier, EarlierOutcome},
};

/// What is to be done with an entry of the batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It has an outcome.
    Found,
    /// It must be decided.
    Fresh,
    /// Its key was used before, with the same body, for a request that has an outcome: it gets a copy.
    CopyOf(Uuid),
    /// Its key is that of an earlier entry of this batch, with the same body: it gets a copy of what that one gets.
    SameAs(usize),
    /// Its key was used before with another body.
    KeyReused,
}

/// The fates of a batch, by entry.
#[derive(Debug)]
pub struct SortedOut {
    /// One per entry.
    pub fates: Vec<Fate>,
    found: Vec<Option<EarlierOutcome>>,
}

/// Looks at each entry in ticket order.
pub fn sort_out(batch: &Batch, keys: &[Option<Key>], earlier: &Earlier) -> SortedOut {
    let mut first_with: HashMap<&[u8], (usize, &[u8])> = HashMap::new();
    let mut fates = Vec::with_capacity(batch.entries.len());
    let mut found = Vec::with_capacity(batch.entries.len());
    for (index, (entry, key)) in batch.entries.iter().zip(keys).enumerate() {
        let outcome = earlier.by_request.get(&entry.id);
        let by_key = key.as_ref().and_then(|key| earlier.by_key.get(&key.digest));
        let same_batch = key.as_ref().and_then(|key| first_with.get(key.digest.as_slice()).copied());
        let body = key.as_ref().map(|key| key.body.as_slice());
        let (fate, outcome) = match (outcome, by_key, same_batch) {
            (Some(outcome), _, _) => (Fate::Found, Some(outcome)),
            (_, Some(first), _) if first.body_hash.as_deref() == body => {
                (Fate::CopyOf(first.request_id.as_uuid()), Some(first))
            }
            (_, None, Some((first, its_body))) if Some(its_body) == body => (Fate::SameAs(first), None),
            (_, None, None) => (Fate::Fresh, None),
            _ => (Fate::KeyReused, None),
        };
        if let (Fate::Fresh, Some(key)) = (&fate, key) {
            first_with.insert(&key.digest, (index, &key.body));
        }
        fates.push(fate);
        found.push(outcome.cloned());
    }
    SortedOut { fates, found }
}

impl SortedOut {
    /// Entries that get a row in the record.
    pub fn undecided(&self) -> impl Iterator<Item = usize> + '_ {
        self.fates.iter().enumerate().filter(|(_, fate)| **fate != Fate::Found).map(|(index, _)| index)
    }

    /// Entries that must be decided.
    pub fn fresh(&self) -> impl Iterator<Item = usize> + '_ {
        self.fates.iter().enumerate().filter(|(_, fate)| **fate == Fate::Fresh).map(|(index, _)| index)
    }

    /// Whether every entry has an outcome.
    pub fn nothing_to_decide(&self) -> bool {
        self.undecided().next().is_none()
    }

    /// Whether some have an outcome and some do not.
    pub fn partly_decided(&self) -> bool {
        !self.nothing_to_decide() && self.fates.contains(&Fate::Found)
    }

    /// The request whose outcome an entry repeats.
    pub fn repeat_of(&self, index: usize, batch: &Batch) -> Option<Uuid> {
        match &self.fates[index] {
            Fate::CopyOf(id) => Some(*id),
            Fate::SameAs(first) => Some(batch.entries[*first].id),
            Fate::Found | Fate::Fresh | Fate::KeyReused => None,
        }
    }

    /// The receipts of a batch whose every entry has an outcome.
    pub fn receipts_found(&self) -> Vec<Receipt> {
        self.found.iter().flatten().map(EarlierOutcome::receipt).collect()
    }

    /// The receipts of all entries, given who asked (where that is known) and the outcomes of the fresh ones in order.
    pub fn receipts(
        &self,
        batch: &Batch,
        users: &[Option<UserId>],
        fresh: Vec<Outcome>,
        decided_at: DateTime<Utc>,
    ) -> Vec<Receipt> {
        let mut fresh = fresh.into_iter();
        let mut receipts: Vec<Receipt> = Vec::with_capacity(batch.entries.len());
        for (index, entry) in batch.entries.iter().enumerate() {
            let outcome = match (&self.fates[index], &self.found[index]) {
                (Fate::Found, Some(found)) => {
                    receipts.push(found.receipt());
                    continue;
                }
                (Fate::CopyOf(_), Some(first)) => first.outcome.clone(),
                (Fate::SameAs(first), _) => receipts[*first].outcome.clone(),
                (Fate::KeyReused, _) => Outcome::Failed(Refusal::IdempotencyKeyReused),
                (Fate::Fresh | Fate::Found | Fate::CopyOf(_), _) => {
                    fresh.next().expect("there is one outcome for each fresh entry")
                }
            };
            receipts.push(Receipt {
                request_id: RequestId::from_uuid(entry.id),
                kind: kind(batch, index),
                user_id: users[index].clone(),
                ticket: entry.ticket,
                accepted_at: instant(entry.accepted_at_us),
                decided_at,
                outcome,
            });
        }
        receipts
    }
}

fn kind(batch: &Batch, index: usize) -> Kind {
    // An id of a group that this build does not know has no kind of its own; the line it stood in does.
    let group = RequestId::from_uuid(batch.entries[index].id).group().or_else(|| batch.group.as_str().parse().ok());
    group.map_or(Kind::OrderPlacement, |group: common::Group| group.kind)
}
