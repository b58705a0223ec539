//! The settings as the contract has them.

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
    human: HumanArgs,
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
    #[command(flatten)]
    targets: TargetArgs,
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
        ("DATABASE_POOLER", "none"),
        ("DATABASE_URL", ""),
        ("DEMO_TOKENS_URL", ""),
        ("HUMAN_CHECK_SECRET", ""),
        ("HUMAN_CHECK_URL", ""),
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
        ("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
        ("PAYMENT_DEFAULT_METHOD", "pm_card_visa"),
        ("PAYMENT_GATEWAY_SECRET", ""),
        ("PAYMENT_GATEWAY_TIMEOUT", "8s"),
        ("PAYMENT_GATEWAY_URL", ""),
        ("POPULAR_CACHE_TTL", "5m"),
        ("QUEUE_DURABILITY", "strict"),
        ("QUEUE_MAX_DEPTH", "1000000"),
        ("QUEUE_MIN_REPLICAS", "0"),
        ("RATE_LIMIT_PER_ADDRESS", "off"),
        ("RATE_LIMIT_PER_USER", "50/s"),
        ("REDIS_SENTINEL_MASTER", ""),
        ("REDIS_URL", ""),
        ("REQUEST_RETENTION", "7d"),
        ("RUST_LOG", "info"),
        ("SMTP_URL", ""),
        ("TRUSTED_PROXIES", ""),
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
        "HUMAN_CHECK_SECRET",
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
    check(&["--queue-min-replicas", "5"], true);
    check(&["--queue-min-replicas", "6"], false);
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
    check(&["--rate-limit-per-address", "100/s"], true);
    check(&["--rate-limit-per-address", "100/m"], false);
    check(&["--api-addr", "0.0.0.0:80"], true);
    check(&["--api-addr", "localhost"], false);
    check(&["--trusted-proxies", "10.0.0.0/8"], true);
    check(&["--trusted-proxies", "proxy"], false);
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
    check("queue_min_replicas", format!("(0–{QUEUE_MIN_REPLICAS_MAX})"));
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
