//! Postgres: the pool, transactions that cannot last for ever, the schema, and what an error means for a batch.

mod alone;
mod bounded;
mod fault;
mod schema;
mod sessions;
mod transaction;

pub use alone::{Alone, alone};
pub use bounded::BoundedPool;
pub use fault::{Fault, classify, violated_unique_constraint};
pub use schema::{SchemaError, SchemaState, grant_rights, migrate, migrate_within, schema_is_current, schema_state};
pub use transaction::{Timeouts, Transaction, begin, begin_snapshot};

use crate::config::DatabasePooler;
use crate::limits::{
    POOL_ACQUIRE_TIMEOUT_SECONDS, POOL_IDLE_TIMEOUT_SECONDS, POOL_LIFETIME_SECONDS, STATEMENT_CACHE_STATEMENTS,
};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
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
    pool_behind(DatabasePooler::None, url, max_connections, application_name)
}

/// [`pool`], with something in between. Behind a pooler of transactions the pool itself only reads: a statement that changes
/// something goes through [`begin`] or [`alone`].
///
/// # Errors
/// As [`pool`].
pub fn pool_behind(
    pooler: DatabasePooler,
    url: &str,
    max_connections: u32,
    application_name: &str,
) -> Result<PgPool, DatabaseUrlError> {
    if !SCHEMES.iter().any(|scheme| url.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))) {
        return Err(DatabaseUrlError(None));
    }
    let server = PgConnectOptions::from_str(url)
        .map_err(|error| DatabaseUrlError(Some(error)))?
        .application_name(application_name)
        // The shop has no floats, and PgBouncer refuses clients that ask for this setting.
        .extra_float_digits(None);
    let options = PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(POOL_ACQUIRE_TIMEOUT_SECONDS))
        .idle_timeout(Duration::from_secs(POOL_IDLE_TIMEOUT_SECONDS))
        .max_lifetime(Duration::from_secs(POOL_LIFETIME_SECONDS))
        .test_before_acquire(false);
    Ok(match pooler {
        DatabasePooler::None => {
            sessions::lasting(options).connect_lazy_with(server.statement_cache_capacity(STATEMENT_CACHE_STATEMENTS))
        }
        // What was prepared on one session of the server is not there on the next one.
        DatabasePooler::Transaction => {
            sessions::standing(options).connect_lazy_with(server.statement_cache_capacity(0))
        }
    })
}
