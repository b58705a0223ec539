//! The schema: applying the migrations, and knowing whether they are there.

use super::{BoundedPool, Fault, classify};
use crate::limits::{MIGRATION_LOCK_TIMEOUT_SECONDS, MIGRATION_WAIT_MAX_SECONDS};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// What the role that runs the programs may do; `:role` stands for its name.
const RIGHTS: &str = include_str!("rights.sql");

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Postgres cannot be reached, or refuses us.
    #[error("cannot connect to Postgres to apply the migrations")]
    Connect(#[source] sqlx::Error),
    /// Somebody else held a lock that was needed, for all the time that a migration may wait.
    #[error(
        "the migrations were not applied: for {waited:?} another session held a lock that they need \
         (another migration, or a long transaction; see pg_stat_activity)"
    )]
    Locked {
        /// How long it was tried.
        waited: Duration,
        /// The last refusal.
        source: MigrateError,
    },
    /// A migration that this database already has differs from the one in this program.
    #[error("migration {0} was changed after it had been applied; restore its file and add a new one instead")]
    Changed(i64),
    /// A migration failed; its transaction was rolled back.
    #[error("applying the migrations failed")]
    Failed(#[source] MigrateError),
    /// The rights of a role could not be set, and are as they were.
    #[error("granting rights to the role {role} failed")]
    Grant {
        /// The role.
        role: String,
        /// What Postgres said.
        source: sqlx::Error,
    },
}

/// How the database's schema compares with the one this program was built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// Every migration is there. There may be newer ones: during a rollout old and new programs run side by side.
    Current,
    /// These versions are missing (all of them in an empty database).
    Behind(Vec<i64>),
    /// These versions are there, but were made by another text.
    Changed(Vec<i64>),
}

impl std::fmt::Display for SchemaState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SchemaState::Current => f.write_str("the schema is current"),
            SchemaState::Behind(missing) => {
                write!(f, "migrations {missing:?} are missing; `api migrate` applies them")
            }
            SchemaState::Changed(changed) => {
                write!(f, "migrations {changed:?} differ from those this program was built with")
            }
        }
    }
}

/// Applies the migrations that are missing. Several processes may do it at once; one works, the others wait.
///
/// It uses a connection of its own: the time-out and the advisory lock of a migration must not come back to the pool.
/// Migrations that this program does not know (a newer one is being rolled out, or was rolled back) are left alone.
///
/// # Errors
/// See [`SchemaError`]. What was applied before the failing migration stays applied.
pub async fn migrate(pool: &PgPool) -> Result<(), SchemaError> {
    migrate_within(
        pool,
        Duration::from_secs(MIGRATION_LOCK_TIMEOUT_SECONDS),
        Duration::from_secs(MIGRATION_WAIT_MAX_SECONDS),
    )
    .await
}

/// [`migrate`] with other limits: how long to wait for one lock at a time, and how long to try again.
///
/// # Errors
/// As [`migrate`].
pub async fn migrate_within(pool: &PgPool, lock_timeout: Duration, wait_max: Duration) -> Result<(), SchemaError> {
    let started = Instant::now();
    loop {
        match attempt(pool, lock_timeout).await? {
            Attempt::Applied => return Ok(()),
            Attempt::Locked(source) if started.elapsed() >= wait_max => {
                return Err(SchemaError::Locked { waited: wait_max, source });
            }
            Attempt::Locked(_) => tracing::info!("the migrations wait for a lock that another session holds"),
        }
    }
}

/// Gives a role that is not the owner of the tables exactly the rights that running the programs needs, and takes all others
/// on tables and sequences from it. After every migration, because a new table is nobody's but the owner's.
///
/// # Errors
/// [`SchemaError::Grant`], above all when there is no such role, or we do not own the tables.
pub async fn grant_rights(pool: &PgPool, role: &str) -> Result<(), SchemaError> {
    let identifier = format!("\"{}\"", role.replace('"', "\"\""));
    // Sent as one text, so Postgres makes one transaction of it.
    let rights = sqlx::raw_sql(AssertSqlSafe(RIGHTS.replace(":role", &identifier)));
    pool.execute(rights).await.map_err(|source| SchemaError::Grant { role: role.to_owned(), source })?;
    Ok(())
}

enum Attempt {
    Applied,
    Locked(MigrateError),
}

async fn attempt(pool: &PgPool, lock_timeout: Duration) -> Result<Attempt, SchemaError> {
    let mut connection = PgConnection::connect_with(&pool.connect_options()).await.map_err(SchemaError::Connect)?;
    let bound = format!("set lock_timeout = {}", lock_timeout.as_millis().max(1));
    connection.execute(AssertSqlSafe(bound)).await.map_err(SchemaError::Connect)?;
    let applied = known_migrations().run_direct(None, &mut connection, false).await;
    // Also when it failed: the end of the session is what frees the advisory lock.
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "the connection of the migrations did not close cleanly");
    }
    match applied {
        Ok(()) => Ok(Attempt::Applied),
        Err(MigrateError::VersionMismatch(version)) => Err(SchemaError::Changed(version)),
        Err(error) if timed_out(&error) => Ok(Attempt::Locked(error)),
        Err(error) => Err(SchemaError::Failed(error)),
    }
}

fn timed_out(error: &MigrateError) -> bool {
    match error {
        MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) => classify(cause) == Fault::TimedOut,
        _ => false,
    }
}

fn known_migrations() -> Migrator {
    let mut migrator = Migrator { migrations: MIGRATIONS.migrations.clone(), ..Migrator::DEFAULT };
    migrator.set_ignore_missing(true);
    migrator
}

/// Compares the database with this program. An empty database is [`SchemaState::Behind`], not an error.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn schema_state(pool: &PgPool) -> Result<SchemaState, sqlx::Error> {
    let pool = &BoundedPool::from(pool.clone());
    let has_any: bool =
        sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null").fetch_one(pool).await?;
    let applied: BTreeMap<i64, Vec<u8>> = if has_any {
        sqlx::query_as("select version, checksum from _sqlx_migrations where success")
            .fetch_all(pool)
            .await?
            .into_iter()
            .collect()
    } else {
        BTreeMap::new()
    };
    let missing: Vec<i64> =
        MIGRATIONS.iter().filter(|known| !applied.contains_key(&known.version)).map(|known| known.version).collect();
    if !missing.is_empty() {
        return Ok(SchemaState::Behind(missing));
    }
    let changed: Vec<i64> = MIGRATIONS
        .iter()
        .filter(|known| applied.get(&known.version).is_some_and(|sum| **sum != *known.checksum))
        .map(|known| known.version)
        .collect();
    Ok(if changed.is_empty() { SchemaState::Current } else { SchemaState::Changed(changed) })
}

/// Whether every migration of this program is in the database, unchanged.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn schema_is_current(pool: &PgPool) -> Result<bool, sqlx::Error> {
    Ok(schema_state(pool).await? == SchemaState::Current)
}
