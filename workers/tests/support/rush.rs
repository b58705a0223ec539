//! Load for fault tests: claims of a scarce coupon and orders over few products, appended without a pause until told to
//! stop.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::{Command, Group, RequestId};
use lanes::{Appended, Link};
use tokio::task::JoinHandle;

use super::{COUPONS, World, claim, lanes_of, model::Before, order, to_append};

/// How many commands may wait before the rush takes a breath: enough to have full batches, few enough to end soon.
const WAITING_MAX: u64 = 400;

/// Commands per append.
const TOGETHER: usize = 20;

/// A running rush.
pub struct Rush {
    stop: Arc<AtomicBool>,
    accepted: Arc<Mutex<BTreeMap<RequestId, Command>>>,
    task: JoinHandle<()>,
}

/// The rows that a rush works on: two scarce coupons, products of which some run out, shoppers of whom some are poor.
pub fn rows() -> Before {
    let mut before = Before::default();
    before.coupons.insert("C1".to_owned(), 1_500);
    before.coupons.insert("C2".to_owned(), 100_000_000);
    for number in 0..12 {
        before.products.insert(format!("P{number}"), (100 + number, if number < 4 { 300 } else { 1_000_000 }));
    }
    for number in 0..40 {
        before.users.insert(format!("rich{number}"), 1_000_000_000);
        before.users.insert(format!("poor{number}"), 2_000);
    }
    before
}

fn command(number: usize) -> Command {
    // Two in three are claims; numbers repeat shoppers often enough that some ask twice.
    match number % 6 {
        0 | 1 => claim(&format!("s{}", number / 7 * 5), "C1"),
        2 | 3 => claim(&format!("s{number}"), "C2"),
        4 => order(
            &format!("rich{}", number % 40),
            &[(&format!("P{}", number % 12), 1), (&format!("P{}", number / 5 % 12), 2)],
        ),
        _ => order(&format!("poor{}", number % 40), &[(&format!("P{}", number % 7), 1)]),
    }
}

impl Rush {
    /// Begins.
    pub fn start(world: &World) -> Self {
        Self::start_at(world, 0)
    }

    /// Begins with this number, so that two rushes have different shoppers.
    pub fn start_at(world: &World, first: usize) -> Self {
        let (stop, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::default()));
        let task = tokio::spawn(run(world.link.clone(), first, Arc::clone(&stop), Arc::clone(&accepted)));
        Self { stop, accepted, task }
    }

    /// How many were accepted so far.
    pub fn count(&self) -> usize {
        self.accepted.lock().expect("not poisoned").len()
    }

    /// Ends, and gives what was accepted.
    pub async fn stop(self) -> BTreeMap<RequestId, Command> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("the rush ends well");
        std::mem::take(&mut *self.accepted.lock().expect("not poisoned"))
    }
}

async fn run(link: Link, first: usize, stop: Arc<AtomicBool>, accepted: Arc<Mutex<BTreeMap<RequestId, Command>>>) {
    let mut number = first;
    while !stop.load(Ordering::Relaxed) {
        for group in [COUPONS, Group::ORDER] {
            let commands: Vec<Command> = (number..number + TOGETHER * 3)
                .map(command)
                .filter(|command| command.group(1) == group)
                .take(TOGETHER)
                .collect();
            append(&link, group, commands, &accepted).await;
        }
        number += TOGETHER * 3;
        breathe(&link, &stop).await;
    }
}

/// The same append is repeated until the line answers, as a patient client would: the ids make it safe.
async fn append(link: &Link, group: Group, commands: Vec<Command>, accepted: &Mutex<BTreeMap<RequestId, Command>>) {
    let (ids, appends): (Vec<_>, Vec<_>) = commands.iter().map(|command| to_append(command, None)).unzip();
    let lanes = lanes_of(link, group);
    let replies =
        stack::wait_for_async("the line to answer", super::DEADLINE, || async { lanes.append(&appends).await.ok() });
    for ((id, command), reply) in ids.into_iter().zip(commands).zip(replies.await) {
        if matches!(reply, Appended::Accepted { .. } | Appended::Decided) {
            accepted.lock().expect("not poisoned").insert(id, command);
        }
    }
}

async fn breathe(link: &Link, stop: &AtomicBool) {
    stack::wait_for_async("the line to get shorter", Duration::from_secs(120), || async {
        let mut waiting = 0;
        for group in [COUPONS, Group::ORDER] {
            waiting += lanes_of(link, group).depth(1).await.map_or(u64::MAX / 4, |depth| depth.waiting);
        }
        (waiting < WAITING_MAX || stop.load(Ordering::Relaxed)).then_some(())
    })
    .await;
}
