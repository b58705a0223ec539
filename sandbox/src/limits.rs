//! Bounds of the sandbox, with their reasons: it may run for days beside somebody's editor.

use std::time::Duration;

/// The body of a request. An order of 50 lines has a few kilobytes.
pub const BODY_MAX_BYTES: usize = 256 * 1024;

/// Payments, orders, mails, alerts and questions about persons that are kept, of each kind, unless somebody who starts a sandbox
/// in his own process wants more; the oldest go first. Enough to look back, little enough to be shown.
pub const ARRIVALS_MAX: usize = 1_000;

/// Entries of the ledger. Many more than arrivals: a test that adds up what was taken must miss nothing.
pub const LEDGER_MAX_ENTRIES: usize = 100_000;

/// Idempotency keys that the gateway remembers, intents, and tokens of persons that were used. A real one forgets after a day.
pub const KEYS_MAX: usize = 50_000;

/// Characters of an idempotency key, as at the real gateway.
pub const KEY_MAX_CHARS: usize = 255;

/// How long a slow one may take: whatever waits is gone when the sandbox ends, but nobody should wait for an hour.
pub const SLOW_MAX_MS: u64 = 600_000;

/// Between two bytes of an answer that drips: whoever waits for the whole of it, waits for ever.
pub const DRIP_PAUSE: Duration = Duration::from_secs(1);

/// An answer that floods: far more than anybody keeps in memory who reads answers carefully.
pub const FLOOD_BYTES: usize = 100_000_000;

/// The piece in which it comes.
pub const FLOOD_PIECE_BYTES: usize = 64 * 1024;

/// When somebody may come again who is told 429: longer than a test waits, so that nobody can just wait for it.
pub const RETRY_AFTER_SECONDS: u32 = 60;

/// Connections open at once, each of HTTP and of SMTP; further ones stay with the kernel.
pub const CONNECTIONS_MAX: usize = 4_096;

/// After a listener failed (mostly: no file descriptor left), it is asked again after this.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A line of a conversation with the mail server; the specification allows 1,000.
pub const SMTP_LINE_MAX_BYTES: usize = 4_096;

/// A mail. The shop's have a few hundred bytes.
pub const MAIL_MAX_BYTES: usize = 1024 * 1024;

/// The addresses of one mail, as many as the specification demands.
pub const MAIL_MAX_RECIPIENTS: usize = 100;

/// How long a token is good for when nobody says.
pub const TOKEN_TTL_DEFAULT_SECONDS: i64 = 3_600;

/// Tokens are good for at most this long, or have ended at most this long ago.
pub const TOKEN_TTL_MAX_SECONDS: i64 = 30 * 24 * 3_600;

/// How much a webhook's timestamp may differ from our clock, in both directions, as its specification proposes.
pub const WEBHOOK_SKEW_MAX_SECONDS: u64 = 300;

/// A sandbox that listens is reached at once; one that is asked for longer is stuck.
pub const HEALTH_CONNECT: Duration = Duration::from_secs(4);
