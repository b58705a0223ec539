//! The archive of decided commands, as the lanes ask it: Postgres knows which tickets were given, even when Redis has
//! lost its data.

use crate::postgres::BoundedPool;
use futures::future::BoxFuture;
use lanes::{Archive, ArchiveError, Floor, Group};
use sqlx::PgPool;

/// The archive in the shop's database.
#[derive(Debug, Clone)]
pub struct PostgresArchive {
    pool: BoundedPool,
}

impl PostgresArchive {
    /// An archive that asks over this pool.
    pub fn new(pool: PgPool) -> Self {
        PostgresArchive { pool: pool.into() }
    }

    async fn ask(&self, group: &Group) -> Result<Floor, ArchiveError> {
        let (highest_ticket, paused): (i64, Vec<String>) = sqlx::query_as(
            "select -- retention never removes the newest batches of a group, so this is the highest ticket ever decided
                    coalesce((select max(last_ticket) from batches where lane_group = $1), 0),
                    array(select lane from paused_lanes where lane_group = $1)",
        )
        .bind(group.as_str())
        .fetch_one(&self.pool)
        .await?;
        Ok(Floor { highest_ticket: u64::try_from(highest_ticket)?, paused })
    }
}

impl Archive for PostgresArchive {
    fn floor<'a>(&'a self, group: &'a Group) -> BoxFuture<'a, Result<Floor, ArchiveError>> {
        Box::pin(self.ask(group))
    }
}
