//! Bounds that only the door has, with their reasons. Bounds of the shop stand in `common`, those of both programs in
//! `runtime`.

use std::time::Duration;

/// Clients that are kept waiting for an outcome at once. More get the current document instead. Each costs its
/// connection and a few hundred bytes.
pub const WAITERS_MAX: usize = 65_536;

/// A charge waits for its outcome by itself this long: a little more than the gateway is usually given.
pub const CHARGE_WAIT_SECONDS: u64 = 10;

/// After an operator has settled a charge by hand, the answer waits this long for a worker to do it, which takes a second.
pub const VERDICT_WAIT_SECONDS: u64 = 5;

/// A stream of events tells the current document at least this often, so that a dead client is noticed and a living
/// one sees itself moving up. One look per stream and 15 s is a load that [`WAITERS_MAX`] bounds.
pub const EVENTS_REFRESH_SECONDS: u64 = 15;

/// Connections open at once; further ones stay with the kernel until one closes.
pub const CONNECTIONS_MAX: usize = 50_000;

/// Once it shall end, the door serves so long on, and says with each answer that the connection ends. Without that, whoever
/// sends at the instant at which a connection at rest is closed loses the answer. A balancer has to notice meanwhile, from
/// `/readyz`, that nobody new is wanted.
pub const FAREWELL_MS: u64 = 1_000;

/// The head of a request must have arrived this long after the connection is ready for it; a connection at rest is
/// closed after the same time. Slow senders must not hold connections for ever.
pub const HEADER_READ_SECONDS: u64 = 30;

/// The head of a request, and what is read ahead of it, on each connection. Browsers send a few kilobytes.
pub const HEAD_MAX_BYTES: usize = 32 * 1024;

/// The body must have arrived this long after the head.
pub const BODY_READ_SECONDS: u64 = 10;

/// A connection of which a body was left unread is listened to for so long after its answer, so that the answer is not lost
/// with it. Whoever reads while they send needs an instant.
pub const LINGER: Duration = Duration::from_secs(5);

/// What of the rest is thrown away meanwhile: more than anybody sends by mistake.
pub const LINGER_MAX_BYTES: usize = 32 * 1024 * 1024;

/// Of what a parser says of a member, so much is told.
pub const COMPLAINT_MAX_CHARS: usize = 300;

/// After the listener failed (mostly: no file descriptor left), it is asked again after this.
pub const ACCEPT_PAUSE_MS: u64 = 50;

/// Sold-out answers that one question to Postgres covers.
pub const GATE_QUESTIONS_MAX: usize = 256;

/// Sold-out answers that wait to be asked for; more go into the line instead, which knows the answer, too.
pub const GATE_QUEUE_ANSWERS_MAX: usize = 16_384;

/// Questions about sold-out coupons under way at once: a part of the pool, so that other reads get through.
pub const GATE_QUESTIONS_IN_FLIGHT_MAX: usize = 4;

/// Between two attempts of what is tried until it works: migrations, the first connection to Redis.
pub const RETRY_PAUSE_SECONDS: u64 = 1;

/// How often replicas are counted where some are demanded: for so long a command may wait in vain for one that is gone.
pub const REPLICAS_COUNTED_EVERY: Duration = Duration::from_secs(1);

/// The longest lanes that an operator is shown per group.
pub const SHOWN_LANES_MAX: usize = 20;

/// The span over which the throughput of a group is measured.
pub const THROUGHPUT_SECONDS: u64 = 10;

/// Batches that are looked at to measure it; in a busy group they cover less than the span, and then the span that
/// they cover counts.
pub const THROUGHPUT_BATCHES_MAX: i64 = 2_000;

/// Pieces of one product, so that no sum of two of them overflows.
pub const MAX_STOCK_PIECES: i64 = 1_000_000_000_000;

/// Units of one coupon.
pub const MAX_COUPON_UNITS: i64 = 1_000_000_000_000;

/// How often a rate limit forgets senders who have been quiet for long enough to have all of theirs again, so that a
/// sale with a million shoppers does not keep them all in memory.
pub const RATE_LIMIT_FORGET: Duration = Duration::from_secs(5);

/// Senders that a rate limit counts one by one, some tens of bytes each: far more than can send between two times of
/// forgetting.
pub const RATE_LIMIT_SENDERS_MAX: usize = 1_000_000;

/// How often what coupons demand of claims is read anew: another `api` may have changed it.
pub const TERMS_REFRESH: Duration = Duration::from_secs(1);

/// An operator who changes it is answered after this, when every `api` has read it once more and had half a second for it.
pub const TERMS_HEARD: Duration = Duration::from_millis(1_500);

/// Coupons that may demand something at the same time; each `api` keeps them, about 200 bytes each.
pub const TERMS_MAX_COUPONS: i64 = 10_000;

/// How long after the end of a campaign, or the last claim of one without an end, the claims of an address stay counted: an
/// end that is moved by less than this takes nothing back. Each count is a key of about 150 bytes in Redis.
pub const ADDRESS_COUNT_KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Whoever may have no more of a campaign is told to try again at its end, or after this.
pub const ADDRESS_RETRY_MAX_SECONDS: u32 = 24 * 3_600;

/// Claims of one coupon that one address may be allowed: a larger number limits nobody.
pub const MAX_CLAIMS_PER_ADDRESS: i64 = 1_000_000;

/// Asking whether a claim was made by a person may take this long, waiting for a place included: a shopper watches.
pub const HUMAN_CHECK: Duration = Duration::from_secs(3);

/// Questions whether somebody is a person, under way at once; each is a connection.
pub const HUMAN_CHECKS_MAX_IN_FLIGHT: usize = 1_024;

/// An answer to such a question has a few hundred bytes.
pub const HUMAN_ANSWER_MAX_BYTES: usize = 16 * 1024;

/// A proof of being human goes in a header. The verifiers' have up to 2,048 characters, and may grow.
pub const HUMAN_TOKEN_MAX_CHARS: usize = 8 * 1024;

/// Fetching the public keys of tokens may take this long: somebody waits to be let in.
pub const JWKS_FETCH: Duration = Duration::from_secs(5);

/// After this the keys are fetched anew, so that one that was taken back is not believed for long.
pub const JWKS_FRESH: Duration = Duration::from_secs(300);

/// Where they cannot be fetched anew, those that are known are believed for this long: a day without an issuer must not
/// lock everybody out, and a key that was taken back must not be good for ever.
pub const JWKS_BELIEVED: Duration = Duration::from_secs(24 * 3_600);

/// They are not fetched again within this time, whatever ids tokens name.
pub const JWKS_REST: Duration = Duration::from_secs(5);

/// A set of keys is a few kilobytes.
pub const JWKS_MAX_BYTES: usize = 256 * 1024;

/// Fetching a demo token may take this long: a shopper has just pressed a button.
pub const DEMO_TOKEN_FETCH: Duration = Duration::from_secs(5);

/// A token goes along with every call, and has to fit into its head.
pub const DEMO_TOKEN_MAX_BYTES: usize = 16 * 1024;

/// Failed syncs that one call retries: a change that is done well within its time-out.
pub const RETRIED_ORDERS_MAX: i64 = 20_000;

/// Characters of a search for products.
pub const MAX_SEARCH_CHARS: usize = 100;

/// Of how many days the popular products are when nobody says it: the days for which the answer is kept ready.
pub const DEFAULT_POPULAR_DAYS: u8 = 3;

/// How many popular products are shown when nobody says it: as many as are kept ready.
pub const DEFAULT_POPULAR_PRODUCTS: u8 = 5;

/// Characters of a request id that a client chose; longer or odd ones are replaced by ours.
pub const REQUEST_ID_MAX_CHARS: usize = 64;

/// [`EVENTS_REFRESH_SECONDS`] as a duration.
pub const EVENTS_REFRESH: Duration = Duration::from_secs(EVENTS_REFRESH_SECONDS);

/// [`RETRY_PAUSE_SECONDS`] as a duration.
pub const RETRY_PAUSE: Duration = Duration::from_secs(RETRY_PAUSE_SECONDS);

const _: () = assert!(GATE_QUESTIONS_IN_FLIGHT_MAX < runtime::limits::API_POOL_CONNECTIONS as usize);
const _: () = assert!(DEMO_TOKEN_MAX_BYTES < HEAD_MAX_BYTES);
const _: () = assert!(HUMAN_TOKEN_MAX_CHARS < HEAD_MAX_BYTES);
const _: () = assert!(HUMAN_CHECK.as_secs() < runtime::limits::DRAIN_MAX_SECONDS);
const _: () = assert!(TERMS_REFRESH.as_millis() < TERMS_HEARD.as_millis());
const _: () = assert!(GATE_QUESTIONS_MAX <= GATE_QUEUE_ANSWERS_MAX);
const _: () = assert!(BODY_READ_SECONDS <= HEADER_READ_SECONDS);
const _: () = assert!(LINGER.as_secs() < runtime::limits::DRAIN_MAX_SECONDS);
