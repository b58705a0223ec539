//! What the sessions of a pool go through when they are opened, lent and given back: those that are the server's own, and
//! those that a pooler lends for one transaction at a time.

use crate::limits::{POOL_REST_BEFORE_PING_SECONDS, SESSION_CLEANUP_MAX_SECONDS, SESSION_STATEMENT_TIMEOUT_SECONDS};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, raw_sql};
use std::mem::ManuallyDrop;
use std::time::Duration;
use tokio::time::timeout;

/// A session that comes back may take so long to become usable; then it is closed. Without a bound, sqlx would wait for
/// it on a network that swallows everything, for as long as the kernel tries, and so lose the place.
pub(super) const CLEANUP_MAX: Duration = Duration::from_secs(SESSION_CLEANUP_MAX_SECONDS);

/// Sessions that stay what they are between two statements.
pub(super) fn lasting(options: PgPoolOptions) -> PgPoolOptions {
    options
        .before_acquire(|session, rest| {
            Box::pin(async move {
                if rest.idle_for >= Duration::from_secs(POOL_REST_BEFORE_PING_SECONDS) {
                    session.ping().await?;
                }
                Ok(true)
            })
        })
        .after_release(|session, _| {
            // A caller that gave up may have left an answer on its way.
            Box::pin(async move { Ok(matches!(timeout(CLEANUP_MAX, session.flush()).await, Ok(Ok(())))) })
        })
        .after_connect(|session, _| {
            Box::pin(async move {
                let bound_session = format!(
                    "set statement_timeout = '{SESSION_STATEMENT_TIMEOUT_SECONDS}s'; \
                     set idle_in_transaction_session_timeout = '{SESSION_STATEMENT_TIMEOUT_SECONDS}s'"
                );
                session.execute(raw_sql(AssertSqlSafe(bound_session))).await?;
                Ok(())
            })
        })
}

/// Sessions that may be others after each transaction. One that is lent to a caller is always inside a transaction that only
/// reads, so that the pooler leaves it with one session of the server, where the statements are that it prepares; and
/// [`is_standing`] says so of it.
pub(super) fn standing(options: PgPoolOptions) -> PgPoolOptions {
    options
        .before_acquire(|session, _| {
            Box::pin(async move {
                session.execute(raw_sql(AssertSqlSafe(begin_standing()))).await?;
                Ok(true)
            })
        })
        .after_release(|session, _| {
            Box::pin(async move {
                let ended = timeout(CLEANUP_MAX, session.execute(raw_sql("rollback"))).await;
                Ok(matches!(ended, Ok(Ok(_))))
            })
        })
        .after_connect(|session, _| Box::pin(mark_as_standing(session)))
}

/// Begins the transaction that callers find. A session of the server brings along what others have prepared on it, under
/// the same names as ours (sqlx counts from 1 on each connection); nobody needs it any more.
pub(super) fn begin_standing() -> String {
    format!(
        "begin read only; \
         deallocate all; \
         set local statement_timeout = '{SESSION_STATEMENT_TIMEOUT_SECONDS}s'; \
         set local idle_in_transaction_session_timeout = '{SESSION_STATEMENT_TIMEOUT_SECONDS}s'"
    )
}

/// sqlx counts the transactions of a session that it has begun. This one is never ended by it, so the count says for as long
/// as the session lives that whoever has it is inside a transaction.
#[expect(clippy::disallowed_methods, reason = "it has time-outs")]
async fn mark_as_standing(session: &mut PgConnection) -> Result<(), sqlx::Error> {
    let _counted = ManuallyDrop::new(session.begin_with(AssertSqlSafe(begin_standing())).await?);
    Ok(())
}

/// Whether the session, which is lent, is one of [`standing`].
pub(super) fn is_standing(session: &PgConnection) -> bool {
    session.is_in_transaction()
}
