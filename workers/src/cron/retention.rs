//! Forgetting old requests, and their idempotency keys with them. What they made (orders, wallet entries, the ledger) stays.

use std::time::{Duration, Instant};

use lanes::limits::KEY_TTL;
use sqlx::PgPool;

use crate::store::{forget_batches, forget_requests};

/// One tick ends after this; the next one goes on.
const TICK_MAX: Duration = Duration::from_secs(40);

/// The line knows a key until so long after the decision, and whoever comes with it again must find its request. The margin is
/// for an ack that came late.
const KEPT_MIN: Duration = KEY_TTL.saturating_add(Duration::from_secs(3_600));

/// Deletes what was decided longer than `retention` ago, and whose key the line has forgotten, oldest first, and answers how many
/// requests that were.
pub(super) async fn run(pool: &PgPool, retention: Duration) -> anyhow::Result<u64> {
    let retention = retention.max(KEPT_MIN);
    let (began, mut forgotten) = (Instant::now(), 0);
    while began.elapsed() < TICK_MAX {
        match forget_requests(pool, retention).await? {
            0 => break,
            requests => forgotten += requests,
        }
    }
    while began.elapsed() < TICK_MAX && forget_batches(pool, retention).await? > 0 {}
    Ok(forgotten)
}
