//! Every bound of the line, with its reason.

use std::time::Duration;

/// Characters of a lane's name. Long enough for a kind and an id of 64 characters.
pub const LANE_MAX_CHARS: usize = 128;

/// Lanes of one command. Lua passes them to one Redis command, whose values are bounded at 8,000.
pub const COMMAND_LANES_MAX: usize = 256;

/// Commands that one append script takes in: enough that a crowd shares few fsyncs, few enough that a script stays within
/// a few milliseconds, because nobody else is served meanwhile.
pub const APPEND_COMMANDS_MAX: usize = 256;

/// Append scripts under way at once. Two keep the connection busy while one answer is handed out; in a crowd one is enough, if
/// it keeps Redis busy, so that whoever claims and acks, and so makes room, stands behind fewer of them.
pub const APPENDS_IN_FLIGHT_MAX: u32 = 2;

/// A full append call that takes as long as so many of the quickest is nearly all work: one after the other then takes in
/// no more than an eighth less than two at once.
pub const WORK_QUICKEST_CALLS_MIN: u64 = 8;

/// Appends that wait inside this process for a script to take them in; more are refused at once.
pub const APPEND_QUEUE_COMMANDS_MAX: usize = 16_384;

/// How long an append may have to wait for a script to take it in, in a crowd that will be gone in a moment. Whoever would
/// wait longer is refused at once: a quick no is worth more than a late yes, and the answer is still to come after this.
pub const APPEND_WAIT_MAX: Duration = Duration::from_millis(250);

/// The same while the crowd does not end: a line that is always long makes everybody wait and serves nobody sooner. It is
/// enough for the calls that Redis needs to have something to do.
pub const CROWDED_APPEND_WAIT_MAX: Duration = Duration::from_millis(50);

/// For how long a crowd is believed to go on after somebody was turned away.
pub const CROWD_BELIEVED: Duration = Duration::from_secs(1);

/// For how long a group that was found full is believed to be full. Asking costs Redis, and so those who are in line; a
/// worker makes room in a few times this.
pub const FULL_BELIEVED: Duration = Duration::from_millis(20);

/// How long an answer of Redis may take. A command that took longer may still have been executed. The driver's own 500 ms
/// is shorter than an fsync on a busy disk.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long connecting to Redis may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Nodes of a Cluster that may send us on to another one. One knows the way; a second and a third only while slots move.
pub const REDIRECTS_MAX: usize = 3;

/// Nodes of a Cluster that are remembered, for when all given addresses are gone: enough that one of the last is still there,
/// and each that is not costs a time-out.
pub const KNOWN_NODES_MAX: usize = 8;

/// How long replicas may take to confirm what they were sent. Less than [`RESPONSE_TIMEOUT`], or the answer is not heard.
pub const REPLICA_WAIT_MAX: Duration = Duration::from_secs(1);

/// How long an outcome stays in Redis after the ack. Long enough for whoever waits; the archive has it for good.
pub const OUTCOME_TTL: Duration = Duration::from_secs(120);

/// How long an idempotency key stays bound in Redis after the ack: a day and an hour, so that "at least 24 h" holds
/// whatever the clocks say.
pub const KEY_TTL: Duration = Duration::from_secs(25 * 3600);

/// The longest sleep of a worker that found nothing. Only a lost wake-up, or a lease that ended without one, waits
/// this long.
pub const IDLE_SLEEP_MAX: Duration = Duration::from_secs(1);

/// How long a subscription may be silent before Redis is asked whether it is still there: a connection that was cut
/// without a word looks the same.
pub const LISTEN_SILENCE_MAX: Duration = Duration::from_secs(15);

/// The pause before a worker asks again after Redis failed.
pub const FAULT_PAUSE: Duration = Duration::from_millis(200);

/// Commands that `pause` counts at most.
pub const HELD_COMMANDS_MAX: usize = 10_000;

/// Tickets above the highest decided one that a seeded counter skips, beyond the depth of the line: room for batches
/// that commit while the archive is being asked.
pub const SEED_MARGIN_TICKETS: u64 = 100_000;

/// A lease that ends later than this from now was not made by this clock: longer than any lease by more than the clocks of
/// two servers that follow each other differ.
pub const LEASE_MAX: Duration = Duration::from_secs(120);

/// A renewal comes when this part of the lease has passed.
pub const RENEWALS_PER_LEASE: u32 = 3;

const _: () = assert!(APPEND_COMMANDS_MAX <= APPEND_QUEUE_COMMANDS_MAX);
const _: () = assert!(COMMAND_LANES_MAX * 2 < 8_000);
const _: () = assert!(REPLICA_WAIT_MAX.as_millis() < RESPONSE_TIMEOUT.as_millis());
const _: () = assert!(RENEWALS_PER_LEASE >= 2);
