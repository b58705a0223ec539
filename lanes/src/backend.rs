//! The lanes as a backend of apalis: one task is one claimed batch.
//!
//! apalis runs the workers (concurrency, layers, restart, graceful stop); this file gives it batches and ends them. It
//! never answers `None` or an error to a poll, because either would end the worker: what fails is slept out.

use std::{
    any::Any,
    convert::Infallible,
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral, future::BoxSyncFuture},
    error::BoxDynError,
    task::{Task, builder::TaskBuilder, task_id::TaskId},
    worker::context::WorkerContext,
};
use futures::{FutureExt, future::BoxFuture};
use tokio::{sync::Notify, task::JoinHandle, time::Instant};
use tower::{Layer, Service};
use uuid::Uuid;

use crate::{
    Acked, Batch, Claim, ClaimLimits, Decided, Error, Group, Lanes, Release,
    limits::{FAULT_PAUSE, IDLE_SLEEP_MAX, RENEWALS_PER_LEASE},
    listen_wake,
};

/// How a handler says that its batch ended. A handler that fails or panics blames the batch ([`Release::Blamed`]).
#[derive(Debug)]
pub enum BatchEnd {
    /// Decided and safely stored: take it out of the line.
    Decided(Decided),
    /// Not decided: everybody keeps the place. The worker rests before it asks for another batch.
    Released {
        /// How its commands come again.
        release: Release,
        /// The rest.
        pause: Duration,
    },
    /// Not ours any more: somebody else decides it.
    Dropped,
}

/// Is told what the backend sees, for metrics. Every method is called from an async task and must not block.
pub trait Observer: Send + Sync + 'static {
    /// A claim was answered.
    fn claimed(&self, group: &Group, claim: &Claim);
    /// A batch was taken out of the line.
    fn acked(&self, group: &Group, batch: &Batch);
    /// An ack came too late: the lease had gone to somebody else.
    fn acked_too_late(&self, group: &Group, batch: &Batch);
}

/// What a backend is made of.
#[derive(Clone)]
pub struct LaneBackendOptions {
    /// How much a claim takes.
    pub limits: ClaimLimits,
    /// The worker's name, unique for ever: a reused one would hide whose batch it was.
    pub worker: String,
    /// Who wants to know.
    pub observer: Arc<dyn Observer>,
}

impl fmt::Debug for LaneBackendOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneBackendOptions")
            .field("limits", &self.limits)
            .field("worker", &self.worker)
            .finish_non_exhaustive()
    }
}

/// An error that [`LaneBackend`] never gives: apalis' trait wants a type.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {}

enum State {
    Idle,
    /// A claim is under way. It is driven to its end, because Redis may have leased a batch already.
    Claiming(BoxSyncFuture<Result<Claim, Error>>),
    /// Nothing to do; may be dropped at any time.
    Sleeping(BoxSyncFuture<()>),
    /// The worker stops: a batch that was claimed and not started is given back.
    Releasing(BoxSyncFuture<()>),
}

/// The line of one group, as apalis sees it.
pub struct LaneBackend {
    lanes: Lanes,
    options: LaneBackendOptions,
    wake: Arc<Notify>,
    listener: JoinHandle<()>,
    state: State,
    /// Names the claim that was not answered yet. Whoever was not heard asks again with the same name, so that a batch which
    /// was leased without our knowing is neither held until its lease ends nor blamed for that.
    unanswered: Option<Uuid>,
    /// Whether the last claim failed, so that an outage is told once and not at every try.
    failing: bool,
    config: (),
}

impl LaneBackend {
    /// A backend for one worker. Starts listening for wake-ups.
    pub fn new(lanes: Lanes, options: LaneBackendOptions) -> Self {
        let wake = Arc::new(Notify::new());
        let (link, group, notify) = (lanes.link().clone(), lanes.group().clone(), Arc::clone(&wake));
        let listener = tokio::spawn(async move { listen_wake(&link, &group, || notify.notify_one()).await });
        Self { lanes, options, wake, listener, state: State::Idle, unanswered: None, failing: false, config: () }
    }

    fn claiming(&mut self) -> State {
        let (lanes, limits) = (self.lanes.clone(), self.options.limits);
        let token = *self.unanswered.get_or_insert_with(Uuid::now_v7);
        State::Claiming(async move { lanes.claim_as(token, limits).await }.boxed().into())
    }

    /// Sleeps until somebody is ready, or a lease ends whose owner may be dead.
    fn sleeping(&self, longest: Duration) -> State {
        let wake = Arc::clone(&self.wake);
        State::Sleeping(
            async move {
                // Woken or not: the next claim tells.
                let _ = tokio::time::timeout(longest, wake.notified()).await;
            }
            .boxed()
            .into(),
        )
    }

    /// Gives back whatever was leased under this name; nothing, perhaps.
    fn releasing(&self, token: Uuid) -> State {
        let lanes = self.lanes.clone();
        State::Releasing(async move { give_back(&lanes, token, Release::Unchanged).await }.boxed().into())
    }

    fn task(batch: Batch) -> Task<Arc<Batch>> {
        let id = TaskId::from_string(batch.token.to_string());
        TaskBuilder::new(Arc::new(batch)).task_id(id).build()
    }
}

impl Drop for LaneBackend {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl fmt::Debug for LaneBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneBackend").field("lanes", &self.lanes).field("worker", &self.options.worker).finish()
    }
}

impl Backend for LaneBackend {
    type Task = Task<Arc<Batch>>;
    type Error = BackendError;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), BackendError>> {
        Poll::Ready(Ok(()))
    }

    /// Called only while the worker has room for a batch, so nothing is claimed ahead.
    fn poll_next(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Option<Result<Self::Task, BackendError>>> {
        loop {
            let next = match &mut self.state {
                State::Idle => self.claiming(),
                State::Claiming(claim) => match claim.poll_unpin(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(claim)) => {
                        if std::mem::take(&mut self.failing) {
                            tracing::info!(group = %self.lanes.group(), "claiming works again");
                        }
                        self.unanswered = None;
                        self.options.observer.claimed(self.lanes.group(), &claim);
                        if let Some(batch) = claim.batch {
                            self.state = State::Idle;
                            return Poll::Ready(Some(Ok(Self::task(batch))));
                        }
                        self.sleeping(claim.next_deadline.unwrap_or(IDLE_SLEEP_MAX).min(IDLE_SLEEP_MAX))
                    }
                    Poll::Ready(Err(error)) => {
                        if !std::mem::replace(&mut self.failing, true) {
                            let error: &dyn std::error::Error = &error;
                            tracing::warn!(group = %self.lanes.group(), error, "claiming fails; trying again until it works");
                        }
                        State::Sleeping(tokio::time::sleep(FAULT_PAUSE).boxed().into())
                    }
                },
                State::Sleeping(sleep) => match sleep.poll_unpin(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => State::Idle,
                },
                // Only `poll_close` releases, and after it nothing is polled.
                State::Releasing(_) => return Poll::Pending,
            };
            self.state = next;
        }
    }

    /// Called when every batch of this worker has ended.
    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), BackendError>> {
        loop {
            let next = match &mut self.state {
                State::Idle | State::Sleeping(_) => match self.unanswered.take() {
                    None => return Poll::Ready(Ok(())),
                    Some(token) => self.releasing(token),
                },
                State::Claiming(claim) => match claim.poll_unpin(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(Claim { batch: None, .. })) => {
                        self.unanswered = None;
                        State::Idle
                    }
                    // It may have leased a batch, whether it was answered or not.
                    Poll::Ready(_) => State::Idle,
                },
                State::Releasing(release) => match release.poll_unpin(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => State::Idle,
                },
            };
            self.state = next;
        }
    }
}

impl BackendConfig for LaneBackend {
    type Args = Arc<Batch>;
    type Id = String;
    type Kind = Ephemeral; // `poll_next` gives whole batches, so nothing is left to decode.
    type Config = ();
    type Layer = AckLayer;

    fn config(&self) -> &() {
        &self.config
    }

    /// apalis puts this outside all other layers, so that it sees how the batch ended in the end.
    fn middleware(&mut self, _: &mut WorkerContext) -> AckLayer {
        AckLayer {
            lanes: self.lanes.clone(),
            lease: self.options.limits.lease,
            wake: Arc::clone(&self.wake),
            observer: Arc::clone(&self.options.observer),
        }
    }
}

/// Ends a batch as its handler says, and renews the lease until then.
#[derive(Clone)]
pub struct AckLayer {
    lanes: Lanes,
    lease: Duration,
    wake: Arc<Notify>,
    observer: Arc<dyn Observer>,
}

impl fmt::Debug for AckLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckLayer").field("lanes", &self.lanes).field("lease", &self.lease).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for AckLayer {
    type Service = AckService<S>;

    fn layer(&self, inner: S) -> AckService<S> {
        AckService { inner, ack: self.clone() }
    }
}

/// The service that [`AckLayer`] makes.
#[derive(Debug, Clone)]
pub struct AckService<S> {
    inner: S,
    ack: AckLayer,
}

impl<S> Service<Task<Arc<Batch>>> for AckService<S>
where
    S: Service<Task<Arc<Batch>>, Response = BatchEnd>,
    S::Future: Send + 'static,
    S::Error: Into<BoxDynError> + 'static,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<(), BoxDynError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, task: Task<Arc<Batch>>) -> Self::Future {
        let batch = Arc::clone(&task.args);
        // A panic must blame the batch at once, also where the worker has no layer that catches it.
        let handling = AssertUnwindSafe(self.inner.call(task)).catch_unwind().map(|ended| match ended {
            Ok(handled) => handled.map_err(Into::into),
            Err(panic) => Err(panicked(&*panic)),
        });
        let ack = self.ack.clone();
        // All workers of a monitor share one task; a batch gets its own, so that it can use another core.
        let ended = tokio::spawn(async move {
            let end = ack.while_renewing(&batch, handling).await;
            ack.end(&batch, end).await
        });
        async move { ended.await? }.boxed()
    }
}

impl AckLayer {
    /// The renewal goes on beside the handler and never holds it up: it may have a transaction open.
    async fn while_renewing<T>(&self, batch: &Batch, handling: impl Future<Output = T>) -> T {
        tokio::select! {
            ended = handling => ended,
            never = self.keep_renewing(batch) => match never {},
        }
    }

    /// A lease that is lost shows at the ack, and before it in the archive's fence; a renewal that failed is tried again
    /// in a third of the lease.
    async fn keep_renewing(&self, batch: &Batch) -> Infallible {
        let period = self.lease / RENEWALS_PER_LEASE;
        let mut renewals = tokio::time::interval_at(Instant::now() + period, period);
        loop {
            renewals.tick().await;
            if let Err(error) = self.lanes.renew(batch.token, self.lease).await {
                warn(&batch.group, batch.token, &error, "renewing a lease failed");
            }
        }
    }

    async fn end(&self, batch: &Batch, end: Result<BatchEnd, BoxDynError>) -> Result<(), BoxDynError> {
        match end {
            Ok(BatchEnd::Decided(decided)) => self.ack(batch, &decided).await,
            Ok(BatchEnd::Released { release, pause }) => {
                give_back(&self.lanes, batch.token, release).await;
                tokio::time::sleep(pause).await;
            }
            Ok(BatchEnd::Dropped) => {}
            Err(error) => {
                give_back(&self.lanes, batch.token, Release::Blamed).await;
                self.wake.notify_one();
                return Err(error);
            }
        }
        self.wake.notify_one();
        Ok(())
    }

    /// The outcomes are stored, so the ack is repeated until Redis takes it or the lease has run out.
    async fn ack(&self, batch: &Batch, decided: &Decided) {
        let give_up_at = Instant::now() + self.lease;
        let mut may_be_done = false;
        loop {
            match self.lanes.ack(batch, decided).await {
                // Stale after a call that may have been executed: most likely it was.
                Ok(Acked::Stale) if may_be_done => return,
                Ok(Acked::Done) => return self.observer.acked(&batch.group, batch),
                Ok(Acked::Stale) => return self.observer.acked_too_late(&batch.group, batch),
                Err(error) => {
                    let last = Instant::now() >= give_up_at;
                    warn(&batch.group, batch.token, &error, "acking a batch failed");
                    may_be_done |= error.may_have_happened();
                    if last {
                        return;
                    }
                    tokio::time::sleep(FAULT_PAUSE).await;
                }
            }
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> BoxDynError {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the handler of a batch panicked: {}", said.unwrap_or("with no text")).into()
}

async fn give_back(lanes: &Lanes, token: Uuid, release: Release) {
    if let Err(error) = lanes.release(token, release).await {
        warn(lanes.group(), token, &error, "releasing a batch failed; its lease will end");
    }
}

fn warn(group: &Group, token: Uuid, error: &Error, what: &str) {
    let error: &dyn std::error::Error = error;
    tracing::warn!(%group, batch = %token, error, "{what}");
}
