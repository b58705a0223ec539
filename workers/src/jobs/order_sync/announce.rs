//! Announcing orders: a message in a queue on Redis says "look at these now", so that an order is sent as soon as it is
//! committed, by whichever worker is free. The queue is bounded and may lose everything: the rows in Postgres say what must
//! be sent, and a sweep finds them every second. A message that comes late or twice finds nothing to do.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use apalis::prelude::{BackendExt, TaskSink, WorkerBuilder, WorkerBuilderExt, WorkerError};
use apalis_core::task::data::Data;
use apalis_redis::{Config, RedisStorage};
use futures::FutureExt;
use futures::future::BoxFuture;
use lanes::{Link, RoutedConnection};
use redis::Pipeline;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{OrderSync, SENDS_IN_FLIGHT_MAX};

/// In braces is the key in which the storage lists all queues, so that it and the keys of this one share a slot of a Redis
/// Cluster: a script of the storage writes to both.
const QUEUE: &str = "{core:apalis:queues:list}:order_sync";

/// Messages that may wait. The storage fails for good when 8,000 are due at once, and long before it the sweep is quicker.
const WAITING_MAX: usize = 1_000;

/// Batches whose orders wait to be announced by this process; of more nobody is told.
const BATCHES_MAX: usize = 256;

/// Messages that are fetched at once. Few: those that are fetched and not done come back last.
const FETCHED_TOGETHER: usize = 10;

/// How often the queue is looked at. The storage publishes nothing that would wake a worker.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often a worker says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// After so many missed heartbeats its messages go to another one.
const HEARTBEATS_MISSED_MAX: usize = 3;

/// How often what is done is deleted: the storage would keep it for ever.
const TRIM_EVERY: Duration = Duration::from_secs(5);

/// Done messages that are deleted at once; more than can be done in between wait for the next time.
const TRIMMED_TOGETHER_MAX: isize = 1_000;

/// What is kept of a worker in Redis goes after this, once it does not say any more that it is there.
const WORKER_KEPT_SECONDS: i64 = 3_600;

/// The pause before a worker whose Redis failed is started again.
const FAULT_PAUSE: Duration = Duration::from_secs(1);

/// Orders that a worker is to look at.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Announcement {
    orders: Vec<Uuid>,
}

type Storage = RedisStorage<Announcement, RoutedConnection>;

fn config() -> Config {
    Config::default()
        .queue(QUEUE)
        .batch_size(FETCHED_TOGETHER)
        .heartbeat_interval(HEARTBEAT)
        .missed_heartbeats(HEARTBEATS_MISSED_MAX)
        // Each would cost a scan of the queue for every message.
        .lock_tasks(false)
        .emit_events(false)
}

fn connection(link: &Link) -> RoutedConnection {
    link.routed(&format!("{QUEUE}:"))
}

/// Announces the orders of committed batches. A copy shares the task that does it.
#[derive(Debug, Clone)]
pub(crate) struct Announcer(mpsc::Sender<Vec<Uuid>>);

impl Announcer {
    /// Starts the task, which ends when the last copy is gone.
    pub(crate) fn start(link: &Link) -> Announcer {
        let connection = connection(link);
        let (sender, mut batches) = mpsc::channel::<Vec<Uuid>>(BATCHES_MAX);
        tokio::spawn(async move {
            let mut failing = false;
            while let Some(orders) = batches.recv().await {
                let pushed = push(connection.clone(), &orders).await;
                if let (Err(error), false) = (&pushed, failing) {
                    tracing::warn!("orders cannot be announced, and are found by the sweep: {error:#}");
                }
                failing = pushed.is_err();
            }
        });
        Announcer(sender)
    }

    /// Announces orders that are committed. Never waits: whoever is not announced is found by the sweep.
    pub(crate) fn announce(&self, orders: Vec<Uuid>) {
        if !orders.is_empty() {
            // Full: then the sweep is busy anyway.
            let _ = self.0.try_send(orders);
        }
    }
}

async fn push(mut connection: RoutedConnection, orders: &[Uuid]) -> anyhow::Result<()> {
    let config = config();
    let mut question = redis::pipe();
    question.zcard(config.scheduled_jobs_set()).llen(config.active_jobs_list());
    let (due, fetched): (usize, usize) = question.query_async(&mut connection).await.context("asking how many wait")?;
    let room = WAITING_MAX.saturating_sub(due + fetched);
    let announcements: Vec<_> =
        orders.chunks(SENDS_IN_FLIGHT_MAX).take(room).map(|orders| Announcement { orders: orders.to_vec() }).collect();
    if announcements.is_empty() {
        return Ok(());
    }
    let mut storage = Storage::new(connection).with_config(config);
    storage.push_bulk(announcements).await.context("pushing announcements")
}

/// Looks at announced orders until the process shall end. The worker dies of every fault of Redis, so it is started again,
/// each time under a name that was never used.
pub(crate) async fn listen(
    link: Link,
    order_sync: OrderSync,
    name: String,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let connection = connection(&link);
    let mut failing = false;
    for start in 0_u64.. {
        let worker = format!("{name}-announced-{start}");
        let trimming = keep_trimming(connection.clone(), &worker);
        let ended = tokio::select! {
            ended = work(connection.clone(), order_sync.clone(), &worker, shutdown.clone()) => ended,
            never = trimming => match never {},
        };
        if shutdown.is_cancelled() {
            break;
        }
        if let (Err(error), false) = (&ended, failing) {
            tracing::warn!("announced orders cannot be looked at, and are found by the sweep: {error}");
        }
        failing = ended.is_err();
        let _ = tokio::time::timeout(FAULT_PAUSE, shutdown.cancelled()).await;
    }
    Ok(())
}

fn work(
    connection: RoutedConnection,
    order_sync: OrderSync,
    name: &str,
    shutdown: CancellationToken,
) -> BoxFuture<'static, Result<(), WorkerError>> {
    let storage = Storage::new(connection).with_config(config());
    WorkerBuilder::new(name)
        .backend(storage.poll_with_interval(LOOK_EVERY))
        .catch_panic()
        .data(order_sync)
        .build(look)
        .run_until(async move {
            shutdown.cancelled().await;
            Ok::<(), WorkerError>(())
        })
        .boxed()
}

/// What cannot be sent now is found by the sweep, so there is nothing to be tried again.
async fn look(announcement: Announcement, order_sync: Data<OrderSync>) {
    if let Err(error) = order_sync.look_at(announcement.orders).await {
        tracing::warn!("announced orders could not be claimed, and are found by the sweep: {error:#}");
    }
}

async fn keep_trimming(mut connection: RoutedConnection, worker: &str) -> std::convert::Infallible {
    let config = Arc::new(config());
    let mut ticks = tokio::time::interval(TRIM_EVERY);
    loop {
        ticks.tick().await;
        for set in [config.done_jobs_set(), config.dead_jobs_set()] {
            // That it fails is told by the worker, which fails, too.
            let _ = trim(&mut connection, &config, &set).await;
        }
        let kept = format!("{QUEUE}:workers:metadata:{worker}");
        let _ = redis::pipe().expire(kept, WORKER_KEPT_SECONDS).query_async::<()>(&mut connection).await;
    }
}

/// Deletes messages that are done. Their names go last, so that a trim that dies is made up for.
async fn trim(connection: &mut RoutedConnection, config: &Config, set: &str) -> redis::RedisResult<()> {
    let mut question = Pipeline::new();
    question.srandmember_multiple(set, TRIMMED_TOGETHER_MAX);
    let (done,): (Vec<String>,) = question.query_async(connection).await?;
    if done.is_empty() {
        return Ok(());
    }
    let (data, meta) = (config.job_data_hash(), config.job_meta_hash());
    let metas: Vec<String> = done.iter().map(|id| format!("{meta}:{id}")).collect();
    let mut deleting = redis::pipe();
    deleting.hdel(data, &done).ignore().hdel(format!("{meta}:result"), &done).ignore();
    deleting.del(metas).ignore().srem(set, &done).ignore();
    deleting.query_async(connection).await
}
