//! Marking wallet entries whose time has passed.

use std::time::{Duration, Instant};

use runtime::metrics;
use sqlx::PgPool;

use crate::store::expire_entries;

/// One tick ends after this; the next one goes on.
const TICK_MAX: Duration = Duration::from_secs(8);

/// Marks what is due, soonest first, until nothing is left or the tick is over.
pub(super) async fn run(pool: &PgPool) -> anyhow::Result<()> {
    let began = Instant::now();
    while began.elapsed() < TICK_MAX {
        match expire_entries(pool).await? {
            0 => break,
            marked => metrics::coupons_expired().increment(marked),
        }
    }
    Ok(())
}
