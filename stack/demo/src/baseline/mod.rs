//! What the shop is compared with: the same shop written the usual way. One transaction for each request, the rows that
//! it changes locked with `select … for update`, over the same tables; the statements stand beside this file.
//!
//! It is driven directly: without HTTP, and without a record of the request (so it knows no idempotency key and proves no
//! order of arrival), both of which the shop has to pay for. What is left out here is to the advantage of the usual way.

mod claim;
mod disk;
mod order;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sqlx::PgConnection;
use tokio::task::JoinSet;

use crate::checks::connect;
use crate::load::per_second;

pub use claim::Claims;
pub use disk::{CommitLatency, commit_latency};
pub use order::Orders;

/// Connections that work at once: more make a hot row slower, fewer leave a cold one idle.
pub const CONNECTIONS: usize = 16;

/// A kind of request, served the usual way.
pub trait UsualWay: Send + Sync + 'static {
    /// Serves request `number`, from the begin of its transaction to its commit. True: it was done; false: refused.
    ///
    /// # Errors
    /// When Postgres fails.
    fn serve(&self, connection: &mut PgConnection, number: u64) -> impl Future<Output = Result<bool>> + Send;
}

/// Serves requests for so long over [`CONNECTIONS`] connections, and gives how many were committed a second.
///
/// # Errors
/// When one fails or is refused: what is compared are requests that are done.
pub async fn measure(url: &str, way: impl UsualWay, during: Duration) -> Result<f64> {
    let way = Arc::new(way);
    let numbers = Arc::new(AtomicU64::new(0));
    let mut connections = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        connections.push(connect(url).await?);
    }
    let began = Instant::now();
    let mut working = JoinSet::new();
    for mut connection in connections {
        let (way, numbers) = (Arc::clone(&way), Arc::clone(&numbers));
        working.spawn(async move {
            let mut done = 0u64;
            while began.elapsed() < during {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                ensure!(way.serve(&mut connection, number).await?, "request {number} of the baseline was refused");
                done += 1;
            }
            Ok(done)
        });
    }
    let mut done = 0;
    while let Some(ended) = working.join_next().await {
        done += ended.context("a connection of the baseline did not come to an end")??;
    }
    Ok(per_second(done, began.elapsed()))
}
