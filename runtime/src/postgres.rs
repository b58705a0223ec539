//! Postgres: the pool, transactions that cannot last for ever, the schema, and what an error means for a batch.

mod fault;
mod schema;
mod transaction;

pub use fault::{Fault, classify, violated_unique_constraint};
pub use schema::{SchemaError, SchemaState, grant_rights, migrate, migrate_within, schema_is_current, schema_state};
pub use transaction::{Timeouts, Transaction, begin, begin_snapshot};

use crate::limits::{
    POOL_ACQUIRE_TIMEOUT_SECONDS, POOL_IDLE_TIMEOUT_SECONDS, POOL_LIFETIME_SECONDS, POOL_REST_BEFORE_PING_SECONDS,
    SESSION_CLEANUP_MAX_SECONDS, SESSION_STATEMENT_TIMEOUT_SECONDS, STATEMENT_CACHE_STATEMENTS,
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, Executor, PgPool};
use std::str::FromStr;
use std::time::Duration;

/// What an address of Postgres begins with. The driver takes any scheme for it, and would look for Postgres where another
/// database is.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// `DATABASE_URL` cannot be read. The address itself is not repeated: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error(
    "DATABASE_URL cannot be read: expected postgres://user@host/database or postgres:///database?host=/socket/folder"
)]
pub struct DatabaseUrlError(#[source] Option<sqlx::Error>);

/// A pool that opens its first connection when it is first used, so that a process can start while Postgres is away.
///
/// `application_name` is what operators see in `pg_stat_activity`. Must be called inside a Tokio runtime.
/// Statements outside a transaction of [`begin`] are bounded by `SESSION_STATEMENT_TIMEOUT_SECONDS`.
///
/// # Errors
/// When the address is none of Postgres, or cannot be parsed; reaching the server is not tried here.
pub fn pool(url: &str, max_connections: u32, application_name: &str) -> Result<PgPool, DatabaseUrlError> {
    if !SCHEMES.iter().any(|scheme| url.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))) {
        return Err(DatabaseUrlError(None));
    }
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| DatabaseUrlError(Some(error)))?
        .application_name(application_name)
        .statement_cache_capacity(STATEMENT_CACHE_STATEMENTS)
        // The shop has no floats, and PgBouncer refuses clients that ask for this setting.
        .extra_float_digits(None);
    Ok(PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(POOL_ACQUIRE_TIMEOUT_SECONDS))
        .idle_timeout(Duration::from_secs(POOL_IDLE_TIMEOUT_SECONDS))
        .max_lifetime(Duration::from_secs(POOL_LIFETIME_SECONDS))
        .test_before_acquire(false)
        .before_acquire(|connection, rest| {
            Box::pin(async move {
                if rest.idle_for >= Duration::from_secs(POOL_REST_BEFORE_PING_SECONDS) {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_release(|connection, _| {
            Box::pin(async move {
                // A caller that gave up may have left an answer on its way. Without a bound, sqlx would wait for it
                // on a network that swallows everything, for as long as the kernel tries, and so lose the place.
                let limit = Duration::from_secs(SESSION_CLEANUP_MAX_SECONDS);
                Ok(matches!(tokio::time::timeout(limit, connection.flush()).await, Ok(Ok(()))))
            })
        })
        .after_connect(|connection, _| {
            Box::pin(async move {
                let bound_session = format!(
                    "set statement_timeout = '{SESSION_STATEMENT_TIMEOUT_SECONDS}s'; \
                     set idle_in_transaction_session_timeout = '{SESSION_STATEMENT_TIMEOUT_SECONDS}s'"
                );
                connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(bound_session))).await?;
                Ok(())
            })
        })
        .connect_lazy_with(options))
}
