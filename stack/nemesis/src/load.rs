//! Shoppers who do not give up.

mod answer;
mod goods;
mod shopper;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Client;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::log::Log;
use crate::losses::Losses;
use crate::pace::Pace;
pub use answer::{Document, Heard, document, hear};
pub use goods::{Goods, WIDE};
use shopper::{Errand, Role, Shopper};

/// Who waits longer for an answer sends again.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Shoppers who do nothing but charge, unless said: few, because each asks the gateway for money.
pub const CHARGERS: usize = 3;

/// Shoppers who want only what no fault touches: enough that many of them end something in every slice of time.
const BYSTANDERS: usize = 12;

/// Shares requests out among the doors that are open, as a balancer does that asks whether they are ready.
#[derive(Debug)]
pub struct Balancer(Vec<(String, AtomicBool)>);

impl Balancer {
    /// All of these doors, open.
    pub fn new(doors: impl Iterator<Item = String>) -> Balancer {
        Balancer(doors.map(|door| (door, AtomicBool::new(true))).collect())
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

/// What all shoppers share.
#[derive(Debug)]
struct Shared {
    client: Client,
    doors: Arc<Balancer>,
    goods: Goods,
    log: Log,
    pace: Pace,
    give_up: CancellationToken,
    losses: Losses,
    is_hot: AtomicBool,
    /// Charges that ended.
    charges: AtomicUsize,
    /// The next of the real orders.
    next_order: AtomicUsize,
    /// Charges that nobody waits for at the moment, because they take long.
    left: Mutex<Vec<(Errand, Uuid)>>,
}

/// Shoppers at work.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    seed: u64,
    stop: CancellationToken,
    shoppers: JoinSet<()>,
}

impl Load {
    /// So many shoppers and chargers, and some who stand by, who begin one command after the other until they are told to stop.
    /// `losses` says when Redis lost its data.
    pub fn start(
        doors: &Arc<Balancer>,
        goods: &Goods,
        (shoppers, chargers): (usize, usize),
        seed: u64,
        losses: &Losses,
    ) -> Load {
        let shared = Arc::new(Shared {
            client: Client::builder().timeout(ANSWER_MAX).build().expect("a client without special wishes"),
            doors: Arc::clone(doors),
            goods: goods.clone(),
            log: Log::default(),
            pace: Pace::default(),
            give_up: CancellationToken::new(),
            losses: losses.clone(),
            is_hot: AtomicBool::new(false),
            charges: AtomicUsize::new(0),
            next_order: AtomicUsize::new(0),
            left: Mutex::default(),
        });
        let mut load = Load { shared, seed, stop: CancellationToken::new(), shoppers: JoinSet::new() };
        let roles = [(Role::Rusher, shoppers), (Role::Charger, chargers), (Role::Bystander, BYSTANDERS)];
        let roles = roles.iter().flat_map(|(role, count)| std::iter::repeat_n(*role, *count));
        for (number, role) in roles.enumerate() {
            let shopper = load.shopper(number, role);
            load.shoppers.spawn(shopper.shop(load.stop.clone()));
        }
        load
    }

    fn shopper(&self, number: usize, role: Role) -> Shopper {
        let random = StdRng::seed_from_u64(self.seed.wrapping_add(number as u64));
        Shopper { shared: Arc::clone(&self.shared), random, number, role }
    }

    /// What shoppers were told.
    pub fn log(&self) -> &Log {
        &self.shared.log
    }

    /// How quickly those are served whom no fault touches.
    pub fn pace(&self) -> &Pace {
        &self.shared.pace
    }

    /// What is sold to whom.
    pub fn goods(&self) -> &Goods {
        &self.shared.goods
    }

    /// Whether half of all orders want the same product from now on.
    pub fn set_hot(&self, is_hot: bool) {
        self.shared.is_hot.store(is_hot, Ordering::Relaxed);
    }

    /// No new commands; whoever waits goes on waiting, for so long at most, and who waits for a charge for so long. Whether
    /// all had their outcome in time.
    pub async fn finish(&mut self, patience: Duration, for_charges: Duration) -> bool {
        self.stop.cancel();
        let mut in_time = self.end_within(patience).await;
        let left = std::mem::take(&mut *self.shared.left.lock().unwrap_or_else(PoisonError::into_inner));
        for (number, (errand, id)) in left.into_iter().enumerate() {
            let mut shopper = self.shopper(number, Role::Rusher);
            let give_up = self.shared.give_up.clone();
            self.shoppers.spawn(async move {
                give_up.run_until_cancelled(shopper.see_through(errand, Some(id))).await;
            });
        }
        in_time &= self.end_within(for_charges).await;
        in_time
    }

    async fn end_within(&mut self, patience: Duration) -> bool {
        let all = async { while self.shoppers.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_ok() {
            return true;
        }
        self.shared.give_up.cancel();
        while self.shoppers.join_next().await.is_some() {}
        false
    }
}
