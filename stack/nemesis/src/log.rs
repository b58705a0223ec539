//! What shoppers were told, by themselves: the shop has no part in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use chrono::{DateTime, Utc};
use runtime::causes::chain;
use uuid::Uuid;

use crate::losses::Losses;

/// What a shopper was told of one command, from the first sending to the end.
#[derive(Debug, Clone)]
pub struct Told {
    /// The lanes' group: tickets of other groups say nothing of this one.
    pub group: &'static str,
    /// Whether it was ever answered with a ticket: the first time.
    pub accepted: Option<Accepted>,
    /// Every answer with an id, in order, but for ids that were lost.
    pub ids: Vec<Accepted>,
    /// Ids that are unknown because Redis lost its data before they were decided.
    pub lost: Vec<Lost>,
    /// Whether it ended without an answer: it had no key, so nobody could send it again.
    pub is_unknown: bool,
    /// Whether a refusal came before the line, which ends it.
    pub turned_away: Option<String>,
    /// Every final outcome that it was told, in order: `SUCCEEDED`, or a code.
    pub outcomes: Vec<String>,
    /// What nobody promised: a status, an unknown id, an answer that cannot be read.
    pub surprises: Vec<String>,
}

impl Told {
    /// The request that stands for it in the end; none where it was lost, and not told anew.
    pub fn id(&self) -> Option<Uuid> {
        self.ids.last().map(|accepted| accepted.id)
    }

    /// Whether nothing more will be told of it.
    pub fn has_ended(&self) -> bool {
        !self.outcomes.is_empty() || self.turned_away.is_some() || self.is_unknown
    }
}

/// A 202.
#[derive(Debug, Clone, Copy)]
pub struct Accepted {
    /// The request.
    pub id: Uuid,
    /// Its ticket.
    pub ticket: u64,
    /// When the answer was there.
    pub told: Instant,
    /// When the request was sent that this answers.
    pub sent: Instant,
    /// Whether the same command had been sent before, without an answer: its ticket may be older than this request.
    pub was_sent_before: bool,
}

/// An id that is unknown.
#[derive(Debug, Clone, Copy)]
pub struct Lost {
    /// The request.
    pub id: Uuid,
    /// When somebody asked for it who was told so.
    pub asked: DateTime<Utc>,
}

/// All that all shoppers were told, by key.
#[derive(Debug, Clone, Default)]
pub struct Log {
    told: Arc<Mutex<BTreeMap<String, Told>>>,
    broken_off: Arc<Mutex<Vec<String>>>,
}

impl Log {
    /// As it stands.
    pub fn all(&self) -> BTreeMap<String, Told> {
        self.told.lock().expect("whoever writes does not panic").clone()
    }

    /// Why requests that were sent had no answer: the connection broke, or nothing came in time. A door that is closed is
    /// stepped over, as a balancer does, and not among them.
    pub fn broken_off(&self) -> Vec<String> {
        self.broken_off.lock().expect("whoever writes does not panic").clone()
    }

    /// A command is sent for the first time.
    pub(crate) fn begin(&self, key: &str, group: &'static str) {
        let told = Told {
            group,
            accepted: None,
            ids: Vec::new(),
            lost: Vec::new(),
            is_unknown: false,
            turned_away: None,
            outcomes: Vec::new(),
            surprises: Vec::new(),
        };
        self.told.lock().expect("whoever writes does not panic").insert(key.to_owned(), told);
    }

    /// A command was accepted, perhaps once more.
    pub(crate) fn accepted(&self, key: &str, accepted: Accepted) {
        self.note(key, |told| {
            told.accepted.get_or_insert(accepted);
            told.ids.push(accepted);
        });
    }

    /// An id is unknown that was accepted before. Whether that may be, because data were lost since.
    pub(crate) fn lost(&self, key: &str, lost: Lost, losses: &Losses) -> bool {
        let mut may_be = false;
        self.note(key, |told| {
            let accepted = told.ids.iter().find(|accepted| accepted.id == lost.id);
            may_be = accepted.is_some_and(|accepted| losses.between(accepted.sent, Instant::now()));
            if may_be {
                told.ids.retain(|accepted| accepted.id != lost.id);
                told.lost.push(lost);
            }
        });
        may_be
    }

    /// A request that was sent has no whole answer.
    pub(crate) fn broke_off(&self, error: &reqwest::Error) {
        if !error.is_connect() {
            self.broken_off.lock().expect("whoever writes does not panic").push(chain(error));
        }
    }

    /// How many commands were told their outcome.
    pub fn served(&self) -> usize {
        let all = self.told.lock().expect("whoever writes does not panic");
        all.values().filter(|told| !told.outcomes.is_empty()).count()
    }

    /// What was accepted and has no outcome yet, as far as shoppers know. Charges are not among them: they are settled by others.
    pub fn open(&self) -> Vec<Accepted> {
        let all = self.told.lock().expect("whoever writes does not panic");
        let open = all.values().filter(|told| told.group != "charge" && !told.has_ended());
        open.filter_map(|told| told.ids.last().copied()).collect()
    }

    /// Notes something of a command that was begun.
    pub(crate) fn note(&self, key: &str, note: impl FnOnce(&mut Told)) {
        let mut all = self.told.lock().expect("whoever writes does not panic");
        note(all.get_mut(key).expect("it was begun"));
    }
}
