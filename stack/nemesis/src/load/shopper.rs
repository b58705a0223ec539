//! One shopper, who sees one command after the other through.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::answer::{Heard, PAUSE, Sent, document, hear, understand, waits};
use super::goods::{CALM, quiet_order};
use super::{Document, Shared};
use crate::log::{Accepted, Lost};

/// One command in so many is sent again after its outcome.
const REPEATED_ONE_IN: u32 = 5;
/// One outcome in so many is asked for once more, at once.
const ASKED_AGAIN_ONE_IN: u32 = 4;
/// One command in so many has no key, and is sent once.
const KEYLESS_ONE_IN: u32 = 4;
/// One charge in so many is of a card that is refused.
const REFUSED_CARD_ONE_IN: u32 = 8;
/// How long an outcome is waited for with one question, in seconds.
const ASKED_SECONDS: u64 = 2;
/// A charge whose outcome is unknown after this is left for later: its shopper has other things to do.
const CHARGE_PATIENCE: Duration = Duration::from_secs(3);
/// Charges of all chargers: what the sandbox remembers has a bound, which is higher.
const CHARGES_MAX: usize = 40_000;
/// Between two charges: nobody charges all the time.
const CHARGE_PAUSE: Duration = Duration::from_millis(100);

/// What a shopper does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Claims and orders what everybody wants.
    Rusher,
    /// Charges a balance.
    Charger,
    /// Wants what no fault touches.
    Bystander,
}

/// A command on its way.
#[derive(Debug)]
pub(super) struct Errand {
    key: String,
    has_key: bool,
    group: &'static str,
    path: String,
    body: Value,
}

pub(super) struct Shopper {
    pub shared: Arc<Shared>,
    pub random: StdRng,
    pub number: usize,
    pub role: Role,
}

impl Shopper {
    pub async fn shop(mut self, stop: CancellationToken) {
        let mut count = 0_u64;
        while !stop.is_cancelled() {
            count += 1;
            let errand = self.errand(count);
            self.shared.log.begin(&errand.key, errand.group);
            let give_up = self.shared.give_up.clone();
            if give_up.run_until_cancelled(self.see_through(errand, None)).await.is_none() {
                return;
            }
            match self.role {
                Role::Rusher => {}
                Role::Charger if self.shared.charges.fetch_add(1, Ordering::Relaxed) >= CHARGES_MAX => return,
                Role::Charger => tokio::time::sleep(CHARGE_PAUSE).await,
                Role::Bystander => self.shared.pace.note(),
            }
        }
    }

    fn errand(&mut self, count: u64) -> Errand {
        let (group, path, body) = match self.role {
            Role::Charger => ("charge", "/api/users/balance/charge".to_owned(), self.charge()),
            Role::Bystander if count.is_multiple_of(2) => self.claim(CALM, count),
            Role::Bystander => ("order", "/api/orders".to_owned(), quiet_order(&mut self.random)),
            Role::Rusher if self.random.random_ratio(1, 2) => {
                let coupons = self.shared.goods.coupons.iter().filter(|(coupon, _)| coupon != CALM);
                let coupons: Vec<String> = coupons.map(|(coupon, _)| coupon.clone()).collect();
                let coupon = &coupons[self.random.random_range(0..coupons.len())];
                // Some ask twice.
                self.claim(coupon, count / 8 * 5 + count % 5)
            }
            Role::Rusher => ("order", "/api/orders".to_owned(), self.order()),
        };
        let has_key = !self.random.random_ratio(1, KEYLESS_ONE_IN);
        Errand { key: format!("{}-{count}", self.number), has_key, group, path, body }
    }

    fn claim(&self, coupon: &str, number: u64) -> (&'static str, String, Value) {
        let user = format!("s{}-{number}", self.number);
        ("coupon", format!("/api/coupons/{coupon}/issue"), json!({ "userId": user }))
    }

    fn user(&mut self) -> String {
        let users = &self.shared.goods.users;
        users[self.random.random_range(0..users.len())].0.clone()
    }

    fn charge(&mut self) -> Value {
        let amount = self.random.random_range(1_000..=100_000);
        let mut charge = json!({"userId": self.user(), "amount": amount});
        if self.random.random_ratio(1, REFUSED_CARD_ONE_IN) {
            charge["paymentMethod"] = "pm_card_visa_chargeDeclinedInsufficientFunds".into();
        }
        charge
    }

    /// What many want, if something is hot; else the next of the real orders, or one to three products.
    fn order(&mut self) -> Value {
        if self.shared.is_hot.load(Ordering::Relaxed) {
            return json!({"userId": self.user(), "items": [{"productId": self.shared.goods.hot(), "quantity": 1}]});
        }
        let orders = &self.shared.goods.orders;
        if !orders.is_empty() {
            return orders[self.shared.next_order.fetch_add(1, Ordering::Relaxed) % orders.len()].clone();
        }
        let lines = self.random.random_range(1..=3);
        let user = self.user();
        let products = &self.shared.goods.products;
        let items: Vec<Value> = (0..lines)
            .map(|_| {
                let product = &products[self.random.random_range(0..products.len())].0;
                json!({"productId": product, "quantity": self.random.random_range(1..=3)})
            })
            .collect();
        json!({"userId": user, "items": items})
    }

    /// To its outcome; `accepted` is the request that stands for it, if it was sent already.
    pub async fn see_through(&mut self, errand: Errand, mut accepted: Option<Uuid>) {
        let Errand { key, has_key, .. } = &errand;
        let mut ended = None;
        loop {
            let id = match accepted.take() {
                Some(id) => Some(id),
                None => self.send_until_answered(&errand).await,
            };
            // A repeat has another id only if the key was lost, and then may be lost itself.
            let Some(id) = id.filter(|id| ended != Some(*id)) else { return };
            let waited = if self.role == Role::Charger {
                tokio::time::timeout(CHARGE_PATIENCE, self.wait_for_outcome(key, id)).await
            } else {
                Ok(self.wait_for_outcome(key, id).await)
            };
            match (waited, has_key) {
                (Ok(Waited::Ended), true) if ended.is_none() && self.random.random_ratio(1, REPEATED_ONE_IN) => {
                    ended = Some(id);
                }
                (Ok(Waited::Ended), _) => return,
                (Ok(Waited::Lost), true) => {}
                (Ok(Waited::Lost), false) => return self.shared.log.note(key, |told| told.is_unknown = true),
                (Err(_), _) => {
                    let shared = Arc::clone(&self.shared);
                    return shared.left.lock().unwrap_or_else(PoisonError::into_inner).push((errand, id));
                }
            }
        }
    }

    /// The request that stands for the key; none if it has ended, or nobody knows.
    async fn send_until_answered(&mut self, errand: &Errand) -> Option<Uuid> {
        let Errand { key, has_key, path, body, .. } = errand;
        let shared = Arc::clone(&self.shared);
        for tries in 0.. {
            let door = shared.doors.door(&mut self.random);
            let sent = Instant::now();
            // A charge waits by itself, and no shorter than a second.
            let mut request = shared.client.post(format!("{door}{path}")).json(body);
            if errand.group == "charge" {
                request = request.header("prefer", "wait=1");
            }
            if *has_key {
                request = request.header("idempotency-key", key);
            }
            let accepted = |id, ticket| Accepted { id, ticket, told: Instant::now(), sent, was_sent_before: tries > 0 };
            let answered = self.hear(request).await.map_or(Sent::Again(PAUSE), understand);
            match answered {
                Sent::Accepted(id, ticket) => {
                    shared.log.accepted(key, accepted(id, ticket));
                    return Some(id);
                }
                Sent::Ended(id, outcome) => {
                    if let Some(id) = id
                        && let Some(Document { ticket: Some(ticket), .. }) = self.document_of(key, id).await
                    {
                        shared.log.accepted(key, accepted(id, ticket));
                    }
                    shared.log.note(key, |told| told.outcomes.push(outcome));
                    return None;
                }
                Sent::Refused(code) => {
                    shared.log.note(key, |told| told.turned_away = Some(code));
                    return None;
                }
                Sent::Again(_) if !has_key => {
                    shared.log.note(key, |told| told.is_unknown = true);
                    return None;
                }
                Sent::Again(pause) => tokio::time::sleep(pause).await,
                Sent::Surprise(what) => {
                    shared.log.note(key, |told| told.surprises.push(what));
                    return None;
                }
            }
        }
        unreachable!("it is tried for ever")
    }

    /// The answer; none where the connection breaks.
    async fn hear(&self, request: RequestBuilder) -> Option<Heard> {
        hear(request.send().await).await.inspect_err(|error| self.shared.log.broke_off(error)).ok()
    }

    /// The document of a charge that has ended; none if that is not to be had.
    async fn document_of(&mut self, key: &str, id: Uuid) -> Option<Document> {
        loop {
            let door = self.shared.doors.door(&mut self.random);
            let asked = self.shared.client.get(format!("{door}/api/requests/{id}"));
            match self.hear(asked).await.map_or(Ok(None), document) {
                Ok(Some(document)) => return Some(document),
                Ok(None) => tokio::time::sleep(PAUSE).await,
                Err(what) => {
                    self.shared.log.note(key, |told| told.surprises.push(what));
                    return None;
                }
            }
        }
    }

    /// What was told as final is final, whichever door is asked and whatever it can reach.
    async fn ask_again(&mut self, key: &str, id: Uuid) {
        let door = self.shared.doors.door(&mut self.random);
        let asked = self.shared.client.get(format!("{door}/api/requests/{id}"));
        let Some(heard) = self.hear(asked).await else { return };
        let said = if waits(&heard) { Err("it was final, and waits again".to_owned()) } else { document(heard) };
        match said {
            Ok(Some(Document { outcome, .. })) => self.shared.log.note(key, |told| told.outcomes.push(outcome)),
            Ok(None) => {}
            Err(what) => self.shared.log.note(key, |told| told.surprises.push(what)),
        }
    }

    async fn wait_for_outcome(&mut self, key: &str, id: Uuid) -> Waited {
        let shared = Arc::clone(&self.shared);
        loop {
            let door = shared.doors.door(&mut self.random);
            let asked = Utc::now();
            let question = shared.client.get(format!("{door}/api/requests/{id}?wait={ASKED_SECONDS}"));
            match self.hear(question).await.map_or(Ok(None), document) {
                Ok(Some(Document { outcome, .. })) => {
                    shared.log.note(key, |told| told.outcomes.push(outcome));
                    if self.random.random_ratio(1, ASKED_AGAIN_ONE_IN) {
                        self.ask_again(key, id).await;
                    }
                    return Waited::Ended;
                }
                Ok(None) => tokio::time::sleep(PAUSE).await,
                Err(what) if what.contains("R001") && shared.log.lost(key, Lost { id, asked }, &shared.losses) => {
                    return Waited::Lost;
                }
                Err(what) => {
                    shared.log.note(key, |told| told.surprises.push(what));
                    return Waited::Ended;
                }
            }
        }
    }
}

/// What came of waiting.
enum Waited {
    Ended,
    Lost,
}
