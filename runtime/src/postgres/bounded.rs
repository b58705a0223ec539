//! Reads that end, also on a connection over which nothing comes any more and nobody says so. The time-outs of Postgres are
//! not heard there.

use crate::limits::READ_MAX_SECONDS;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Execute, Executor, PgPool, Postgres, SqlStr};
use std::io;
use std::ops::Deref;
use std::time::Duration;
use tokio::time::timeout;

const READ_MAX: Duration = Duration::from_secs(READ_MAX_SECONDS);

/// A pool whose reads take no longer than `READ_MAX_SECONDS`, waiting for a connection included. One that would is an error
/// that [`super::classify`] takes for a passing one, and its connection is closed.
#[derive(Debug, Clone)]
pub struct BoundedPool(PgPool);

impl From<PgPool> for BoundedPool {
    fn from(pool: PgPool) -> BoundedPool {
        BoundedPool(pool)
    }
}

impl Deref for BoundedPool {
    type Target = PgPool;

    fn deref(&self) -> &PgPool {
        &self.0
    }
}

async fn run<'q, E>(pool: PgPool, statement: E) -> Result<Vec<Either<PgQueryResult, PgRow>>, sqlx::Error>
where
    E: Execute<'q, Postgres> + 'q,
{
    let answers = pool.fetch_many(statement).try_collect();
    timeout(READ_MAX, answers).await.unwrap_or_else(|_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())))
}

impl<'p> Executor<'p> for &'p BoundedPool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, statement: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: Execute<'q, Postgres> + 'q,
    {
        let answers = run(self.0.clone(), statement);
        stream::once(answers).map_ok(|answers| stream::iter(answers).map(Ok)).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, statement: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: Execute<'q, Postgres> + 'q,
    {
        let answers = run(self.0.clone(), statement);
        Box::pin(async move { Ok(answers.await?.into_iter().find_map(Either::right)) })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        self.0.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        self.0.describe(sql)
    }
}
