//! Shoppers who do not give up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::log::{Accepted, Log};

/// Who waits longer for an answer sends again.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The pause before somebody sends again who was told nothing else.
const PAUSE: Duration = Duration::from_millis(200);
/// One command in so many is sent again after its outcome.
const REPEATED_ONE_IN: u32 = 5;
/// One command in so many has no key, and is sent once.
const KEYLESS_ONE_IN: u32 = 4;
/// How long an outcome is waited for with one question, in seconds.
const ASKED_SECONDS: u64 = 2;

/// What is sold to whom.
#[derive(Debug, Clone)]
pub struct Goods {
    /// Coupons and how many there are.
    pub coupons: Vec<(String, i64)>,
    /// Products, their price and stock.
    pub products: Vec<(String, i64, i64)>,
    /// Shoppers and their balance.
    pub users: Vec<(String, i64)>,
}

impl Goods {
    /// A few scarce coupons and many products, some of which run out, for shoppers of whom some are poor.
    pub fn made_up() -> Goods {
        const PRODUCTS: i64 = 60;
        const USERS: i64 = 80;
        Goods {
            coupons: vec![("RUSH".to_owned(), 600), ("WIDE".to_owned(), 1_000_000)],
            products: (1..=PRODUCTS)
                .map(|number| (format!("P{number}"), 100 + number, if number % 7 == 0 { 40 } else { 1_000_000 }))
                .collect(),
            users: (1..=USERS)
                .map(|number| (format!("user{number}"), if number % 9 == 0 { 2_000 } else { 1_000_000_000 }))
                .collect(),
        }
    }
}

/// Shares requests out among the doors that are open, as a balancer does that asks whether they are ready.
#[derive(Debug)]
pub struct Balancer(Vec<(String, AtomicBool)>);

impl Balancer {
    /// All of these doors, open.
    pub fn new(doors: &[String]) -> Balancer {
        Balancer(doors.iter().map(|door| (door.clone(), AtomicBool::new(true))).collect())
    }

    /// Whether anybody is sent to this door from now on.
    pub fn set_open(&self, number: usize, is_open: bool) {
        self.0[number].1.store(is_open, Ordering::Relaxed);
    }

    fn door(&self, random: &mut StdRng) -> &str {
        let open: Vec<&str> = self
            .0
            .iter()
            .filter(|(_, is_open)| is_open.load(Ordering::Relaxed))
            .map(|(door, _)| door.as_str())
            .collect();
        open[random.random_range(0..open.len())]
    }
}

/// Shoppers at work.
#[derive(Debug)]
pub struct Load {
    /// What they were told.
    pub log: Log,
    stop: CancellationToken,
    give_up: CancellationToken,
    shoppers: JoinSet<()>,
}

impl Load {
    /// So many shoppers, who begin one command after the other until they are told to stop.
    /// `has_lost` says whether Redis has lost its data.
    pub fn start(doors: &Arc<Balancer>, goods: &Goods, shoppers: usize, seed: u64, has_lost: &Arc<AtomicBool>) -> Load {
        let client = Client::builder().timeout(ANSWER_MAX).build().expect("a client without special wishes");
        let (log, stop, give_up) = (Log::default(), CancellationToken::new(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        for number in 0..shoppers {
            let shopper = Shopper {
                client: client.clone(),
                doors: Arc::clone(doors),
                goods: goods.clone(),
                log: log.clone(),
                random: StdRng::seed_from_u64(seed.wrapping_add(number as u64)),
                number,
                give_up: give_up.clone(),
                has_lost: Arc::clone(has_lost),
            };
            tasks.spawn(shopper.shop(stop.clone()));
        }
        Load { log, stop, give_up, shoppers: tasks }
    }

    /// No new commands; whoever waits goes on waiting, for so long at most. Whether all had their outcome in time.
    pub async fn finish(&mut self, patience: Duration) -> bool {
        self.stop.cancel();
        let all = async { while self.shoppers.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_ok() {
            return true;
        }
        self.give_up.cancel();
        while self.shoppers.join_next().await.is_some() {}
        false
    }
}

struct Shopper {
    client: Client,
    doors: Arc<Balancer>,
    goods: Goods,
    log: Log,
    random: StdRng,
    number: usize,
    give_up: CancellationToken,
    has_lost: Arc<AtomicBool>,
}

/// What the answer to a command was.
enum Sent {
    Accepted(Uuid, u64),
    Refused(String),
    Again(Duration),
    Surprise(String),
}

impl Shopper {
    async fn shop(mut self, stop: CancellationToken) {
        let mut count = 0_u64;
        while !stop.is_cancelled() {
            count += 1;
            let key = format!("{}-{count}", self.number);
            let (group, path, body) = self.wish(count);
            self.log.begin(&key, group);
            let give_up = self.give_up.clone();
            tokio::select! {
                () = self.see_through(&key, &path, &body) => {}
                () = give_up.cancelled() => return,
            }
        }
    }

    /// A claim, or an order of one to three products.
    fn wish(&mut self, count: u64) -> (&'static str, String, Value) {
        if self.random.random_ratio(1, 2) {
            let coupon = &self.goods.coupons[self.random.random_range(0..self.goods.coupons.len())].0;
            // Some ask twice.
            let user = format!("s{}-{}", self.number, count / 8 * 5 + count % 5);
            return ("coupon", format!("/api/coupons/{coupon}/issue"), json!({ "userId": user }));
        }
        let user = &self.goods.users[self.random.random_range(0..self.goods.users.len())].0;
        let lines = self.random.random_range(1..=3);
        let items: Vec<Value> = (0..lines)
            .map(|_| {
                let product = &self.goods.products[self.random.random_range(0..self.goods.products.len())].0;
                json!({"productId": product, "quantity": self.random.random_range(1..=3)})
            })
            .collect();
        ("order", "/api/orders".to_owned(), json!({"userId": user, "items": items}))
    }

    async fn see_through(&mut self, key: &str, path: &str, body: &Value) {
        let has_key = !self.random.random_ratio(1, KEYLESS_ONE_IN);
        loop {
            let Some(id) = self.send_until_answered(key, has_key, path, body).await else {
                return;
            };
            match (self.wait_for_outcome(key, id).await, has_key) {
                (Waited::Ended, _) => break,
                (Waited::Lost, true) => {}
                (Waited::Lost, false) => return self.log.note(key, |told| told.is_unknown = true),
            }
        }
        if has_key && self.random.random_ratio(1, REPEATED_ONE_IN) {
            self.send_until_answered(key, has_key, path, body).await;
        }
    }

    /// The request that stands for the key; none if it was refused before the line, or nobody knows.
    async fn send_until_answered(&mut self, key: &str, has_key: bool, path: &str, body: &Value) -> Option<Uuid> {
        for tries in 0.. {
            let door = self.doors.door(&mut self.random);
            let sent = Instant::now();
            let mut request = self.client.post(format!("{door}{path}")).json(body);
            if has_key {
                request = request.header("idempotency-key", key);
            }
            match understand(self.log.heard(request.send().await)).await {
                Sent::Accepted(id, ticket) => {
                    let accepted = Accepted { id, ticket, told: Instant::now(), sent, was_sent_before: tries > 0 };
                    self.log.note(key, |told| {
                        told.accepted.get_or_insert(accepted);
                        told.ids.push((id, ticket));
                    });
                    return Some(id);
                }
                Sent::Refused(code) => {
                    self.log.note(key, |told| told.turned_away = Some(code));
                    return None;
                }
                Sent::Again(_) if !has_key => {
                    self.log.note(key, |told| told.is_unknown = true);
                    return None;
                }
                Sent::Again(pause) => tokio::time::sleep(pause).await,
                Sent::Surprise(what) => {
                    self.log.note(key, |told| told.surprises.push(what));
                    return None;
                }
            }
        }
        unreachable!("it is tried for ever")
    }

    async fn wait_for_outcome(&mut self, key: &str, id: Uuid) -> Waited {
        loop {
            let door = self.doors.door(&mut self.random);
            let asked = self.client.get(format!("{door}/api/requests/{id}?wait={ASKED_SECONDS}")).send().await;
            match outcome(self.log.heard(asked)).await {
                Ok(Some(outcome)) => {
                    self.log.note(key, |told| told.outcomes.push(outcome));
                    return Waited::Ended;
                }
                Ok(None) => tokio::time::sleep(PAUSE).await,
                Err(what) if self.has_lost.load(Ordering::Relaxed) && what.contains("R001") => {
                    self.log.note(key, |told| {
                        told.ids.retain(|(known, _)| *known != id);
                        told.lost.push(id);
                    });
                    return Waited::Lost;
                }
                Err(what) => {
                    self.log.note(key, |told| told.surprises.push(what));
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

async fn understand(answer: reqwest::Result<reqwest::Response>) -> Sent {
    let Ok(answer) = answer else {
        return Sent::Again(PAUSE);
    };
    let status = answer.status();
    let retry_after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let Ok(body) = answer.json::<Value>().await else {
        return Sent::Again(PAUSE);
    };
    let code = body["code"].as_str().unwrap_or_default().to_owned();
    match status {
        StatusCode::ACCEPTED | StatusCode::OK | StatusCode::CREATED if body["requestId"].is_string() => {
            let id = body["requestId"].as_str().and_then(|id| id.parse().ok());
            match (id, body["ticket"].as_u64()) {
                (Some(id), Some(ticket)) => Sent::Accepted(id, ticket),
                _ => Sent::Surprise(format!("{status} {body}")),
            }
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Sent::Again(retry_after.map_or(PAUSE, |seconds: u64| Duration::from_secs(seconds.min(1)).max(PAUSE)))
        }
        StatusCode::CONFLICT | StatusCode::GONE | StatusCode::UNPROCESSABLE_ENTITY if code.starts_with('C') => {
            Sent::Refused(code)
        }
        status => Sent::Surprise(format!("{status} {body}")),
    }
}

/// The final outcome in an answer; none while there is none, or no answer.
///
/// # Errors
/// What was answered instead. Nobody may be told that an accepted request is unknown.
pub async fn outcome(answer: reqwest::Result<reqwest::Response>) -> Result<Option<String>, String> {
    let Ok(answer) = answer else {
        return Ok(None);
    };
    let status = answer.status();
    let Ok(body) = answer.json::<Value>().await else {
        return Ok(None);
    };
    match (status, body["status"].as_str()) {
        (StatusCode::OK, Some("SUCCEEDED")) => Ok(Some("SUCCEEDED".to_owned())),
        (StatusCode::OK, Some("FAILED")) => {
            Ok(Some(body["error"]["code"].as_str().unwrap_or("a refusal without a code").to_owned()))
        }
        (StatusCode::OK, Some("QUEUED" | "PROCESSING")) | (StatusCode::SERVICE_UNAVAILABLE, _) => Ok(None),
        _ => Err(format!("{status} {body}")),
    }
}
