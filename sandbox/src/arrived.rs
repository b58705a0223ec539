//! What arrived, for those who want to know whether the shop did what it says.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::bounded::Newest;
use crate::limits::LEDGER_MAX_ENTRIES;
use crate::webhook::Signature;

/// What arrived, the newest last in each list. `answer` is the status of the answer; none: there was none yet, or never.
#[derive(Debug, Clone, Serialize)]
pub struct Arrived {
    /// Requests to pay that could be read, replays and refusals included.
    pub payments: Vec<Payment>,
    /// Money that was taken: one entry for each intent that succeeded.
    pub ledger: Vec<Taken>,
    /// Orders that the order system was told of, each attempt.
    pub orders: Vec<Order>,
    /// Mails, those that were not taken included.
    pub mails: Vec<Mail>,
    /// Alerts, each attempt.
    pub alerts: Vec<Alert>,
    /// Questions whether somebody is a person.
    pub humans: Vec<HumanCheck>,
    /// How many of each came, also those that are not kept any more.
    pub totals: Totals,
}

/// How many arrived since the start, or since all was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Requests to pay.
    pub payments: u64,
    /// Intents that succeeded.
    pub ledger: u64,
    /// Orders.
    pub orders: u64,
    /// Mails.
    pub mails: u64,
    /// Alerts.
    pub alerts: u64,
    /// Questions whether somebody is a person.
    pub humans: u64,
    /// Connections that the mail server did not let in.
    pub turned_away: u64,
    /// Requests that followed a redirect.
    pub followed: u64,
    /// The most that could be sent of one flood, in bytes.
    pub flooded: u64,
}

/// A request to pay.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// When it came.
    pub at: DateTime<Utc>,
    /// Its `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// Its `metadata[chargeId]`.
    pub charge_id: Option<String>,
    /// How much, in the currency's smallest unit.
    pub amount: i64,
    /// The currency, such as `krw`.
    pub currency: String,
    /// How it is to be paid.
    pub payment_method: Option<String>,
    /// Whether it got the answer that an earlier one with its key had got.
    pub replayed: bool,
    /// The status of the answer.
    pub answer: Option<u16>,
}

/// An entry of the ledger: money that was taken.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    /// When it was taken.
    pub at: DateTime<Utc>,
    /// The id of the intent.
    pub intent: String,
    /// How much, in the currency's smallest unit.
    pub amount: i64,
    /// The currency, such as `krw`.
    pub currency: String,
    /// What it was paid with.
    pub payment_method: String,
    /// Its `metadata[chargeId]`.
    pub charge_id: Option<String>,
    /// The key under which the answer is kept.
    pub idempotency_key: Option<String>,
}

/// An order that the order system was told of.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// When it came.
    pub at: DateTime<Utc>,
    /// Its `webhook-id`.
    pub webhook_id: Option<String>,
    /// Whether it is signed as it should be.
    pub signature: Signature,
    /// Its headers; of several with one name, the last.
    pub headers: BTreeMap<String, String>,
    /// Its body, as it came.
    pub body: String,
    /// The status of the answer.
    pub answer: Option<u16>,
}

impl Order {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// A mail.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mail {
    /// When it was read.
    pub at: DateTime<Utc>,
    /// The sender of the envelope.
    pub from: String,
    /// The recipients of the envelope.
    pub to: Vec<String>,
    /// The subject, decoded.
    pub subject: String,
    /// The Message-ID, without its angle brackets.
    pub message_id: String,
    /// The text, decoded.
    pub body: String,
    /// The reply of the mail server: 250 when it was taken.
    pub answer: Option<u16>,
}

/// An alert.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// When it came.
    pub at: DateTime<Utc>,
    /// Its body, as it came.
    pub body: String,
    /// The status of the answer.
    pub answer: Option<u16>,
}

impl Alert {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// A question whether somebody is a person.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HumanCheck {
    /// When it came.
    pub at: DateTime<Utc>,
    /// The token that was shown.
    pub token: String,
    /// Where it was shown, as the shop says.
    pub remote_ip: String,
    /// What was said of it; none: nothing yet.
    pub success: Option<bool>,
    /// The status of the answer.
    pub answer: Option<u16>,
}

/// Where everything is put that arrives.
#[derive(Debug)]
pub(crate) struct Desk(Mutex<Lists>);

#[derive(Debug)]
pub(crate) struct Lists {
    pub payments: Newest<Payment>,
    pub ledger: Newest<Taken>,
    pub orders: Newest<Order>,
    pub mails: Newest<Mail>,
    pub alerts: Newest<Alert>,
    pub humans: Newest<HumanCheck>,
    pub turned_away: u64,
    pub followed: u64,
    pub flooded: u64,
}

impl Lists {
    /// So many of each kind, but for the ledger.
    fn of(arrivals_max: usize) -> Lists {
        Lists {
            payments: Newest::new(arrivals_max),
            ledger: Newest::new(LEDGER_MAX_ENTRIES),
            orders: Newest::new(arrivals_max),
            mails: Newest::new(arrivals_max),
            alerts: Newest::new(arrivals_max),
            humans: Newest::new(arrivals_max),
            turned_away: 0,
            followed: 0,
            flooded: 0,
        }
    }

    pub fn totals(&self) -> Totals {
        Totals {
            payments: self.payments.total(),
            ledger: self.ledger.total(),
            orders: self.orders.total(),
            mails: self.mails.total(),
            alerts: self.alerts.total(),
            humans: self.humans.total(),
            turned_away: self.turned_away,
            followed: self.followed,
            flooded: self.flooded,
        }
    }
}

impl Desk {
    /// One that keeps so many of each kind, but for the ledger.
    pub fn new(arrivals_max: usize) -> Desk {
        Desk(Mutex::new(Lists::of(arrivals_max)))
    }

    pub fn lists(&self) -> MutexGuard<'_, Lists> {
        // An item is put in whole, so a poisoned lock holds good data.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest of each kind.
    pub fn newest(&self, count: usize) -> Arrived {
        let lists = self.lists();
        Arrived {
            payments: lists.payments.newest(count),
            ledger: lists.ledger.newest(count),
            orders: lists.orders.newest(count),
            mails: lists.mails.newest(count),
            alerts: lists.alerts.newest(count),
            humans: lists.humans.newest(count),
            totals: lists.totals(),
        }
    }

    pub fn forget(&self) {
        let mut lists = self.lists();
        lists.payments.clear();
        lists.ledger.clear();
        lists.orders.clear();
        lists.mails.clear();
        lists.alerts.clear();
        lists.humans.clear();
        (lists.turned_away, lists.followed, lists.flooded) = (0, 0, 0);
    }
}
