//! Shoppers who ask without a pause, send again what was not accepted, and remember what they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::Group;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use stack::wait_for_async;
use tokio::task::JoinSet;

use crate::shop::{DEADLINE, Shop, answer};

/// Shoppers at once: enough for batches of several.
const SHOPPERS: usize = 12;

/// The pause of a shopper who was not accepted, as a polite client makes it.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// More than all that the buyers buy.
const RICH: i64 = 1_000_000_000;

/// The least that a card is charged, in won.
const CHARGED: i64 = 100;

/// What a shopper asks for, again and again.
#[derive(Debug, Clone, Copy)]
pub enum Wish {
    /// A unit of this coupon, each time in another name.
    Claim(&'static str),
    /// One piece of each of these products, which stands in three lanes: theirs and the buyer's.
    Order([&'static str; 2]),
    /// Money onto the buyer's balance.
    Charge,
}

impl Wish {
    /// Where it stands in line.
    pub fn group(self, groups: u8) -> Group {
        match self {
            Wish::Claim(coupon) => Group::coupon(&coupon.parse().unwrap(), groups),
            Wish::Order(_) => Group::ORDER,
            Wish::Charge => Group::CHARGE,
        }
    }

    fn request(self, client: &Client, base: &str, user: &str, key: &str) -> RequestBuilder {
        let (path, body) = match self {
            Wish::Claim(coupon) => (format!("/api/coupons/{coupon}/issue"), json!({ "userId": user })),
            Wish::Order(products) => {
                let items = products.map(|product| json!({"productId": product, "quantity": 1}));
                ("/api/orders".to_owned(), json!({"userId": user, "items": items}))
            }
            Wish::Charge => ("/api/users/balance/charge".to_owned(), json!({"userId": user, "amount": CHARGED})),
        };
        let request = client.request(Method::POST, format!("{base}{path}")).json(&body);
        request.header("idempotency-key", key)
    }
}

/// Shoppers whose money is enough for all orders.
pub async fn buyers(shop: &Shop) {
    for number in 0..SHOPPERS {
        shop.as_admin("/users", &json!({"userId": buyer(number), "balance": RICH})).await;
    }
}

fn buyer(number: usize) -> String {
    format!("buyer{number}")
}

/// A 202, and the request that it answers.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub wish: Wish,
    user: String,
    key: String,
    id: String,
    pub ticket: u64,
    sent: Instant,
    pub told: Instant,
    /// Whether the same command had been sent before in vain: its ticket may be older than this request.
    was_sent_before: bool,
}

impl Accepted {
    /// The same once more, with its key.
    pub fn again(&self, shop: &Shop) -> RequestBuilder {
        self.wish.request(&shop.http, &shop.base, &self.user, &self.key)
    }
}

/// A rush.
pub struct Load {
    shoppers: JoinSet<Vec<Accepted>>,
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

impl Load {
    /// Starts it; who wants what goes round. Shoppers of another name are others.
    pub fn start(shop: &Shop, name: &str, wishes: &[Wish]) -> Load {
        let mut load =
            Load { shoppers: JoinSet::new(), stop: Arc::default(), accepted: Arc::default(), refused: Arc::default() };
        for shopper in 0..SHOPPERS {
            let wish = wishes[shopper % wishes.len()];
            let (stop, accepted, refused) =
                (Arc::clone(&load.stop), Arc::clone(&load.accepted), Arc::clone(&load.refused));
            let (client, base, name) = (shop.http.clone(), shop.base.clone(), name.to_owned());
            load.shoppers.spawn(async move {
                let mut all = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let once = format!("{name}{shopper}-{}", all.len());
                    let user = if matches!(wish, Wish::Claim(_)) { once.clone() } else { buyer(shopper) };
                    let key = format!("{once}-once");
                    all.push(until_accepted(&client, &base, wish, user, key, &refused).await);
                    accepted.fetch_add(1, Ordering::Relaxed);
                }
                all
            });
        }
        load
    }

    /// Waits until so many more were accepted.
    pub async fn more(&self, count: usize) {
        let wanted = self.accepted.load(Ordering::Relaxed) + count;
        wait_for_async("more to be accepted", DEADLINE, async || {
            (self.accepted.load(Ordering::Relaxed) >= wanted).then_some(())
        })
        .await;
    }

    /// How many requests had no 202.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// Ends the rush, and gives all that was accepted.
    pub async fn stop(self) -> Vec<Accepted> {
        self.stop.store(true, Ordering::Relaxed);
        self.shoppers.join_all().await.concat()
    }
}

/// Sends one command until it is accepted.
async fn until_accepted(
    client: &Client,
    base: &str,
    wish: Wish,
    user: String,
    key: String,
    refused: &AtomicUsize,
) -> Accepted {
    let began = Instant::now();
    let mut was_sent_before = false;
    let mut pace = tokio::time::interval(AGAIN_AFTER);
    loop {
        pace.tick().await;
        let sent = Instant::now();
        let (status, body) = answer(wish.request(client, base, &user, &key).header("prefer", "wait=0")).await;
        if status == 202 {
            let id = body["requestId"].as_str().unwrap().to_owned();
            let (ticket, told) = (body["ticket"].as_u64().unwrap(), Instant::now());
            return Accepted { wish, user, key, id, ticket, sent, told, was_sent_before };
        }
        assert_eq!(status, 503, "{body}");
        assert!(began.elapsed() < DEADLINE, "{user} was never accepted: {body}");
        was_sent_before = true;
        refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// The outcome of an accepted command; `None`: nobody knows it.
pub async fn outcome(shop: &Shop, accepted: &Accepted) -> Option<Value> {
    wait_for_async("an outcome", DEADLINE, async || {
        let (status, body) = shop.get(&format!("/api/requests/{}?wait=10", accepted.id)).await;
        match (status, body["status"].as_str()) {
            (404, _) => Some(None),
            (200, Some("SUCCEEDED" | "FAILED")) => Some(Some(body)),
            (200 | 503, _) => None,
            _ => panic!("{status} {body}"),
        }
    })
    .await
}

/// Tickets of a group are given once, and whoever was told theirs before another one asked has the lower one.
pub fn check_tickets(all: &[Accepted], groups: u8) {
    let mut by_group: BTreeMap<String, Vec<&Accepted>> = BTreeMap::new();
    for one in all {
        by_group.entry(one.wish.group(groups).to_string()).or_default().push(one);
    }
    for (group, mut all) in by_group {
        let tickets: BTreeSet<u64> = all.iter().map(|one| one.ticket).collect();
        assert_eq!(tickets.len(), all.len(), "a ticket of {group} was given twice");
        all.sort_by_key(|one| one.sent);
        let mut told: Vec<&Accepted> = all.clone();
        told.sort_by_key(|one| one.told);
        let (mut before, mut highest) = (told.into_iter().peekable(), 0);
        for one in all.into_iter().filter(|one| !one.was_sent_before) {
            while let Some(earlier) = before.next_if(|earlier| earlier.told < one.sent) {
                highest = highest.max(earlier.ticket);
            }
            assert!(one.ticket > highest, "a ticket of {group} went back from {highest}: {one:?}");
        }
    }
}

/// Asks for every outcome, all of which must be successes: there is enough for everybody. Gives those that nobody knows.
pub async fn lost_of(shop: &Shop, all: &[Accepted]) -> Vec<Accepted> {
    let mut lost = Vec::new();
    for accepted in all {
        match outcome(shop, accepted).await {
            Some(outcome) => assert_eq!(outcome["status"], "SUCCEEDED", "{accepted:?}: {outcome}"),
            None => lost.push(accepted.clone()),
        }
    }
    lost
}

/// Each of these was sent and succeeded, and left one thing in Postgres: a coupon, an order, or a charge. Every promise holds.
pub async fn check_rows(shop: &Shop, all: &[Accepted]) {
    let report = audit::audit(&shop.pool).await.unwrap();
    assert!(report.ok, "{report:#?}");
    let claims = all.iter().filter(|one| matches!(one.wish, Wish::Claim(_))).count();
    let orders = all.iter().filter(|one| matches!(one.wish, Wish::Order(_))).count();
    let kinds = [
        ("select count(*) from user_coupons", claims),
        ("select count(*) from orders", orders),
        ("select count(*) from charges where status = 'SUCCEEDED'", all.len() - claims - orders),
    ];
    for (sql, meant) in kinds {
        let rows: i64 = sqlx::query_scalar(sql).fetch_one(&shop.pool).await.unwrap();
        assert_eq!(rows, i64::try_from(meant).unwrap(), "{sql}: each has what they were told, once");
    }
}
