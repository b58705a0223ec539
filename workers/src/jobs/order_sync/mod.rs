//! Telling the order system of every order. The rows in Postgres are the queue: whoever finds one that is due, by a sweep or
//! because it was announced, claims it for a while, sends it, and notes what came of it. After the last retry an operator is alerted, once.

pub(crate) mod announce;
mod record;
mod rows;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use runtime::config::{RetryDelays, SyncArgs};
use runtime::metrics;
use runtime::traces;
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::answered;
use crate::clients::http::Target;
use crate::clients::standard_webhooks::Signer;
use record::Recorder;
use rows::{Claimed, claim_announced, claim_due};

/// Orders that are being sent at once: a receiver that answers in 20 ms gets 3,200 a second, and a slow one holds no
/// more than these.
pub const SENDS_IN_FLIGHT_MAX: usize = 64;

/// How long a claim outlasts the attempt: writing down what came of it must not be raced by somebody else's attempt.
const CLAIM_MARGIN: Duration = Duration::from_secs(10);

/// A sweep that finds more and more to do ends after this; the next one goes on.
const SWEEP_MAX: Duration = Duration::from_secs(60);

/// Sends orders. Cheap to clone.
#[derive(Debug, Clone)]
pub struct OrderSync(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pool: PgPool,
    target: Target,
    signer: Signer,
    sending: Arc<Semaphore>,
    under_way: TaskTracker,
    recorder: Recorder,
    shutdown: CancellationToken,
}

impl OrderSync {
    /// The sync as it is configured; none: it is not.
    ///
    /// # Errors
    /// A sentence that names the variable that cannot work.
    pub fn new(
        args: &SyncArgs,
        allow_private_http: bool,
        pool: PgPool,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Option<OrderSync>> {
        let Some(url) = args.order_sync_url.as_deref().filter(|url| !url.is_empty()) else {
            return Ok(None);
        };
        let target = Target::new(url, args.order_sync_timeout, allow_private_http).context("ORDER_SYNC_URL")?;
        let secret = args.order_sync_secret.as_ref().context("ORDER_SYNC_URL needs ORDER_SYNC_SECRET to sign with")?;
        let signer = Signer::new(secret).context("ORDER_SYNC_SECRET")?;
        let recorder = Recorder::start(pool.clone(), args.order_sync_retry_delays.clone());
        let sending = Arc::new(Semaphore::new(SENDS_IN_FLIGHT_MAX));
        Ok(Some(OrderSync(Arc::new(Shared {
            pool,
            target,
            signer,
            sending,
            under_way: TaskTracker::new(),
            recorder,
            shutdown,
        }))))
    }

    /// Sends whatever is due, until nothing is or the process shall end.
    ///
    /// # Errors
    /// When Postgres fails. What was claimed and not sent is due again when its claim has run out.
    pub async fn sweep(&self) -> anyhow::Result<()> {
        let shared = &self.0;
        let began = Instant::now();
        while began.elapsed() < SWEEP_MAX {
            // At least one send must be possible; as many as are, are claimed together.
            let mut room = tokio::select! {
                permit = Arc::clone(&shared.sending).acquire_owned() => permit.expect("the semaphore is never closed"),
                () = shared.shutdown.cancelled() => return Ok(()),
            };
            if let Some(more) = self.room_for(SENDS_IN_FLIGHT_MAX) {
                room.merge(more);
            }
            let claimed = answered(claim_due(&shared.pool, room.num_permits(), self.claim())).await?;
            if claimed.is_empty() {
                return Ok(());
            }
            self.send_all(claimed, room);
        }
        Ok(())
    }

    /// Sends those of these orders that are due, if there is room for sending; else the sweep finds them.
    ///
    /// # Errors
    /// When Postgres fails.
    pub async fn look_at(&self, orders: Vec<Uuid>) -> anyhow::Result<()> {
        let shared = &self.0;
        let Some(room) = self.room_for(orders.len()) else {
            return Ok(());
        };
        let claimed = answered(claim_announced(&shared.pool, &orders, room.num_permits(), self.claim())).await?;
        if !claimed.is_empty() && !shared.shutdown.is_cancelled() {
            metrics::sync_announced().increment(claimed.len() as u64);
            self.send_all(claimed, room);
        }
        Ok(())
    }

    /// Room for sending up to so many orders now; none: there is no room.
    fn room_for(&self, orders: usize) -> Option<OwnedSemaphorePermit> {
        let sending = &self.0.sending;
        let free = u32::try_from(sending.available_permits().min(orders)).unwrap_or(u32::MAX);
        (free > 0).then(|| Arc::clone(sending).try_acquire_many_owned(free).ok())?
    }

    /// For how long somebody who sends an order has it.
    fn claim(&self) -> Duration {
        self.0.target.timeout() + CLAIM_MARGIN
    }

    /// Begins to send these orders at once: no more are claimed than there is room for, so no claim runs out while its order
    /// waits.
    fn send_all(&self, claimed: Vec<Claimed>, mut room: OwnedSemaphorePermit) {
        for order in claimed {
            let permit = room.split(1).expect("no more orders are claimed than there is room for");
            let sync = self.clone();
            self.0.under_way.spawn(async move { sync.send(order, permit).await });
        }
    }

    /// Lets attempts that are under way come to their end, and what came of them be noted. Those that do not in time are
    /// made again by somebody else, once their claims have run out.
    pub async fn finish(&self, within: Duration) {
        self.0.under_way.close();
        if tokio::time::timeout(within, self.0.under_way.wait()).await.is_err() {
            tracing::warn!("{} orders were being sent when the process had to end", self.0.under_way.len());
        }
    }

    /// The permit is for sending; noting has its own bounds.
    async fn send(&self, order: Claimed, permit: OwnedSemaphorePermit) {
        let shared = &self.0;
        let id = order.order_id.to_string();
        let mut headers = shared.signer.headers(&id, order.claimed_at.timestamp(), &order.body);
        let span = traces::call("send an order", order.trace.as_ref(), &mut headers);
        let attempt = shared.target.post(order.body, headers).await;
        span.end(attempt.status, attempt.error.as_deref());
        drop(permit);
        shared.recorder.note(order.order_id, order.attempts, attempt).await;
    }
}

/// Says in metrics what is left to be sent, whether anybody sends it or not.
///
/// # Errors
/// When Postgres fails.
pub async fn show_left(pool: &PgPool) -> anyhow::Result<()> {
    let left = answered(rows::left(pool)).await?;
    metrics::sync_backlog().set(left.backlog as f64);
    metrics::sync_overdue_seconds().set(left.overdue_seconds);
    metrics::sync_failures_open().set(left.failures_open as f64);
    Ok(())
}

/// The pause before the next attempt; none: there is none.
fn next_after(delays: &RetryDelays, failed_attempts: i32) -> Option<Duration> {
    delays.after(usize::try_from(failed_attempts).unwrap_or(usize::MAX))
}
