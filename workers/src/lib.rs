//! The workers: they take batches from the lanes, decide them, and commit them to Postgres.
//!
//! [`batch`] is the heart, [`cron`] is what runs by a schedule. [`store`] is the only place that writes rows which lanes own.

#![forbid(unsafe_code)]

mod batch;
mod charge;
mod clients;
mod config;
mod cron;
mod faults;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod jobs;
mod metrics;
mod mistakes;
mod shop;
mod sort_out;
mod store;

use std::{process::ExitCode, sync::Arc, time::Duration};

use ::cron::Schedule;
use anyhow::Context;
use apalis::prelude::{Monitor, WorkerBuilder, WorkerBuilderExt};
use apalis_core::worker::ext::parallelize::ParallelizeExt;
use apalis_cron::{CronScheduler, Tick};
use chrono::DateTime;
use common::{Group, Kind};
use lanes::{ClaimLimits, LaneBackend, LaneBackendOptions, Lanes, LineLimits, Link};
use runtime::{
    admin_listener::AdminListener,
    archive::PostgresArchive,
    config::{DatabasePooler, QueueDurability, WORKERS_METRICS_ADDR},
    lifecycle,
    limits::{DRAIN_MAX, workers_pool_connections},
    line_gauges::keep_line_gauges,
    metrics::{Known, Process},
    postgres,
    readiness::Readiness,
    redis_durability,
    traces::{self, Beginner},
};
use tokio_util::sync::CancellationToken;

use charge::{Books, TRANSACTIONS_MAX};
use clients::{gateway::Gateway, mail::Mailer};
use jobs::{
    alerts::Alerts,
    mails::Mails,
    order_sync::{
        OrderSync,
        announce::{self, Announcer},
    },
    settlement::Settlement,
};

pub use config::{Part, WorkersConfig};
pub use shop::Shop;
use shop::ShopParts;

/// Lane entries of a batch: room for a full batch of orders with a few products each. One with many more lines takes
/// fewer orders, so that a transaction stays well within its time-outs.
const BATCH_ENTRIES_PER_COMMAND: usize = 8;

/// Charges that are in hand at once: a gateway that answers in half a second gets 128 a second, and one that hangs holds no
/// more than these.
const CHARGES_IN_FLIGHT_MAX: usize = 64;

/// Sends that are under way when the batches in hand have ended may take this much longer: most receivers answer at once, and
/// the process must be gone in time.
const SENDS_END_MAX: Duration = Duration::from_secs(1);

/// The pause between two looks at a service that is not there yet.
const SERVICE_WAIT: Duration = Duration::from_millis(500);

/// Works until SIGTERM: finishes the batches in hand, then ends.
///
/// # Errors
/// When the configuration is wrong, an address is taken, or Redis would lose accepted requests.
pub async fn run(config: WorkersConfig) -> anyhow::Result<()> {
    lifecycle::install_tls_provider();
    runtime::telemetry::init(&config.telemetry)?;
    let allow_private_http = config.targets.allow_private_http_targets;
    traces::start(&config.telemetry, allow_private_http, "droplane-workers", Beginner::Earlier)?;
    let listener = AdminListener::bind(config.telemetry.metrics_addr_or(WORKERS_METRICS_ADDR)).await?;
    let groups = groups(&config);
    let recorder = runtime::metrics::install(Process::Workers, &known(&groups))?;
    let shutdown = lifecycle::shutdown_signal()?;
    let ended = CancellationToken::new();

    let in_flight = config.lane.concurrency * u32::try_from(groups.len()).expect("there are at most 64 groups and one");
    let connections = workers_pool_connections(in_flight + TRANSACTIONS_MAX);
    let pool = config.services.postgres_pool(connections, "droplane-workers")?;
    let limits = LineLimits::new(config.lane.max_depth);
    let servers = config.services.redis_servers().context("REDIS_URL")?;
    let archive = Arc::new(PostgresArchive::new(pool.clone()));
    let link = Link::new(servers, groups.clone(), limits, archive, Some(observe_script), 0);
    let gateway = Gateway::new(&config.gateway, config.targets.allow_private_http_targets)?;
    let charges = Lanes::new(link.clone(), lane_group(Group::CHARGE), limits);
    let books = Books::new(pool.clone());
    let settlement = Settlement::new(pool.clone(), books.clone(), gateway.clone(), charges, shutdown.clone());
    let parts = parts(&config, &pool, &link, settlement, &shutdown)?;
    let (asked, demanded) = (link.clone(), config.services.queue_durability);
    let readiness = Readiness::builder(shutdown.clone())
        .postgres(pool.clone())
        .check("redis", move || redis_is_durable(asked.clone(), demanded))
        .build();
    let sampled = pool.clone();
    let samples: Vec<runtime::admin_listener::Sample> = vec![Box::new(move || runtime::metrics::record_pool(&sampled))];
    let serving = tokio::spawn(listener.serve(recorder, samples, readiness, ended.clone()));

    let name = process_name();
    tracing::info!(worker = name, "workers {name} wait for Postgres, its schema, and Redis");
    let started = wait_for_services(&config, &pool, &link, &shutdown).await;
    let worked = match started {
        Ok(true) => {
            let all = groups.into_iter().map(|group| Lanes::new(link.clone(), group, limits)).collect();
            work(&config, parts, (books, gateway), &link, all, &name, shutdown).await
        }
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    ended.cancel();
    serving.await.context("serving metrics")??;
    traces::end().await;
    worked
}

/// What jobs need. What they are configured with is refused here, before anything is waited for.
fn parts(
    config: &WorkersConfig,
    pool: &sqlx::PgPool,
    link: &Link,
    settlement: Settlement,
    shutdown: &CancellationToken,
) -> anyhow::Result<cron::Parts> {
    let popular = popular::Cache::new(pool.clone(), link.clone(), config.popular.cache_ttl);
    let allow_private_http = config.targets.allow_private_http_targets;
    let order_sync = OrderSync::new(&config.sync, allow_private_http, pool.clone(), shutdown.clone())?;
    let smtp = config.mails.smtp_url.as_ref().filter(|url| !url.expose().is_empty());
    let mailer = smtp.map(|url| Mailer::new(url, &config.mails.mail_from)).transpose()?;
    let alerts = Alerts::new(&config.alerts, allow_private_http, pool.clone(), mailer.clone(), shutdown.clone())?;
    let mails = Mails::new(pool.clone(), mailer, shutdown.clone());
    let retention = config.retention.request_retention;
    Ok(cron::Parts { pool: pool.clone(), popular, retention, order_sync, alerts, mails, settlement })
}

/// The one list of all workers and schedules: for each group of lanes a worker that takes up to `LANE_CONCURRENCY` batches
/// at once, for charges more of them, and a worker for each job.
async fn work(
    config: &WorkersConfig,
    parts: cron::Parts,
    (books, gateway): (Books, Option<Gateway>),
    link: &Link,
    all: Vec<Lanes>,
    name: &str,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let gauges = tokio::spawn(keep_line_gauges(all.clone()));
    let mut monitor = Monitor::new();
    if config.only.contains(&Part::Lanes) {
        if gateway.is_none() {
            tracing::warn!("without PAYMENT_GATEWAY_URL nobody can be charged; charges wait in their line");
        }
        let announcer = parts.order_sync.as_ref().map(|_| Announcer::start(link));
        let shop = ShopParts { pool: parts.pool.clone(), books, gateway, announcer, shutdown: shutdown.clone() };
        let shop = Shop::new(shop, config.lane.lease, name, all.iter().cloned());
        monitor = with_lanes(monitor, config, shop, &all, name);
    }
    if config.only.contains(&Part::Sync) {
        for job in [cron::Job::OrderSync, cron::Job::Alerts, cron::Job::Mails, cron::Job::Settlement] {
            monitor = with_schedule(monitor, &every("* * * * * *"), job, &parts, name);
        }
    }
    let announced =
        parts.order_sync.clone().filter(|_| config.only.contains(&Part::Sync)).map(|order_sync| {
            tokio::spawn(announce::listen(link.clone(), order_sync, name.to_owned(), shutdown.clone()))
        });
    if config.only.contains(&Part::Cron) {
        monitor = with_schedule(monitor, &config.popular_refresh_cron, cron::Job::Popular, &parts, name);
        monitor = with_schedule(monitor, &every("5/10 * * * * *"), cron::Job::Retention, &parts, name);
        monitor = with_schedule(monitor, &every("8/10 * * * * *"), cron::Job::CouponExpiry, &parts, name);
    }
    tracing::info!(worker = name, "workers {name} work");
    let stop = shutdown.clone();
    let monitor = monitor.should_restart(|_, _| true).shutdown_timeout(DRAIN_MAX).run_with_signal(async move {
        stop.cancelled().await;
        Ok(())
    });
    let worked = lifecycle::run_until_shutdown(shutdown, monitor).await;
    let sends_end = async {
        if let Some(order_sync) = &parts.order_sync {
            order_sync.finish(SENDS_END_MAX).await;
        }
    };
    let announced_end = async {
        if let Some(announced) = announced
            && let Ok(Ok(Err(error)) | Err(error)) =
                tokio::time::timeout(SENDS_END_MAX, announced).await.map(|ended| ended.map_err(anyhow::Error::from))
        {
            tracing::warn!("looking at announced orders did not end well: {error:#}");
        }
    };
    tokio::join!(sends_end, announced_end);
    gauges.abort();
    worked?.context("running the workers")?;
    tracing::info!(worker = name, "workers {name} have finished what was in hand");
    Ok(())
}

fn with_lanes(mut monitor: Monitor, config: &WorkersConfig, shop: Shop, all: &[Lanes], name: &str) -> Monitor {
    let (lease, batch_max) = (config.lane.lease, config.lane.batch_max as usize);
    let many = ClaimLimits { commands_max: batch_max, entries_max: batch_max * BATCH_ENTRIES_PER_COMMAND, lease };
    let one = ClaimLimits { commands_max: 1, entries_max: 1, lease };
    let charges = lane_group(Group::CHARGE);
    for lanes in all {
        let (limits, concurrency) = match *lanes.group() == charges {
            true if !shop.takes_charges() => continue,
            true => (one, CHARGES_IN_FLIGHT_MAX),
            false => (many, config.lane.concurrency as usize),
        };
        let (lanes, shop, name) = (lanes.clone(), shop.clone(), format!("{name}-{}", lanes.group()));
        monitor = monitor.register(move |restart| {
            // A name is never used again, not even by the next start of this worker.
            let worker = format!("{name}-{restart}");
            let options = LaneBackendOptions { limits, worker: worker.clone(), observer: Arc::new(metrics::Counting) };
            WorkerBuilder::new(worker)
                .backend(LaneBackend::new(lanes.clone(), options))
                .concurrency(concurrency)
                .catch_panic()
                .data(shop.clone())
                .build(batch::handle)
        });
    }
    monitor
}

/// A schedule that nobody configures: second, minute, hour, day, month, weekday.
fn every(schedule: &str) -> Schedule {
    schedule.parse().expect("the shop's own schedules are schedules")
}

/// A worker for one job. It has no limit of concurrency, because one that is full would not take its next tick in time, and
/// end; a job that is still running lets the tick pass by itself.
fn with_schedule(monitor: Monitor, schedule: &Schedule, job: cron::Job, parts: &cron::Parts, name: &str) -> Monitor {
    let scheduled = cron::Scheduled::new(job, parts.clone(), name);
    let (schedule, name) = (schedule.clone(), format!("{name}-{}", job.as_str()));
    monitor.register(move |restart| {
        let scheduled = scheduled.clone();
        WorkerBuilder::new(format!("{name}-{restart}"))
            .backend(CronScheduler::new(schedule.clone()))
            .catch_panic()
            // All workers of a monitor share one task; a job must not hold up the lanes.
            .parallelize(tokio::spawn)
            .build(move |tick: Tick| {
                let scheduled = scheduled.clone();
                let seconds = i64::try_from(tick.get_timestamp()).unwrap_or(i64::MAX);
                async move { scheduled.tick(DateTime::from_timestamp(seconds, 0).unwrap_or_default()).await }
            })
    })
}

/// Waits for the schema and for Redis; false when the process shall stop before they came.
async fn wait_for_services(
    config: &WorkersConfig,
    pool: &sqlx::PgPool,
    link: &Link,
    shutdown: &CancellationToken,
) -> anyhow::Result<bool> {
    let waiting = async {
        while !postgres::schema_is_current(pool).await.unwrap_or(false) {
            tokio::time::sleep(SERVICE_WAIT).await;
        }
        let durability = loop {
            match ask_durability(link).await {
                Ok(durability) => break durability,
                Err(error) => tracing::warn!("waiting for Redis: {error:#}"),
            }
            tokio::time::sleep(SERVICE_WAIT).await;
        };
        let verdict = redis_durability::judge_all(&durability, config.services.queue_durability);
        if let Some(given_up) = verdict.into_check().map_err(anyhow::Error::msg)? {
            tracing::warn!("{given_up}");
        }
        anyhow::Ok(())
    };
    tokio::select! {
        ready = waiting => ready.map(|()| true),
        () = shutdown.cancelled() => Ok(false),
    }
}

/// Asks over connections of its own: nothing is written to a Redis that may be refused.
async fn ask_durability(link: &Link) -> anyhow::Result<Vec<redis_durability::Durability>> {
    redis_durability::check_all(link).await.all().context("asking Redis how durable it is")
}

/// What `/readyz` says of Redis.
async fn redis_is_durable(link: Link, demanded: QueueDurability) -> Result<Option<String>, String> {
    let durability = ask_durability(&link).await.map_err(|error| format!("cannot be asked: {error:#}"))?;
    redis_durability::judge_all(&durability, demanded).into_check()
}

/// Runs the audit once, prints it, and says by the exit code whether every promise holds.
///
/// # Errors
/// When Postgres cannot be asked.
#[expect(clippy::print_stdout, reason = "the verdict is what was asked for")]
pub async fn run_audit(database_url: &str, pooler: DatabasePooler) -> anyhow::Result<ExitCode> {
    lifecycle::install_tls_provider();
    let pool = postgres::pool_behind(pooler, database_url, 1, "droplane-audit")?;
    let report = audit::audit(&pool).await?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The groups of lanes that the shop has.
fn groups(config: &WorkersConfig) -> Vec<lanes::Group> {
    let spreads = u8::try_from(config.lane.coupon_groups).expect("the configuration allows at most 64");
    let coupons = (0..spreads).map(|spread| Group { kind: Kind::CouponIssue, spread });
    coupons.chain([Group::ORDER, Group::CHARGE]).map(lane_group).collect()
}

fn lane_group(group: Group) -> lanes::Group {
    group.to_string().parse().expect("the shop's names of groups are names of groups")
}

fn known(groups: &[lanes::Group]) -> Known {
    let groups = groups.iter().map(ToString::to_string).collect();
    Known { groups, scripts: lanes::SCRIPTS.to_vec(), routes: Vec::new() }
}

fn observe_script(script: &'static str, took: Duration, failed: bool) {
    runtime::metrics::redis_script_seconds(script).record(took);
    if failed {
        runtime::metrics::redis_script_errors(script).increment(1);
    }
}

/// Host, process and time of start: no other worker ever has it.
fn process_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}-{}", host.trim(), std::process::id(), chrono::Utc::now().timestamp_millis())
}
