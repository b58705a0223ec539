//! One statement that changes something, in a transaction of its own.

use super::{Timeouts, begin};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Execute, Executor, PgPool, Postgres, SqlStr};

/// A pool for one statement that changes something, as in `sqlx::query(…).execute(alone(&pool))`. What it answers is given
/// when it is committed. An error may also come from the commit; then it may have happened, or not.
#[derive(Debug, Clone, Copy)]
pub struct Alone<'p>(&'p PgPool);

/// Statements on the pool itself only read: where each session is lent by a pooler, another way would be refused.
pub fn alone(pool: &PgPool) -> Alone<'_> {
    Alone(pool)
}

impl Alone<'_> {
    async fn run<'q, E>(self, statement: E) -> Result<Vec<Either<PgQueryResult, PgRow>>, sqlx::Error>
    where
        E: Execute<'q, Postgres> + 'q,
    {
        let mut transaction = begin(self.0, Timeouts::ALONE).await?;
        let answers = transaction.fetch_many(statement).try_collect().await?;
        transaction.commit().await?;
        Ok(answers)
    }
}

impl<'p> Executor<'p> for Alone<'p> {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, statement: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: Execute<'q, Postgres> + 'q,
    {
        stream::once(self.run(statement)).map_ok(|answers| stream::iter(answers).map(Ok)).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, statement: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: Execute<'q, Postgres> + 'q,
    {
        Box::pin(async move { Ok(self.run(statement).await?.into_iter().find_map(Either::right)) })
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
