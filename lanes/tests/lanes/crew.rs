//! Workers of apalis on a line, and what they saw.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use apalis::prelude::{BoxDynError, Data, Monitor, MonitorError, WorkerBuilder, WorkerBuilderExt};
use futures::{FutureExt, future::BoxFuture};
use lanes::{Batch, BatchEnd, Claim, ClaimLimits, Group, LaneBackend, LaneBackendOptions, Lanes, Observer};
use tokio::{sync::oneshot, task::JoinHandle};
use uuid::Uuid;

use crate::support::{at_most, done, ids};

pub type Handled = Result<BatchEnd, BoxDynError>;
pub type Handler = Arc<dyn Fn(Arc<Batch>) -> BoxFuture<'static, Handled> + Send + Sync>;

/// What the backend told, and what the handler was given.
#[derive(Default)]
pub struct Seen {
    pub empty_claims: AtomicU64,
    pub acked: AtomicU64,
    pub acked_too_late: AtomicU64,
    /// The commands of every batch that a handler began.
    pub begun: Mutex<Vec<Vec<Uuid>>>,
    /// How often each worker was made anew, by name.
    pub names: Mutex<Vec<String>>,
}

impl Observer for Seen {
    fn claimed(&self, _: &Group, claim: &Claim) {
        self.empty_claims.fetch_add(u64::from(claim.batch.is_none()), Ordering::SeqCst);
    }

    fn acked(&self, _: &Group, batch: &Batch) {
        self.acked.fetch_add(batch.entries.len() as u64, Ordering::SeqCst);
    }

    fn acked_too_late(&self, _: &Group, batch: &Batch) {
        self.acked_too_late.fetch_add(batch.entries.len() as u64, Ordering::SeqCst);
    }
}

impl Seen {
    pub fn begun(&self) -> Vec<Vec<Uuid>> {
        self.begun.lock().unwrap().clone()
    }

    pub fn empty_claims(&self) -> u64 {
        self.empty_claims.load(Ordering::SeqCst)
    }

    pub fn acked(&self) -> u64 {
        self.acked.load(Ordering::SeqCst)
    }
}

/// How the workers are set up.
#[derive(Clone)]
pub struct Crew {
    pub limits: ClaimLimits,
    /// Batches of one worker at once.
    pub slots: usize,
    /// How many times a worker breaks outside its handler.
    pub breaks: Arc<AtomicU64>,
}

impl Crew {
    pub fn new(commands_max: usize, slots: usize) -> Self {
        Self { limits: at_most(commands_max), slots, breaks: Arc::default() }
    }

    pub fn lease(mut self, lease: Duration) -> Self {
        self.limits.lease = lease;
        self
    }
}

/// A monitor at work until it is stopped.
pub struct Running {
    pub seen: Arc<Seen>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), MonitorError>>,
}

impl Running {
    /// Stops the workers in good order.
    pub async fn stop(self) {
        self.stop.send(()).expect("the monitor runs");
        self.ended.await.unwrap().unwrap();
    }

    /// Tells the workers to stop and does not wait for it.
    pub fn stopping(self) -> JoinHandle<Result<(), MonitorError>> {
        self.stop.send(()).expect("the monitor runs");
        self.ended
    }
}

/// Starts one worker, as a process would.
pub fn start(lanes: &Lanes, crew: &Crew, handler: Handler) -> Running {
    let seen = Arc::new(Seen::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let (lanes, crew, told) = (lanes.clone(), crew.clone(), Arc::clone(&seen));
    let process = Uuid::now_v7();
    let monitor = Monitor::new()
        .register(move |restarts| {
            let name = format!("test-{process}-{restarts}");
            told.names.lock().unwrap().push(name.clone());
            let options = LaneBackendOptions {
                limits: crew.limits,
                worker: name.clone(),
                observer: Arc::clone(&told) as Arc<dyn Observer>,
            };
            let breaks = Arc::clone(&crew.breaks);
            WorkerBuilder::new(name)
                .backend(LaneBackend::new(lanes.clone(), options))
                .concurrency(crew.slots)
                .map_request(move |task| {
                    let left = breaks.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
                    assert!(left.is_err(), "a worker breaks outside its handler");
                    task
                })
                .data((Arc::clone(&handler), Arc::clone(&told)))
                .build(handle)
        })
        .should_restart(|_, _| true);
    let ended = tokio::spawn(monitor.run_with_signal(async move {
        let _ = stopped.await;
        Ok(())
    }));
    Running { seen, stop, ended }
}

async fn handle(batch: Arc<Batch>, state: Data<(Handler, Arc<Seen>)>) -> Handled {
    let (handler, seen) = &*state;
    seen.begun.lock().unwrap().push(ids(&batch));
    handler(batch).await
}

/// A handler that is not asynchronous.
pub fn at_once(decide: impl Fn(&Batch) -> Handled + Send + Sync + 'static) -> Handler {
    let decide = Arc::new(decide);
    Arc::new(move |batch| {
        let decide = Arc::clone(&decide);
        async move { decide(&batch) }.boxed()
    })
}

/// Decides everything.
pub fn decide_all() -> Handler {
    Arc::new(|batch: Arc<Batch>| async move { Ok(BatchEnd::Decided(done(&batch))) }.boxed())
}
