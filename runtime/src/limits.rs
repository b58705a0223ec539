//! Every bound of both binaries. The unit stands last in the name, the reason above, and what must hold between two
//! bounds is asserted below, so that changing one cannot silently break another. Bounds of the shop's rules (lines of
//! an order, amounts, bodies) belong to `common`, those of the protocol with Redis to `lanes`.

use std::time::Duration;

// --- the end of a process -------------------------------------------------------------------------------------------

/// A process must be gone this long after SIGTERM: orchestrators kill at 10 s or later, and a kill is not clean.
pub const EXIT_MAX_SECONDS: u64 = 10;
/// What is in hand may take this long to finish. The rest of `EXIT_MAX_SECONDS` is for closing connections and logs.
pub const DRAIN_MAX_SECONDS: u64 = 8;

/// The last traces may take this long to be sent, after all else has ended; the process has to be gone in time.
pub const TRACES_END_MAX: Duration = Duration::from_millis(500);

// --- traces ---------------------------------------------------------------------------------------------------------

/// Spans that the span of a batch is linked to: all of a usual batch. Each costs about 60 bytes on its way.
pub const BATCH_LINKS_MAX_SPANS: u32 = LANE_BATCH_DEFAULT_COMMANDS;

// --- Postgres -------------------------------------------------------------------------------------------------------

/// Reads and admin changes of one `api`. More connections make a hot row slower, not faster: they only wait inside
/// Postgres instead of outside.
pub const API_POOL_CONNECTIONS: u32 = 16;
/// Connections of `workers` beyond one for each batch in flight: schema check, seeding, sweeps, readiness.
pub const WORKERS_SPARE_CONNECTIONS: u32 = 4;
/// How long a caller waits for a free connection. A shopper's read is better told "503" than kept waiting.
pub const POOL_ACQUIRE_TIMEOUT_SECONDS: u64 = 3;
/// A connection that rested longer is pinged before use. Shorter rests skip the round trip: a batch must not pay it.
pub const POOL_REST_BEFORE_PING_SECONDS: u64 = 2;
/// Idle connections are given back to the server after a quiet time.
pub const POOL_IDLE_TIMEOUT_SECONDS: u64 = 600;
/// Connections are renewed, so that a fail-over or a changed DNS name is noticed by all of them in time.
pub const POOL_LIFETIME_SECONDS: u64 = 1_800;
/// Prepared statements kept on each connection. The code has far fewer distinct statements than this.
pub const STATEMENT_CACHE_STATEMENTS: usize = 256;
/// Net under every statement that runs outside a bounded transaction: nothing may run for ever.
pub const SESSION_STATEMENT_TIMEOUT_SECONDS: u64 = 15;
/// A connection that comes back from a caller who gave up may take this long to become usable; then it is closed.
pub const SESSION_CLEANUP_MAX_SECONDS: u64 = 2;
/// A read may take this long, waiting for a connection included. A connection that is dead without a word gives no other sign,
/// and whoever reads is better told "503" than kept waiting.
pub const READ_MAX_SECONDS: u64 = 6;
/// A change that `api` makes waits at most this long for a row that a batch holds.
pub const CHANGE_LOCK_TIMEOUT_MS: u64 = 1_500;
/// A change that `api` makes is a handful of statements over single rows.
pub const CHANGE_STATEMENT_TIMEOUT_MS: u64 = 3_000;
/// A consistent read of everything (the audit) may take this long a statement; it locks no row, but holds back vacuum.
pub const SNAPSHOT_STATEMENT_TIMEOUT_SECONDS: u64 = 60;
/// A migration waits at most this long for a table at a time: everybody who comes after it stands behind it.
pub const MIGRATION_LOCK_TIMEOUT_SECONDS: u64 = 5;
/// It tries again for this long, letting the others through in between.
pub const MIGRATION_WAIT_MAX_SECONDS: u64 = 60;

// --- Redis ----------------------------------------------------------------------------------------------------------

/// Replicas that may be waited for: more would only make every answer as slow as the slowest of them.
pub const QUEUE_MIN_REPLICAS_MAX: u32 = 5;

// --- the lanes ------------------------------------------------------------------------------------------------------

/// Commands a batch holds at most, when nothing else is configured.
pub const LANE_BATCH_DEFAULT_COMMANDS: u32 = 1_000;
/// The most that may be configured: a larger batch would outgrow the statement time-out of a short lease.
pub const LANE_BATCH_MAX_COMMANDS: u32 = 5_000;
/// The shortest lease: time-outs are fractions of it, and less than half a second for a statement is not realistic.
pub const LANE_LEASE_MIN_SECONDS: u64 = 1;
/// The lease, when nothing else is configured.
pub const LANE_LEASE_DEFAULT_SECONDS: u64 = 10;
/// The longest lease: a dead worker's lanes stand still for this long.
pub const LANE_LEASE_MAX_SECONDS: u64 = 60;
/// Batches in flight at once, when nothing else is configured.
pub const LANE_CONCURRENCY_DEFAULT_BATCHES: u32 = 4;
/// The most that may be configured; each holds a Postgres connection.
pub const LANE_CONCURRENCY_MAX_BATCHES: u32 = 64;
/// Commands that may wait in one group, when nothing else is configured.
pub const QUEUE_DEPTH_DEFAULT_COMMANDS: u64 = 1_000_000;
/// The most that may be configured: at about a kilobyte each this is tens of gigabytes of Redis.
pub const QUEUE_DEPTH_MAX_COMMANDS: u64 = 50_000_000;
/// Groups over which coupons may be spread; each is a hash slot of its own and a set of metric series.
pub const COUPON_GROUPS_MAX: u32 = common::limits::MAX_COUPON_GROUPS as u32;

// --- the door -------------------------------------------------------------------------------------------------------

/// Connections that the kernel keeps for us while we are busy accepting: at second zero everybody comes at once.
pub const HTTP_LISTEN_BACKLOG_CONNECTIONS: u32 = 4_096;
/// Final documents and keys are promised for at least this long, so nothing shorter can be configured.
pub const REQUEST_RETENTION_MIN_SECONDS: u64 = 24 * 60 * 60;
/// How long decided requests are kept, when nothing else is configured.
pub const REQUEST_RETENTION_DEFAULT: &str = "7d";

// --- the popular products -------------------------------------------------------------------------------------------

/// A list that is kept for less than this is hardly kept at all.
pub const POPULAR_CACHE_TTL_MIN_SECONDS: u64 = 1;
/// A list that is kept for more than a day is not of the last days any more.
pub const POPULAR_CACHE_TTL_MAX_SECONDS: u64 = 24 * 60 * 60;

// --- what leaves the shop -------------------------------------------------------------------------------------------

/// An attempt to reach the order system or the gateway may not be given less than this: no network is quicker.
pub const TARGET_TIMEOUT_MIN_MS: u64 = 100;
/// An attempt may take at most this long: as long as it takes, nobody else may make it.
pub const TARGET_TIMEOUT_MAX_SECONDS: u64 = 60;
/// Pauses that a list of retries may have. More is a typing error.
pub const SYNC_RETRIES_MAX: usize = 20;

// --- readiness and metrics ------------------------------------------------------------------------------------------

/// One readiness check may take this long; then it has failed.
pub const READINESS_CHECK_TIMEOUT_MS: u64 = 2_000;
/// Answers of `/readyz` are shared for this long: it is public, and must not become a way to load Postgres.
pub const READINESS_SHARED_MS: u64 = 500;
/// Histogram samples are folded into their buckets this often, scraped or not, so that they do not pile up in memory.
pub const METRICS_UPKEEP_SECONDS: u64 = 5;
/// How often the lines are looked at for the gauges.
pub const LINE_GAUGES_SECONDS: u64 = 5;

/// The pool of `workers`: one connection for each batch in flight, and the spare ones.
pub const fn workers_pool_connections(batches_in_flight: u32) -> u32 {
    batches_in_flight + WORKERS_SPARE_CONNECTIONS
}

/// `EXIT_MAX_SECONDS` as a duration.
pub const EXIT_MAX: Duration = Duration::from_secs(EXIT_MAX_SECONDS);
/// `DRAIN_MAX_SECONDS` as a duration.
pub const DRAIN_MAX: Duration = Duration::from_secs(DRAIN_MAX_SECONDS);

const _: () = {
    assert!(DRAIN_MAX_SECONDS < EXIT_MAX_SECONDS);
    // A caller that waits for a connection when SIGTERM arrives must still get its answer.
    assert!(POOL_ACQUIRE_TIMEOUT_SECONDS < DRAIN_MAX_SECONDS);
    assert!(SESSION_CLEANUP_MAX_SECONDS < POOL_ACQUIRE_TIMEOUT_SECONDS);
    // Whoever waited for a connection needs time left for the read.
    assert!(POOL_ACQUIRE_TIMEOUT_SECONDS < READ_MAX_SECONDS);
    assert!(READ_MAX_SECONDS < DRAIN_MAX_SECONDS);
    assert!(POOL_REST_BEFORE_PING_SECONDS < POOL_IDLE_TIMEOUT_SECONDS);
    assert!(POOL_IDLE_TIMEOUT_SECONDS < POOL_LIFETIME_SECONDS);
    // A statement that waits for a lock needs time left for its work.
    assert!(CHANGE_LOCK_TIMEOUT_MS < CHANGE_STATEMENT_TIMEOUT_MS);
    assert!(CHANGE_STATEMENT_TIMEOUT_MS <= SESSION_STATEMENT_TIMEOUT_SECONDS * 1_000);
    assert!(MIGRATION_LOCK_TIMEOUT_SECONDS < MIGRATION_WAIT_MAX_SECONDS);
    // A lease is renewed at a third of it; by default one lost answer must not lose the lease.
    assert!(lanes::limits::RESPONSE_TIMEOUT.as_secs() < LANE_LEASE_DEFAULT_SECONDS / 3);
    assert!(LANE_LEASE_MIN_SECONDS <= LANE_LEASE_DEFAULT_SECONDS);
    assert!(LANE_LEASE_DEFAULT_SECONDS <= LANE_LEASE_MAX_SECONDS);
    assert!(2 * LANE_LEASE_MAX_SECONDS <= lanes::limits::LEASE_MAX.as_secs());
    assert!(LANE_BATCH_DEFAULT_COMMANDS <= LANE_BATCH_MAX_COMMANDS);
    // Redis' Lua cannot spread 8,000 values over a call; a batch that fits needs no chunks.
    assert!(LANE_BATCH_MAX_COMMANDS < 8_000);
    assert!(LANE_CONCURRENCY_DEFAULT_BATCHES <= LANE_CONCURRENCY_MAX_BATCHES);
    assert!(QUEUE_DEPTH_DEFAULT_COMMANDS <= QUEUE_DEPTH_MAX_COMMANDS);
    assert!(LANE_BATCH_MAX_COMMANDS as u64 <= QUEUE_DEPTH_DEFAULT_COMMANDS);
    assert!(READINESS_SHARED_MS < READINESS_CHECK_TIMEOUT_MS);
};
