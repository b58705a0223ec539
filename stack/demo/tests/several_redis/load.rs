//! Shoppers who claim without a pause, send again what was not accepted, and remember what they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::Group;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use stack::wait_for_async;
use tokio::task::JoinSet;

use crate::shop::{DEADLINE, Shop, answer};

/// Shoppers at once: enough for batches of several.
const SHOPPERS: usize = 12;

/// The pause of a shopper who was not accepted, as a polite client makes it.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// A 202, and the request that it answers.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub coupon: String,
    pub user: String,
    pub key: String,
    pub id: String,
    pub ticket: u64,
    pub sent: Instant,
    pub told: Instant,
    /// Whether the same command had been sent before in vain: its ticket may be older than this request.
    was_sent_before: bool,
}

/// A rush on some coupons.
pub struct Load {
    shoppers: JoinSet<Vec<Accepted>>,
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

impl Load {
    /// Starts it; who wants which coupon goes round. Shoppers of another name are others.
    pub fn start(shop: &Shop, name: &str, coupons: &[&str]) -> Load {
        let mut load =
            Load { shoppers: JoinSet::new(), stop: Arc::default(), accepted: Arc::default(), refused: Arc::default() };
        for shopper in 0..SHOPPERS {
            let coupon = coupons[shopper % coupons.len()].to_owned();
            let (stop, accepted, refused) =
                (Arc::clone(&load.stop), Arc::clone(&load.accepted), Arc::clone(&load.refused));
            let (client, base, name) = (shop.http.clone(), shop.base.clone(), name.to_owned());
            load.shoppers.spawn(async move {
                let mut all = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let user = format!("{name}{shopper}-{}", all.len());
                    all.push(claim(&client, &base, &coupon, &user, &refused).await);
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

/// Sends one claim until it is accepted.
async fn claim(client: &Client, base: &str, coupon: &str, user: &str, refused: &AtomicUsize) -> Accepted {
    let key = format!("{user}-once");
    let began = Instant::now();
    let mut was_sent_before = false;
    let mut pace = tokio::time::interval(AGAIN_AFTER);
    loop {
        pace.tick().await;
        let request = client.request(Method::POST, format!("{base}/api/coupons/{coupon}/issue"));
        let request = request.json(&json!({"userId": user})).header("idempotency-key", &key);
        let sent = Instant::now();
        let (status, body) = answer(request).await;
        if status == 202 {
            return Accepted {
                coupon: coupon.to_owned(),
                user: user.to_owned(),
                key,
                id: body["requestId"].as_str().unwrap().to_owned(),
                ticket: body["ticket"].as_u64().unwrap(),
                sent,
                told: Instant::now(),
                was_sent_before,
            };
        }
        assert_eq!(status, 503, "{body}");
        assert!(began.elapsed() < DEADLINE, "{user} was never accepted: {body}");
        was_sent_before = true;
        refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// The outcome of an accepted claim; `None`: nobody knows it.
pub async fn outcome(shop: &Shop, accepted: &Accepted) -> Option<Value> {
    wait_for_async("an outcome", DEADLINE, async || {
        let (status, body) = shop.get(&format!("/api/requests/{}?wait=10", accepted.id)).await;
        match (status, body["status"].as_str()) {
            (404, _) => Some(None),
            (200, Some("SUCCEEDED" | "REJECTED")) => Some(Some(body)),
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
        let group = Group::coupon(&one.coupon.parse().unwrap(), groups);
        by_group.entry(group.to_string()).or_default().push(one);
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

/// What Postgres says must agree with what shoppers were told, and every promise holds.
pub async fn check_rows(shop: &Shop, succeeded: usize) {
    let report = audit::audit(&shop.pool).await.unwrap();
    assert!(report.ok, "{report:#?}");
    let rows: i64 = sqlx::query_scalar("select count(*) from user_coupons").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(rows, i64::try_from(succeeded).unwrap(), "who was told of a coupon has one");
}
