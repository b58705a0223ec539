//! Every bound of the popular products, with its reason.

use std::time::Duration;

/// The longest span that can be asked for; older hours are forgotten.
pub const MAX_POPULAR_DAYS: u8 = 30;

/// The longest list that can be asked for.
pub const MAX_POPULAR_PRODUCTS: u8 = 50;

/// An hour is sealed this long after its end at the earliest: clocks of sessions and the commit of what was decided at
/// its last moment need some time, and looking earlier would only find them open.
pub const SEAL_AFTER_END_SECONDS: i64 = 60;

/// Hours that one statement seals: a day at a time keeps the transactions of the first start, or of one after a long
/// rest, short.
pub const SEAL_STEP_HOURS: i64 = 24;

/// Kept hours reach back this far: what can be asked for, and a day for those who ask at the edge.
pub const KEPT_HOURS: i64 = (MAX_POPULAR_DAYS as i64 + 1) * 24;

/// Counts under way at once in one process: each takes a connection from those who serve shoppers.
pub const COUNTS_IN_FLIGHT_MAX: usize = 2;

/// For so long a process answers from its own memory before it asks Redis again, which has the lines to serve.
pub const REMEMBERED: Duration = Duration::from_secs(1);

/// A count may take this long. Postgres ends a statement before, but is not heard on a connection that is dead without a word.
pub const COUNT_MAX: Duration = Duration::from_secs(18);

/// Whoever promised to fill the cache has failed after this; somebody else then tries.
pub const FILL_MAX: Duration = Duration::from_secs(20);

/// How often those who wait for somebody else's count look whether it is there.
pub const FILL_LOOK_EVERY: Duration = Duration::from_millis(50);

const _: () = assert!(KEPT_HOURS >= MAX_POPULAR_DAYS as i64 * 24 + SEAL_STEP_HOURS);
const _: () = assert!(COUNT_MAX.as_secs() > runtime::limits::SESSION_STATEMENT_TIMEOUT_SECONDS);
const _: () = assert!(FILL_MAX.as_secs() > COUNT_MAX.as_secs());
