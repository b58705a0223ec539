//! The configuration that both binaries share, as groups of clap arguments to be flattened into theirs. Every value
//! can be given as an environment variable or as a flag; `--help` lists them all. A value that is not acceptable is
//! refused at the start, with a sentence that names its variable.

mod auth;
mod durations;
mod human;
mod secret;
mod secret_files;
mod targets;
mod trusted_proxies;

pub use auth::{AdminToken, Auth, AuthArgs, AuthConfigError, AuthMode, JwtKey, JwtRules};
pub use durations::{parse_duration, parse_durations};
pub use human::{HumanArgs, HumanConfigError};
pub use secret::Secret;
pub use secret_files::{FILE_SUFFIX, SecretFileError, with_secret_files};
pub use targets::{AlertArgs, GatewayArgs, MailArgs, RetryDelays, SyncArgs, TargetArgs, check_target};
pub use trusted_proxies::TrustedProxies;

use crate::limits::{
    COUPON_GROUPS_MAX, LANE_BATCH_DEFAULT_COMMANDS, LANE_BATCH_MAX_COMMANDS, LANE_CONCURRENCY_DEFAULT_BATCHES,
    LANE_CONCURRENCY_MAX_BATCHES, LANE_LEASE_MAX_SECONDS, LANE_LEASE_MIN_SECONDS, POPULAR_CACHE_TTL_MAX_SECONDS,
    POPULAR_CACHE_TTL_MIN_SECONDS, QUEUE_DEPTH_DEFAULT_COMMANDS, QUEUE_DEPTH_MAX_COMMANDS, QUEUE_MIN_REPLICAS_MAX,
    REQUEST_RETENTION_DEFAULT, REQUEST_RETENTION_MIN_SECONDS,
};
use crate::postgres::{DatabaseUrlError, pool_behind};
use clap::builder::RangedU64ValueParser;
use clap::{ArgAction, Args, ValueEnum};
use durations::duration_between;
use sqlx::PgPool;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

/// Where `api` listens for Prometheus and probes, when `METRICS_ADDR` is not given.
pub const API_METRICS_ADDR: SocketAddr = loopback(9464);
/// Where `workers` listens for Prometheus and probes, when `METRICS_ADDR` is not given.
pub const WORKERS_METRICS_ADDR: SocketAddr = loopback(9465);

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// The two services that everything needs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Services")]
pub struct ServicesArgs {
    /// Postgres: postgres://user@host/database, or postgres:///database?host=/socket/folder
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true, value_parser = Secret::required)]
    pub database_url: Secret,

    /// What stands between us and Postgres
    #[arg(long, env = "DATABASE_POOLER", value_enum, default_value_t = DatabasePooler::None)]
    pub database_pooler: DatabasePooler,

    /// Redis: redis://host:port, rediss://… or redis+unix:///path/to/socket; several nodes of a Cluster, or Sentinels, with commas
    #[arg(long, env = "REDIS_URL", value_name = "URL", hide_env_values = true, value_parser = Secret::required)]
    pub redis_url: Secret,

    /// What Sentinels call the master; REDIS_URL names the Sentinels then, with user and password of the Redis servers
    #[arg(long, env = "REDIS_SENTINEL_MASTER", value_name = "NAME")]
    pub redis_sentinel_master: Option<String>,

    /// Whether Redis must keep accepted requests on disk
    #[arg(long, env = "QUEUE_DURABILITY", value_enum, default_value_t = QueueDurability::Strict)]
    pub queue_durability: QueueDurability,
}

impl ServicesArgs {
    /// A pool of at most so many sessions of Postgres, as [`postgres::pool_behind`](crate::postgres::pool_behind) makes it.
    ///
    /// # Errors
    /// As there.
    pub fn postgres_pool(&self, max_connections: u32, application_name: &str) -> Result<PgPool, DatabaseUrlError> {
        pool_behind(self.database_pooler, self.database_url.expose(), max_connections, application_name)
    }

    /// Where Redis is.
    ///
    /// # Errors
    /// When an address cannot be understood; it is not repeated, because it may hold a password.
    pub fn redis_servers(&self) -> Result<lanes::Servers, lanes::Error> {
        lanes::Servers::new(self.redis_url.expose(), self.redis_sentinel_master.as_deref())
    }
}

/// What stands between us and Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DatabasePooler {
    /// Nothing that a session would notice: Postgres itself, or a pooler that keeps prepared statements
    None,
    /// A pooler that lends a session of Postgres for one transaction, and knows nothing of prepared statements
    Transaction,
}

/// What is demanded of Redis before a request is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum QueueDurability {
    /// A request is accepted only when it is on disk; a Redis that cannot promise it is refused
    Strict,
    /// A Redis that may lose accepted requests is used, too; /readyz says what that gives up
    Relaxed,
}

/// How the lines are served.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Lines")]
pub struct LaneArgs {
    /// Commands decided in one transaction at most (1–5000)
    #[arg(long = "lane-batch-max", env = "LANE_BATCH_MAX", value_name = "COMMANDS",
          default_value_t = LANE_BATCH_DEFAULT_COMMANDS,
          value_parser = RangedU64ValueParser::<u32>::new().range(1..=LANE_BATCH_MAX_COMMANDS.into()))]
    pub batch_max: u32,

    /// How long a worker may own a batch without renewing it (1s–60s); transaction time-outs derive from it
    #[arg(long = "lane-lease", env = "LANE_LEASE", value_name = "DURATION",
          default_value = LEASE_DEFAULT, value_parser = parse_lease)]
    pub lease: Duration,

    /// Batches in flight at once (1–64)
    #[arg(long = "lane-concurrency", env = "LANE_CONCURRENCY", value_name = "BATCHES",
          default_value_t = LANE_CONCURRENCY_DEFAULT_BATCHES,
          value_parser = RangedU64ValueParser::<u32>::new().range(1..=LANE_CONCURRENCY_MAX_BATCHES.into()))]
    pub concurrency: u32,

    /// Commands that may wait in one group; more are refused (at most 50000000)
    #[arg(long = "queue-max-depth", env = "QUEUE_MAX_DEPTH", value_name = "COMMANDS",
          default_value_t = QUEUE_DEPTH_DEFAULT_COMMANDS,
          value_parser = RangedU64ValueParser::<u64>::new().range(1..=QUEUE_DEPTH_MAX_COMMANDS))]
    pub max_depth: u64,

    /// Groups over which coupons are spread (1–64); the same everywhere, changed only when the lines are empty
    #[arg(long = "coupon-groups", env = "COUPON_GROUPS", value_name = "GROUPS", default_value_t = 1,
          value_parser = RangedU64ValueParser::<u32>::new().range(1..=COUPON_GROUPS_MAX.into()))]
    pub coupon_groups: u32,
}

/// `LANE_LEASE_DEFAULT_SECONDS` as it would be written; a test compares the two.
const LEASE_DEFAULT: &str = "10s";

fn parse_lease(text: &str) -> Result<Duration, String> {
    duration_between(text, Duration::from_secs(LANE_LEASE_MIN_SECONDS), Duration::from_secs(LANE_LEASE_MAX_SECONDS))
}

/// How the process reports on itself.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logs and metrics")]
pub struct TelemetryArgs {
    /// What is logged: a level, or directives such as info,lanes=debug
    #[arg(long = "log", env = "RUST_LOG", value_name = "DIRECTIVES", default_value = "info")]
    pub rust_log: String,

    /// How a log line is written
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Where traces are sent, by OTLP over HTTP: http://host:4318; without it no span is made
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otel_exporter_otlp_endpoint: Option<String>,

    /// Where /metrics, /healthz and /readyz are served [default: 127.0.0.1:9464 (api), 127.0.0.1:9465 (workers)]
    #[arg(long, env = "METRICS_ADDR", value_name = "ADDRESS")]
    pub metrics_addr: Option<SocketAddr>,
}

impl TelemetryArgs {
    /// The address to listen at: the configured one, or this binary's own default.
    pub fn metrics_addr_or(&self, default: SocketAddr) -> SocketAddr {
        self.metrics_addr.unwrap_or(default)
    }
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One readable line
    Text,
    /// One JSON object a line
    Json,
}

/// What only the process with the public door needs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "The public door")]
pub struct DoorArgs {
    /// Where the API listens
    #[arg(long, env = "API_ADDR", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub api_addr: SocketAddr,

    /// How many commands one shopper may send to this process, such as 50/s; or off
    #[arg(long, env = "RATE_LIMIT_PER_USER", value_name = "LIMIT", default_value = "50/s", value_parser = RateLimit::parse)]
    pub rate_limit_per_user: RateLimit,

    /// How many commands may come to this process from one address, such as 100/s; or off. IPv6 counts by /64
    #[arg(long, env = "RATE_LIMIT_PER_ADDRESS", value_name = "LIMIT", default_value = "off", value_parser = RateLimit::parse)]
    pub rate_limit_per_address: RateLimit,

    /// The proxies in front, as networks such as 10.0.0.0/8; only what they say of a caller's address is believed
    #[arg(long, env = "TRUSTED_PROXIES", value_name = "NETWORKS", default_value = "", hide_default_value = true)]
    pub trusted_proxies: TrustedProxies,

    /// How many replicas of Redis must have a request before it is accepted (0–5)
    #[arg(long, env = "QUEUE_MIN_REPLICAS", value_name = "REPLICAS", default_value_t = 0,
          value_parser = RangedU64ValueParser::<u32>::new().range(0..=QUEUE_MIN_REPLICAS_MAX.into()))]
    pub queue_min_replicas: u32,

    /// Whether the migrations are applied at the start
    #[arg(long, env = "MIGRATE_ON_START", value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub migrate_on_start: bool,
}

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimit {
    /// As often as it likes.
    Off,
    /// So many times in a second, all of them at once if need be.
    PerSecond(NonZeroU32),
}

impl RateLimit {
    fn parse(text: &str) -> Result<RateLimit, &'static str> {
        if text.trim() == "off" {
            return Ok(RateLimit::Off);
        }
        let count = text.trim().strip_suffix("/s").and_then(|count| count.parse().ok());
        count.map(RateLimit::PerSecond).ok_or("not a rate such as 50/s, nor off")
    }
}

/// How long decided requests are kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Retention")]
pub struct RetentionArgs {
    /// How long decided requests and their idempotency keys are kept (at least 24h)
    #[arg(long, env = "REQUEST_RETENTION", value_name = "DURATION",
          default_value = REQUEST_RETENTION_DEFAULT, value_parser = parse_retention)]
    pub request_retention: Duration,
}

fn parse_retention(text: &str) -> Result<Duration, String> {
    duration_between(text, Duration::from_secs(REQUEST_RETENTION_MIN_SECONDS), Duration::MAX)
}

/// How long an answer about popular products is kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Popular products")]
pub struct PopularArgs {
    /// How long a list of popular products is kept once it was counted (1s–1d)
    #[arg(long = "popular-cache-ttl", env = "POPULAR_CACHE_TTL", value_name = "DURATION",
          default_value = "5m", value_parser = parse_popular_ttl)]
    pub cache_ttl: Duration,
}

fn parse_popular_ttl(text: &str) -> Result<Duration, String> {
    let (shortest, longest) = (POPULAR_CACHE_TTL_MIN_SECONDS, POPULAR_CACHE_TTL_MAX_SECONDS);
    duration_between(text, Duration::from_secs(shortest), Duration::from_secs(longest))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
