//! Every metric of both binaries: its name, its labels, who exports it and what it means. Nothing is measured that is
//! not in this table. The names are constants for those who read metrics; those who measure call the function of the
//! same row (`metrics::accepted("coupon").increment(1)`), so that a label cannot be forgotten or misspelt.
//!
//! Labels take few values, known at the start, so that every series exists with 0 before its first event. Never an id.

mod install;
mod table;

pub use install::{InstallError, Known, describe_and_zero, install};
pub use metrics_exporter_prometheus::PrometheusHandle;
pub use table::{Kind, Metric, Process};

use std::time::Duration;

use table::metrics_table;

metrics_table! {
    // process
    both gauge BUILD_INFO = "droplane_build_info", build_info(process, version):
        "Always 1; the labels say which program of which version answers.";
    both gauge PROCESS_START_TIME = "droplane_process_start_time_seconds", process_start_time():
        "When this process started, in seconds since 1970.";
    both counter PROCESS_CPU_SECONDS = "droplane_process_cpu_seconds_total", process_cpu_seconds():
        "Processor time that this process has used, in whole seconds.";
    both gauge PROCESS_RESIDENT_MEMORY_BYTES = "droplane_process_resident_memory_bytes", process_resident_memory_bytes():
        "Memory of this process that lies in RAM.";
    both gauge PROCESS_OPEN_FDS = "droplane_process_open_fds", process_open_fds():
        "Files and connections that this process has open.";
    both gauge PROCESS_MAX_FDS = "droplane_process_max_fds", process_max_fds():
        "The most files and connections that this process may have open; 0 where there is no limit.";
    both gauge PROCESS_THREADS = "droplane_process_threads", process_threads():
        "Threads of this process.";

    // the door
    api counter ACCEPTED = "droplane_accepted_total", accepted(group):
        "Commands stored in a line and answered with 202.";
    api counter REPEATED = "droplane_repeated_total", repeated(group):
        "Commands that were recognised as repeats of an accepted one, and stored nothing.";
    api counter REFUSED = "droplane_refused_total", refused(group, reason):
        "Commands refused at the door, before they had a ticket.";
    api counter HTTP_REQUESTS = "droplane_http_requests_total", http_requests(method, route, status):
        "Answered HTTP requests, by route pattern and class of status.";
    api histogram HTTP_REQUEST_SECONDS = "droplane_http_request_seconds", http_request_seconds(method, route):
        "From the first byte of a request to its answer; waiting for an outcome is included.";
    api gauge WAITERS = "droplane_waiters", waiters():
        "Clients that are kept waiting for an outcome now.";

    // the line; both programs look, because a line that nobody works on must be seen growing
    both gauge DEPTH = "droplane_depth", depth(group):
        "Commands in the line, those in flight included.";
    both gauge IN_FLIGHT = "droplane_in_flight", in_flight(group):
        "Commands in batches that a worker holds now.";
    both gauge READY = "droplane_ready", ready(group):
        "Commands that a worker could take now; what is held or stands behind another one is not counted.";
    both gauge OLDEST_AGE_SECONDS = "droplane_oldest_age_seconds", oldest_age_seconds(group):
        "How long the oldest undecided command has been waiting; 0 when nobody waits.";
    both gauge LANES_PAUSED = "droplane_lanes_paused", lanes_paused(group):
        "Resources that are held now, each with its line; a group that is held as a whole is not counted.";
    both gauge GROUP_HELD = "droplane_group_held", group_held(group):
        "1 while the group is held as a whole, by an operator or because too many of its commands were parked; else 0.";

    // the work
    workers counter CLAIMS = "droplane_claims_total", claims(group):
        "Claims that found a batch.";
    workers counter EMPTY_CLAIMS = "droplane_empty_claims_total", empty_claims(group):
        "Claims that found nothing ready.";
    workers histogram(commands) BATCH_SIZE = "droplane_batch_size", batch_size(group):
        "Commands in a claimed batch.";
    workers histogram WAIT_SECONDS = "droplane_wait_seconds", wait_seconds(group):
        "From acceptance to claim, by command.";
    workers histogram TIME_TO_OUTCOME_SECONDS = "droplane_time_to_outcome_seconds", time_to_outcome_seconds(group):
        "From acceptance to the committed outcome, by command.";
    workers histogram TRANSACTION_SECONDS = "droplane_transaction_seconds", transaction_seconds(group):
        "From the begin to the commit of a batch's transaction.";
    workers counter DECIDED = "droplane_decided_total", decided(kind, outcome):
        "Committed outcomes: SUCCEEDED, or the code of the refusal.";
    workers counter LEASE_EXPIRIES = "droplane_lease_expiries_total", lease_expiries(group):
        "Batches given back because their lease had expired.";
    workers counter FENCE_REFUSALS = "droplane_fence_refusals_total", fence_refusals(group):
        "Batches dropped because somebody else had decided them.";
    workers counter REDELIVERIES = "droplane_redeliveries_total", redeliveries(group):
        "Commands claimed again after an attempt that did not end in an outcome.";
    workers counter PARKED = "droplane_parked_total", parked(group):
        "Commands set aside as FAILED X003, because they could not be decided.";
    workers counter RETICKETED = "droplane_reticketed_total", reticketed(group):
        "Times a group was given new tickets, because its counter had gone back.";
    workers counter BATCH_FAULTS = "droplane_batch_faults_total", batch_faults(group, fault):
        "Batches given back to their place in the line after a fault.";

    // what leaves the shop
    workers counter SYNC_ATTEMPTS = "droplane_sync_attempts_total", sync_attempts(result):
        "Attempts to tell the order system of an order, by their result.";
    workers counter SYNC_ANNOUNCED = "droplane_sync_announced_total", sync_announced():
        "Orders whose sending began because they were announced, before the sweep found them.";
    workers gauge SYNC_BACKLOG = "droplane_sync_backlog", sync_backlog():
        "Orders that the order system has not taken yet and that will be sent, now or later; 10000 stands for more, too.";
    workers gauge SYNC_OVERDUE_SECONDS = "droplane_sync_overdue_seconds", sync_overdue_seconds():
        "How long the order that has been due for longest waits to be sent; 0 when none is due.";
    workers gauge SYNC_FAILURES_OPEN = "droplane_sync_failures_open", sync_failures_open():
        "Orders on the desk: the last retry failed, and nobody has resolved it.";
    workers counter GATEWAY_CALLS = "droplane_gateway_calls_total", gateway_calls(answer):
        "Times that the payment gateway was asked for money, by its answer.";
    workers histogram GATEWAY_SECONDS = "droplane_gateway_seconds", gateway_seconds():
        "From asking the payment gateway to its answer, or to giving up on it.";
    workers gauge CHARGES_PENDING = "droplane_charges_pending", charges_pending():
        "Charges of which it is not known yet whether the money was taken.";
    workers gauge CHARGES_OLDEST_SECONDS = "droplane_charges_oldest_seconds", charges_oldest_seconds():
        "How long the oldest of them has been pending; 0 when there is none.";
    workers counter ALERTS_RAISED = "droplane_alerts_raised_total", alerts_raised(alert):
        "Alerts that this process raised.";
    workers gauge ALERTS_OPEN = "droplane_alerts_open", alerts_open(alert):
        "Alerts whose cause is not resolved.";
    workers gauge ALERTS_UNDELIVERED_SECONDS = "droplane_alerts_undelivered_seconds", alerts_undelivered_seconds():
        "How long the oldest alert waits that is still to go out on a configured way, or for which there is none; else 0.";

    // what runs by a schedule
    workers gauge CRON_LAST_SUCCESS = "droplane_cron_last_success_seconds", cron_last_success(cron_job):
        "When a job last succeeded, by whichever worker, in seconds since 1970; 0 before its first time.";
    workers counter CRON_RUNS = "droplane_cron_runs_total", cron_runs(cron_job):
        "Ticks that this process took.";
    workers counter CRON_FAILURES = "droplane_cron_failures_total", cron_failures(cron_job):
        "Ticks that this process took and that failed.";
    workers counter COUPONS_EXPIRED = "droplane_coupons_expired_total", coupons_expired():
        "Wallet entries that this process marked, because their time passed before they were used.";
    api counter POPULAR_READS = "droplane_popular_reads_total", popular_reads(cache):
        "Questions for the popular products, by whether the answer was kept or had to be counted.";
    both counter POPULAR_COUNTS = "droplane_popular_counts_total", popular_counts():
        "Times that the popular products were counted, and not taken from the cache.";

    // the services
    both histogram REDIS_SCRIPT_SECONDS = "droplane_redis_script_seconds", redis_script_seconds(script):
        "From sending a script to its answer.";
    both counter REDIS_SCRIPT_ERRORS = "droplane_redis_script_errors_total", redis_script_errors(script):
        "Scripts that ended in an error or a time-out.";
    both gauge REDIS_DURABLE = "droplane_redis_durable", redis_durable():
        "1 if Redis, when last asked, keeps on disk whatever it has accepted; 0 if not, or before it was asked.";
    both gauge POSTGRES_CONNECTIONS = "droplane_postgres_connections", postgres_connections(state):
        "Connections of the pool, idle or in use.";
    both gauge POSTGRES_CONNECTIONS_MAX = "droplane_postgres_connections_max", postgres_connections_max():
        "The most connections that the pool may open.";
    both counter POSTGRES_ERRORS = "droplane_postgres_errors_total", postgres_errors(fault):
        "Errors of Postgres, by what they mean for the work that met them.";
}

/// Why a command was refused at the door: the values of the label `reason`.
pub mod refusal {
    /// The gate is closed: the last unit is committed.
    pub const SOLD_OUT: &str = "sold_out";
    /// The group's line is full.
    pub const GROUP_FULL: &str = "group_full";
    /// One resource's line is full.
    pub const LANE_FULL: &str = "lane_full";
    /// The idempotency key was used with another body.
    pub const KEY_REUSED: &str = "key_reused";
    /// The shopper sends too many.
    pub const RATE_LIMITED: &str = "rate_limited";
    /// Too many come from one address.
    pub const ADDRESS_RATE_LIMITED: &str = "address_rate_limited";
    /// The address has as many of the coupon as it may have.
    pub const ADDRESS_USED_UP: &str = "address_used_up";
    /// Nothing proves that a person sent it.
    pub const NOT_HUMAN: &str = "not_human";
    /// The verifier of persons could not be asked.
    pub const VERIFIER_AWAY: &str = "verifier_away";
    /// Redis did not answer.
    pub const UNAVAILABLE: &str = "unavailable";
    /// All of them.
    pub const ALL: [&str; 10] = [
        SOLD_OUT,
        GROUP_FULL,
        LANE_FULL,
        KEY_REUSED,
        RATE_LIMITED,
        ADDRESS_RATE_LIMITED,
        ADDRESS_USED_UP,
        NOT_HUMAN,
        VERIFIER_AWAY,
        UNAVAILABLE,
    ];
}

/// What runs by a schedule: the values of the label `cron_job`. Prometheus itself calls what it scrapes a `job`.
pub mod cron_job {
    /// Sealing the hours that are over, and counting the popular products anew.
    pub const POPULAR: &str = "popular";
    /// Forgetting old requests.
    pub const RETENTION: &str = "retention";
    /// Marking wallet entries whose time has passed.
    pub const COUPON_EXPIRY: &str = "coupon_expiry";
    /// Telling the order system of orders that are due.
    pub const ORDER_SYNC: &str = "order_sync";
    /// Telling admins of what went wrong.
    pub const ALERTS: &str = "alerts";
    /// Sending mails.
    pub const MAILS: &str = "mails";
    /// Finding out what came of charges.
    pub const SETTLEMENT: &str = "settlement";
    /// All of them.
    pub const ALL: [&str; 7] = [POPULAR, RETENTION, COUPON_EXPIRY, ORDER_SYNC, ALERTS, MAILS, SETTLEMENT];
}

/// What came of an attempt to tell the order system: the values of the label `result`.
pub mod sync_result {
    /// It has the order.
    pub const SUCCEEDED: &str = "succeeded";
    /// It was not reached, or did not answer 2xx in time.
    pub const FAILED: &str = "failed";
    /// Both.
    pub const ALL: [&str; 2] = [SUCCEEDED, FAILED];
}

/// What the payment gateway said: the values of the label `answer`.
pub mod gateway_answer {
    /// It took the money.
    pub const TAKEN: &str = "taken";
    /// It did not, and will not.
    pub const DECLINED: &str = "declined";
    /// Nothing that could be relied on.
    pub const UNKNOWN: &str = "unknown";
    /// All of them.
    pub const ALL: [&str; 3] = [TAKEN, DECLINED, UNKNOWN];
}

/// What an alert is about: the values of the label `alert`.
pub mod alert_kind {
    /// The last retry of telling the order system of an order failed.
    pub const ORDER_SYNC_FAILED: &str = "ORDER_SYNC_FAILED";
    /// A group of lanes is held, because too many of its commands could not be decided.
    pub const GROUP_HELD: &str = "GROUP_HELD";
    /// Nobody knows whether the money of a charge was taken, and the gateway is not asked any more.
    pub const CHARGE_UNSETTLED: &str = "CHARGE_UNSETTLED";
    /// The gateway says something else of a charge than what it was settled as.
    pub const CHARGE_CONTRADICTED: &str = "CHARGE_CONTRADICTED";
    /// All of them.
    pub const ALL: [&str; 4] = [ORDER_SYNC_FAILED, GROUP_HELD, CHARGE_UNSETTLED, CHARGE_CONTRADICTED];
}

/// Where an answer about the popular products came from: the values of the label `cache`.
pub mod popular_cache {
    /// It was kept.
    pub const HIT: &str = "hit";
    /// It had to be counted.
    pub const MISS: &str = "miss";
    /// Both.
    pub const ALL: [&str; 2] = [HIT, MISS];
}

/// States of a pooled connection: the values of the label `state`.
pub mod connection_state {
    /// Waiting in the pool.
    pub const IDLE: &str = "idle";
    /// Lent to a caller.
    pub const IN_USE: &str = "in_use";
    /// Both.
    pub const ALL: [&str; 2] = [IDLE, IN_USE];
}

/// Classes of HTTP status: the values of the label `status`.
pub const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The class of a status code. What is no valid code counts as a failure of ours.
pub fn status_class(status: u16) -> &'static str {
    match status / 100 {
        class @ 1..=5 => STATUS_CLASSES[usize::from(class) - 1],
        _ => "5xx",
    }
}

/// Outcomes that a command of each kind can have, in the order in which they are checked.
pub const OUTCOMES: [(&str, &[&str]); 3] = [
    ("COUPON_ISSUE", &["SUCCEEDED", "R002", "C002", "C004", "C006", "C003", "C001", "X003"]),
    ("ORDER_PLACEMENT", &["SUCCEEDED", "R002", "P001", "P002", "C002", "C005", "C003", "O002", "PAY001", "X003"]),
    ("BALANCE_CHARGE", &["SUCCEEDED", "R002", "PAY002", "X003"]),
];

/// Upper bounds of the histograms in seconds: from one answer of Redis to a line that stands still.
pub(crate) const SECONDS_BUCKETS: [f64; 16] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];

/// Upper bounds of the histogram of batch sizes, up to the largest batch that can be configured.
pub(crate) const COMMANDS_BUCKETS: [f64; 12] =
    [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0];

/// Measures this process as the system sees it. What the system does not tell stays as it was. Called at each scrape.
pub(crate) fn record_process() {
    let seen = metrics_process::collector::collect();
    // A counter holds whole numbers; a rate over a minute still tells two hundredths of a core.
    if let Some(Ok(used)) = seen.cpu_seconds_total.map(Duration::try_from_secs_f64) {
        process_cpu_seconds().absolute(used.as_secs());
    }
    let gauges = [
        (process_resident_memory_bytes(), seen.resident_memory_bytes),
        (process_open_fds(), seen.open_fds),
        (process_max_fds(), seen.max_fds),
        (process_threads(), seen.threads),
    ];
    for (gauge, value) in gauges {
        if let Some(value) = value {
            gauge.set(value as f64);
        }
    }
}

/// Sets the gauges of a pool as it is now. Called at each scrape.
pub fn record_pool(pool: &sqlx::PgPool) {
    let idle = pool.num_idle();
    let in_use = (pool.size() as usize).saturating_sub(idle);
    postgres_connections(connection_state::IDLE).set(idle as f64);
    postgres_connections(connection_state::IN_USE).set(in_use as f64);
    postgres_connections_max().set(f64::from(pool.options().get_max_connections()));
}
