//! The shop's door: HTTP in, commands into the lines, outcomes out. It decides nothing.
//!
//! Read aloud: [`submit`] is the only way into a line, [`status`] says where a request stands, [`wait`] holds those who
//! want to know the end, [`problem`] says no; every feature has one file below [`routes`].

#![forbid(unsafe_code)]

mod auth;
mod client;
mod config;
mod demo_tokens;
mod door;
mod durability;
mod enter;
pub mod error_table;
mod extract;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod human;
mod language;
mod limits;
mod lines;
mod linger;
mod openapi;
mod page;
mod problem;
mod rate_limit;
mod room;
mod routes;
mod serve;
mod shape;
mod sold_out;
mod state;
mod status;
mod submit;
mod terms;
mod wait;
mod watch;

use std::sync::Arc;

use anyhow::Context;
use lanes::{LineLimits, Link};
use runtime::admin_listener::{AdminListener, Sample};
use runtime::archive::PostgresArchive;
use runtime::config::{API_METRICS_ADDR, DatabasePooler};
use runtime::limits::API_POOL_CONNECTIONS;
use runtime::metrics::{Known, Process, redis_script_errors, redis_script_seconds};
use runtime::postgres::BoundedPool;
use runtime::readiness::Readiness;
use runtime::traces::{self, Beginner};
use runtime::{lifecycle, metrics, postgres};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

pub use config::ApiConfig;

use auth::Auth;
use demo_tokens::DemoTokens;
use door::Door;
use durability::{DurabilityWatch, WatchedArchive};
use human::HumanCheck;
use lines::Lines;
use rate_limit::SenderLimit;
use room::Room;
use sold_out::SoldOut;
use state::{AppState, Parts};
use terms::AllTerms;
use wait::Waiters;

/// The lock of a migration is one of the session.
const MIGRATES_THROUGH_POOLER: &str = "DATABASE_POOLER=transaction needs MIGRATE_ON_START=false: the migrations cannot go through such a pooler; \
     run `api migrate` against Postgres itself";

/// Serves until SIGTERM or SIGINT, then answers whoever waits and returns. Logging and the TLS provider are the
/// caller's to start.
///
/// # Errors
/// A sentence when the configuration cannot work, an address is taken, Redis cannot keep what it accepts, or the
/// migrations contradict the database.
pub async fn run(config: ApiConfig) -> anyhow::Result<()> {
    let migrates_through_pooler =
        config.door.migrate_on_start && config.services.database_pooler == DatabasePooler::Transaction;
    anyhow::ensure!(!migrates_through_pooler, MIGRATES_THROUGH_POOLER);
    let allow_private_http = config.targets.allow_private_http_targets;
    traces::start(&config.telemetry, allow_private_http, "droplane-api", Beginner::Sampled)?;
    let auth = Auth::new(&config.auth, config.door.api_addr, allow_private_http)?;
    let demo_tokens = demo_tokens(&config)?;
    let human_check = HumanCheck::new(&config.human, allow_private_http)?;
    let operators = AdminListener::bind(config.telemetry.metrics_addr_or(API_METRICS_ADDR)).await?;
    let listener = serve::listen(config.door.api_addr)?;
    let address = listener.local_addr().context("reading the address of the public listener")?;
    if let Err(error) = serve::raise_file_limit() {
        tracing::warn!("{error:#}");
    }
    let coupon_groups = u8::try_from(config.lanes.coupon_groups).context("COUPON_GROUPS")?;
    let recorder = metrics::install(Process::Api, &known_series(coupon_groups))?;
    let shutdown = lifecycle::shutdown_signal()?;

    let pool = config.services.postgres_pool(API_POOL_CONNECTIONS, "droplane api")?;
    let durability = Arc::new(DurabilityWatch::new(config.services.queue_durability, config.door.queue_min_replicas));
    let bounded = BoundedPool::from(pool.clone());
    let terms = Arc::new(AllTerms::new(bounded.clone()));
    let archive = WatchedArchive {
        archive: PostgresArchive::new(pool.clone()),
        durability: Arc::clone(&durability),
        terms: Arc::clone(&terms),
    };
    let link = link(&config, coupon_groups, archive)?;
    let limits = LineLimits::new(config.lanes.max_depth);
    let state = AppState::new(Parts {
        lines: Lines::new(&link, coupon_groups, limits)?,
        auth,
        demo_tokens,
        waiters: Arc::new(Waiters::default()),
        sold_out: SoldOut::start(bounded.clone()),
        terms,
        human_check,
        user_limit: SenderLimit::start(config.door.rate_limit_per_user),
        address_limit: SenderLimit::start(config.door.rate_limit_per_address),
        popular: popular::Cache::new(pool, link.clone(), config.popular.cache_ttl),
        durability,
        pool: bounded,
    });
    let readiness = readiness(&state, &link, shutdown.clone());
    let (only_local, proxies) = (state.auth.is_off(), config.door.trusted_proxies.clone());
    let door = Door::new(&routes::TABLE, only_local, proxies, Some(Room::new(state.clone())));
    let routes = routes::all(state.clone(), readiness.clone(), door);

    // Operators want to watch a process that is shutting down, so their listener is the last to end.
    let last = CancellationToken::new();
    let sampled = state.clone();
    let sample = move || {
        metrics::record_pool(&sampled.pool);
        metrics::waiters().set(sampled.waiters.count() as f64);
    };
    let samples: Vec<Sample> = vec![Box::new(sample)];
    let watched = tokio::spawn(operators.serve(recorder, samples, readiness, last.clone()));

    let watching = watch::start(&state, &link, config.door.migrate_on_start, &shutdown);
    tracing::info!("api listens at {address}");
    let served = lifecycle::run_until_shutdown(shutdown.clone(), async {
        let ends_waiting = async {
            shutdown.cancelled().await;
            state.waiters.close();
        };
        tokio::join!(serve::serve(listener, routes, shutdown.clone()), ends_waiting);
    })
    .await;
    let fatal = watching.end().await;
    last.cancel();
    watched.await.context("the operators' listener")??;
    traces::end().await;
    served?;
    fatal
}

/// Applies the migrations, gives a role the rights that running the programs needs if one is named, and returns.
///
/// # Errors
/// When Postgres cannot be reached, a migration fails, or the rights are not ours to give.
pub async fn migrate(database_url: &str, grant_to: Option<&str>) -> anyhow::Result<()> {
    let pool = postgres::pool(database_url, 1, "droplane api migrate")?;
    postgres::migrate(&pool).await?;
    if let Some(role) = grant_to {
        postgres::grant_rights(&pool, role).await?;
    }
    Ok(())
}

fn demo_tokens(config: &ApiConfig) -> anyhow::Result<Option<DemoTokens>> {
    let Some(url) = config.auth.demo_tokens_url() else {
        return Ok(None);
    };
    tracing::warn!("DEMO_TOKENS_URL is given: everybody can sign in as anybody");
    DemoTokens::new(&url, config.targets.allow_private_http_targets).map(Some)
}

fn known_series(coupon_groups: u8) -> Known {
    let mut routes = routes::TABLE.to_vec();
    routes.push(door::UNMATCHED);
    Known {
        groups: lines::groups(coupon_groups).iter().map(ToString::to_string).collect(),
        scripts: lines::SCRIPTS.to_vec(),
        routes,
    }
}

fn link(config: &ApiConfig, coupon_groups: u8, archive: WatchedArchive) -> anyhow::Result<Link> {
    let groups = lines::groups(coupon_groups);
    let groups = groups.into_iter().map(lines::lane_group).collect::<anyhow::Result<_>>()?;
    let observer: lanes::ScriptObserver = |script, took, failed| {
        redis_script_seconds(script).record(took);
        if failed {
            redis_script_errors(script).increment(1);
        }
    };
    let limits = LineLimits::new(config.lanes.max_depth);
    let servers = config.services.redis_servers().context("REDIS_URL")?;
    Ok(Link::new(servers, groups, limits, Arc::new(archive), Some(observer), config.door.queue_min_replicas))
}

fn readiness(state: &AppState, link: &Link, shutdown: CancellationToken) -> Readiness {
    let (durability, link) = (Arc::clone(&state.durability), link.clone());
    Readiness::builder(shutdown)
        .postgres(PgPool::clone(&state.pool))
        .check("redis", move || {
            let (durability, link) = (Arc::clone(&durability), link.clone());
            async move { durability.readiness(&link).await }
        })
        .build()
}
