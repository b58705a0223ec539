//! What runs by a schedule. A tick is taken by one of all workers, takes no input, does a bounded amount, and may run
//! twice without harm; one that was missed is not made up for, because the next one does its work, too.

mod expiry;
mod once;
mod popular;
mod retention;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use runtime::metrics;
use sqlx::PgPool;
use tokio::sync::Mutex;

use crate::jobs::alerts::Alerts;
use crate::jobs::answered;
use crate::jobs::mails::Mails;
use crate::jobs::order_sync::{self, OrderSync};
use crate::jobs::settlement::Settlement;

/// A job that takes longer has failed: its ticks must not pile up.
const JOB_MAX: Duration = Duration::from_secs(120);

/// A job, and when it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// Seals the hours that are over, and counts the popular products anew.
    Popular,
    /// Forgets old requests.
    Retention,
    /// Marks wallet entries whose time has passed.
    CouponExpiry,
    /// Tells the order system of orders that are due.
    OrderSync,
    /// Tells admins of what went wrong.
    Alerts,
    /// Sends mails.
    Mails,
    /// Finds out what came of charges.
    Settlement,
}

impl Job {
    /// Its name in the table of runs and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Job::Popular => metrics::cron_job::POPULAR,
            Job::Retention => metrics::cron_job::RETENTION,
            Job::CouponExpiry => metrics::cron_job::COUPON_EXPIRY,
            Job::OrderSync => metrics::cron_job::ORDER_SYNC,
            Job::Alerts => metrics::cron_job::ALERTS,
            Job::Mails => metrics::cron_job::MAILS,
            Job::Settlement => metrics::cron_job::SETTLEMENT,
        }
    }

    /// Whether every worker does it at every tick: a sweep claims each row that it touches, so several share the work.
    fn is_sweep(self) -> bool {
        match self {
            Job::Popular | Job::Retention | Job::CouponExpiry => false,
            Job::OrderSync | Job::Alerts | Job::Mails | Job::Settlement => true,
        }
    }
}

/// A job with all that it needs. Cheap to clone; one for each job of a process.
#[derive(Debug, Clone)]
pub struct Scheduled {
    job: Job,
    parts: Parts,
    worker: Arc<str>,
    /// Held while it runs: a tick that comes meanwhile is left to the others, or to the next one.
    running: Arc<Mutex<()>>,
}

/// What jobs need.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Postgres.
    pub pool: PgPool,
    /// The popular products.
    pub popular: ::popular::Cache,
    /// How long decided requests are kept.
    pub retention: Duration,
    /// The order system, where one is configured.
    pub order_sync: Option<OrderSync>,
    /// The admins.
    pub alerts: Alerts,
    /// Mails to shoppers.
    pub mails: Mails,
    /// Charges whose outcome is not known.
    pub settlement: Settlement,
}

impl Scheduled {
    /// A job of this worker.
    pub fn new(job: Job, parts: Parts, worker: &str) -> Self {
        Self { job, parts, worker: worker.into(), running: Arc::default() }
    }

    /// Does the job, if nobody else took this tick. What goes wrong is counted, logged and noted: the next tick comes.
    pub async fn tick(self, tick: DateTime<Utc>) {
        let Ok(_running) = self.running.try_lock() else {
            return;
        };
        if self.job.is_sweep() {
            return self.sweep().await;
        }
        let job = self.job.as_str();
        match answered(once::take(&self.parts.pool, job, tick, &self.worker)).await {
            Ok(true) => self.run(tick).await,
            Ok(false) => {}
            Err(error) => tracing::warn!("taking a tick of {job} failed: {error:#}"),
        }
        self.show_last_success().await;
    }

    async fn run(&self, tick: DateTime<Utc>) {
        let failure = self.try_it().await;
        let job = self.job.as_str();
        if let Err(error) = answered(once::end(&self.parts.pool, job, tick, failure.as_deref())).await {
            tracing::warn!("noting the end of {job} failed: {error:#}");
        }
    }

    async fn sweep(&self) {
        if self.try_it().await.is_none() {
            metrics::cron_last_success(self.job.as_str()).set(Utc::now().timestamp_micros() as f64 / 1e6);
        }
    }

    /// Why it failed, in words; none: it did not.
    async fn try_it(&self) -> Option<String> {
        let job = self.job.as_str();
        metrics::cron_runs(job).increment(1);
        let failure = match tokio::time::timeout(JOB_MAX, self.work()).await {
            Ok(done) => format!("{:#}", done.err()?),
            Err(_) => format!("it took longer than {JOB_MAX:?}"),
        };
        metrics::cron_failures(job).increment(1);
        tracing::warn!("{job} failed, and will be tried at its next tick: {failure}");
        Some(failure)
    }

    async fn work(&self) -> anyhow::Result<()> {
        match self.job {
            Job::Popular => popular::run(&self.parts).await,
            Job::Retention => {
                let forgotten = retention::run(&self.parts.pool, self.parts.retention).await?;
                tracing::debug!("{forgotten} requests were forgotten");
                Ok(())
            }
            Job::CouponExpiry => expiry::run(&self.parts.pool).await,
            Job::OrderSync => {
                order_sync::show_left(&self.parts.pool).await?;
                match &self.parts.order_sync {
                    Some(order_sync) => order_sync.sweep().await,
                    None => Ok(()),
                }
            }
            Job::Alerts => self.parts.alerts.sweep().await,
            Job::Mails => self.parts.mails.sweep().await,
            Job::Settlement => self.parts.settlement.sweep().await,
        }
    }

    /// All workers show it, so that it does not matter which of them did the job.
    async fn show_last_success(&self) {
        let job = self.job.as_str();
        if let Ok(Some(at)) = answered(once::last_success(&self.parts.pool, job)).await {
            metrics::cron_last_success(job).set(at.timestamp_micros() as f64 / 1e6);
        }
    }
}
