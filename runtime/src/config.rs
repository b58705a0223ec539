//! The configuration that both binaries share, as groups of clap arguments to be flattened into theirs. Every value
//! can be given as an environment variable or as a flag; `--help` lists them all. A value that is not acceptable is
//! refused at the start, with a sentence that names its variable.

mod auth;
mod durations;
mod secret;
mod targets;

pub use auth::{AdminToken, Auth, AuthArgs, AuthConfigError, AuthMode, JwtKey, JwtRules};
pub use durations::{parse_duration, parse_durations};
pub use secret::Secret;
pub use targets::{AlertArgs, GatewayArgs, MailArgs, RetryDelays, SyncArgs, check_target};

use crate::limits::{
    COUPON_GROUPS_MAX, LANE_BATCH_DEFAULT_COMMANDS, LANE_BATCH_MAX_COMMANDS, LANE_CONCURRENCY_DEFAULT_BATCHES,
    LANE_CONCURRENCY_MAX_BATCHES, LANE_LEASE_MAX_SECONDS, LANE_LEASE_MIN_SECONDS, POPULAR_CACHE_TTL_MAX_SECONDS,
    POPULAR_CACHE_TTL_MIN_SECONDS, QUEUE_DEPTH_DEFAULT_COMMANDS, QUEUE_DEPTH_MAX_COMMANDS, REQUEST_RETENTION_DEFAULT,
    REQUEST_RETENTION_MIN_SECONDS,
};
use clap::builder::RangedU64ValueParser;
use clap::{ArgAction, Args, ValueEnum};
use durations::duration_between;
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

    /// Redis: redis://host:port, rediss://… or redis+unix:///path/to/socket
    #[arg(long, env = "REDIS_URL", value_name = "URL", hide_env_values = true, value_parser = Secret::required)]
    pub redis_url: Secret,

    /// Whether Redis must keep accepted requests on disk
    #[arg(long, env = "QUEUE_DURABILITY", value_enum, default_value_t = QueueDurability::Strict)]
    pub queue_durability: QueueDurability,
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
mod tests {
    use super::*;
    use crate::limits::LANE_LEASE_DEFAULT_SECONDS;
    use clap::{CommandFactory, Parser};
    use std::collections::BTreeMap;

    #[derive(Debug, Parser)]
    struct All {
        #[command(flatten)]
        services: ServicesArgs,
        #[command(flatten)]
        lanes: LaneArgs,
        #[command(flatten)]
        telemetry: TelemetryArgs,
        #[command(flatten)]
        door: DoorArgs,
        #[command(flatten)]
        auth: AuthArgs,
        #[command(flatten)]
        retention: RetentionArgs,
        #[command(flatten)]
        popular: PopularArgs,
        #[command(flatten)]
        sync: SyncArgs,
        #[command(flatten)]
        alerts: AlertArgs,
        #[command(flatten)]
        mails: MailArgs,
        #[command(flatten)]
        gateway: GatewayArgs,
    }

    const NEEDED: [&str; 4] = ["--database-url", "postgres:///d", "--redis-url", "redis://h"];

    fn parse(flags: &[&str]) -> Result<All, clap::Error> {
        All::try_parse_from(["test"].iter().chain(&NEEDED).chain(flags))
    }

    #[test]
    fn the_variables_and_their_defaults_are_those_of_the_contract() {
        let command = All::command();
        let declared: BTreeMap<String, String> = command
            .get_arguments()
            .map(|argument| {
                let variable = argument.get_env().expect("every argument has a variable");
                let defaults = argument.get_default_values();
                let default = defaults.first().map(|value| value.to_string_lossy().into_owned());
                (variable.to_string_lossy().into_owned(), default.unwrap_or_default())
            })
            .collect();
        let expected = [
            ("ADMIN_TOKEN", ""),
            ("ALERT_EMAIL", ""),
            ("ALERT_WEBHOOK_URL", ""),
            ("ALLOW_PRIVATE_HTTP_TARGETS", "false"),
            ("API_ADDR", "127.0.0.1:8080"),
            ("AUTH_MODE", "jwt"),
            ("COUPON_GROUPS", "1"),
            ("DATABASE_URL", ""),
            ("DEMO_TOKENS_URL", ""),
            ("JWT_AUDIENCE", ""),
            ("JWT_ISSUER", ""),
            ("JWT_JWKS_URL", ""),
            ("JWT_SECRET", ""),
            ("JWT_USER_CLAIM", "sub"),
            ("LANE_BATCH_MAX", "1000"),
            ("LANE_CONCURRENCY", "4"),
            ("LANE_LEASE", "10s"),
            ("LOG_FORMAT", "text"),
            ("MAIL_FROM", "Droplane <shop@localhost.localdomain>"),
            ("METRICS_ADDR", ""),
            ("MIGRATE_ON_START", "true"),
            ("ORDER_SYNC_RETRY_DELAYS", "5m,15m,45m"),
            ("ORDER_SYNC_SECRET", ""),
            ("ORDER_SYNC_TIMEOUT", "10s"),
            ("ORDER_SYNC_URL", ""),
            ("PAYMENT_DEFAULT_METHOD", "pm_card_visa"),
            ("PAYMENT_GATEWAY_SECRET", ""),
            ("PAYMENT_GATEWAY_TIMEOUT", "8s"),
            ("PAYMENT_GATEWAY_URL", ""),
            ("POPULAR_CACHE_TTL", "5m"),
            ("QUEUE_DURABILITY", "strict"),
            ("QUEUE_MAX_DEPTH", "1000000"),
            ("RATE_LIMIT_PER_USER", "50/s"),
            ("REDIS_URL", ""),
            ("REQUEST_RETENTION", "7d"),
            ("RUST_LOG", "info"),
            ("SMTP_URL", ""),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(declared, BTreeMap::from(expected));
        assert_eq!(parse_lease(LEASE_DEFAULT), Ok(Duration::from_secs(LANE_LEASE_DEFAULT_SECONDS)));
        assert!(parse_retention(REQUEST_RETENTION_DEFAULT).is_ok());
    }

    #[test]
    fn help_and_debug_do_not_show_secrets() {
        let secret = [
            "DATABASE_URL",
            "REDIS_URL",
            "JWT_SECRET",
            "ADMIN_TOKEN",
            "ORDER_SYNC_SECRET",
            "ALERT_WEBHOOK_URL",
            "PAYMENT_GATEWAY_SECRET",
            "SMTP_URL",
        ];
        for argument in All::command().get_arguments() {
            let variable = argument.get_env().and_then(|name| name.to_str());
            if variable.is_some_and(|name| secret.contains(&name)) {
                assert!(argument.is_hide_env_values_set(), "{variable:?}");
            }
        }
        let given = ["--jwt-secret", "hunter2", "--admin-token", "hunter2", "--order-sync-secret", "hunter2"];
        let shown = format!("{:?}", parse(&given).expect("acceptable"));
        assert!(!shown.contains("hunter2") && !shown.contains("postgres:"), "{shown}");
    }

    #[test]
    fn what_is_accepted() {
        let check = |flags: &[&str], accepted: bool| {
            assert_eq!(parse(flags).is_ok(), accepted, "{flags:?}");
        };
        check(&[], true);
        check(&["--database-url", ""], false);
        check(&["--lane-lease", "1s"], true);
        check(&["--lane-lease", "60s"], true);
        check(&["--lane-lease", "999ms"], false);
        check(&["--lane-lease", "61s"], false);
        check(&["--lane-lease", "10"], false);
        check(&["--lane-batch-max", "1"], true);
        check(&["--lane-batch-max", "0"], false);
        check(&["--lane-batch-max", "5000"], true);
        check(&["--lane-batch-max", "5001"], false);
        check(&["--lane-concurrency", "0"], false);
        check(&["--lane-concurrency", "64"], true);
        check(&["--lane-concurrency", "65"], false);
        check(&["--coupon-groups", "0"], false);
        check(&["--coupon-groups", "64"], true);
        check(&["--coupon-groups", "65"], false);
        check(&["--queue-max-depth", "0"], false);
        check(&["--queue-max-depth", "50000000"], true);
        check(&["--queue-max-depth", "50000001"], false);
        check(&["--queue-durability", "relaxed"], true);
        check(&["--queue-durability", "none"], false);
        check(&["--popular-cache-ttl", "1s"], true);
        check(&["--popular-cache-ttl", "999ms"], false);
        check(&["--popular-cache-ttl", "25h"], false);
        check(&["--order-sync-timeout", "99ms"], false);
        check(&["--order-sync-timeout", "61s"], false);
        check(&["--order-sync-retry-delays", "1s"], true);
        check(&["--order-sync-retry-delays", "soon"], false);
        check(&["--request-retention", "24h"], true);
        check(&["--request-retention", "23h"], false);
        check(&["--migrate-on-start", "false"], true);
        check(&["--migrate-on-start", "maybe"], false);
        check(&["--rate-limit-per-user", "off"], true);
        check(&["--rate-limit-per-user", "1/s"], true);
        check(&["--rate-limit-per-user", "0/s"], false);
        check(&["--rate-limit-per-user", "50"], false);
        check(&["--api-addr", "0.0.0.0:80"], true);
        check(&["--api-addr", "localhost"], false);
        check(&["--log-format", "json"], true);
        check(&["--log-format", "xml"], false);
    }

    #[test]
    fn help_names_the_limits_that_hold() {
        let command = All::command();
        let check = |argument: &str, limit: String| {
            let argument = command.get_arguments().find(|known| known.get_id() == argument).expect(argument);
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&limit), "{limit} in {help:?}");
        };
        check("batch_max", format!("(1–{LANE_BATCH_MAX_COMMANDS})"));
        check("lease", format!("({LANE_LEASE_MIN_SECONDS}s–{LANE_LEASE_MAX_SECONDS}s)"));
        check("concurrency", format!("(1–{LANE_CONCURRENCY_MAX_BATCHES})"));
        check("max_depth", format!("(at most {QUEUE_DEPTH_MAX_COMMANDS})"));
        check("coupon_groups", format!("(1–{COUPON_GROUPS_MAX})"));
        check("request_retention", format!("(at least {}h)", REQUEST_RETENTION_MIN_SECONDS / 3_600));
        check("metrics_addr", format!("{API_METRICS_ADDR} (api), {WORKERS_METRICS_ADDR} (workers)"));
    }

    #[test]
    fn a_refused_value_names_its_limit() {
        let error = parse(&["--lane-lease", "61s"]).expect_err("too long").to_string();
        assert!(error.contains("--lane-lease") && error.contains("at most 1m"), "{error}");
    }

    #[test]
    fn metrics_listen_at_the_address_given_or_at_the_default_of_the_binary() {
        let of = |flags: &[&str]| {
            let all = parse(flags).expect("acceptable");
            all.telemetry.metrics_addr_or(WORKERS_METRICS_ADDR).to_string()
        };
        assert_eq!(of(&[]), "127.0.0.1:9465");
        assert_eq!(of(&["--metrics-addr", "[::1]:1"]), "[::1]:1");
    }
}
