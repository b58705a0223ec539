//! Transactions whose every wait ends: the session is closed by Postgres itself when we are stopped, starved or gone.

use super::sessions::{CLEANUP_MAX, begin_standing, is_standing};
use crate::limits::{
    CHANGE_LOCK_TIMEOUT_MS, CHANGE_STATEMENT_TIMEOUT_MS, SESSION_STATEMENT_TIMEOUT_SECONDS,
    SNAPSHOT_STATEMENT_TIMEOUT_SECONDS,
};
use futures::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Executor, PgConnection, PgPool, Postgres, raw_sql};
use std::io;
use std::ops::{Deref, DerefMut};
use std::time::Duration;
use tokio::time::timeout;

/// How long a transaction may stand still, judged by Postgres. Postgres counts in whole milliseconds, and a zero would
/// mean "for ever", so anything shorter counts as one millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// The longest one statement may run, waiting for locks included.
    pub statement: Duration,
    /// The longest one statement may wait for one lock.
    pub lock: Duration,
    /// The longest pause between two statements; then Postgres ends the session and its locks are free.
    pub idle_in_transaction: Duration,
}

impl Timeouts {
    /// A change that `api` makes, an operator's or one of a cart: it must not hold the rows of a lane for long, nor wait long behind a batch.
    pub const CHANGE: Timeouts = Timeouts {
        statement: Duration::from_millis(CHANGE_STATEMENT_TIMEOUT_MS),
        lock: Duration::from_millis(CHANGE_LOCK_TIMEOUT_MS),
        idle_in_transaction: Duration::from_millis(CHANGE_STATEMENT_TIMEOUT_MS),
    };

    /// A long read, as the audit makes: no rows are locked, so only the server's patience matters.
    pub const SNAPSHOT: Timeouts = Timeouts {
        statement: Duration::from_secs(SNAPSHOT_STATEMENT_TIMEOUT_SECONDS),
        lock: Duration::from_millis(CHANGE_LOCK_TIMEOUT_MS),
        idle_in_transaction: Duration::from_secs(SNAPSHOT_STATEMENT_TIMEOUT_SECONDS),
    };

    /// A single statement that changes something: what bounds a session bounds it, whether it works or waits.
    pub const ALONE: Timeouts = Timeouts {
        statement: Duration::from_secs(SESSION_STATEMENT_TIMEOUT_SECONDS),
        lock: Duration::from_secs(SESSION_STATEMENT_TIMEOUT_SECONDS),
        idle_in_transaction: Duration::from_secs(SESSION_STATEMENT_TIMEOUT_SECONDS),
    };

    /// A batch that holds a lease: nothing is longer than half of the lease. So a worker that is stopped in the middle
    /// of a statement and never comes back (half for the statement, half for the pause after it) has lost its session,
    /// and its row locks, by the time its lanes are given to somebody else. A lock is waited for at most a quarter, so
    /// that the statement that waited has time left for its work.
    pub fn for_lease(lease: Duration) -> Timeouts {
        Timeouts { statement: lease / 2, lock: lease / 4, idle_in_transaction: lease / 2 }
    }

    /// The settings as one statement list. `set local` ends with the transaction, so the next user of the session
    /// (another part of this process, or another process behind PgBouncer) inherits nothing.
    ///
    /// Plans are made for each execution: lists of parameters change their size from batch to batch, and a generic plan
    /// made for one size can become a sequential scan at another.
    fn begin_statements(self, isolation: &str) -> String {
        format!(
            "begin{isolation}; \
             set local statement_timeout = {}; \
             set local lock_timeout = {}; \
             set local idle_in_transaction_session_timeout = {}; \
             set local plan_cache_mode = force_custom_plan",
            whole_ms(self.statement),
            whole_ms(self.lock),
            whole_ms(self.idle_in_transaction),
        )
    }
}

/// Milliseconds as Postgres takes them: at least 1 (0 switches a time-out off), at most its 32-bit limit.
fn whole_ms(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX).max(1)
}

/// An open transaction; statements run on `&mut *transaction`. Whatever happens to it, its session ends up clean or
/// closed: dropped before the commit, cancelled in the middle of any call, or cut off from the server.
///
/// It is not sqlx's own, which is not safe to cancel while it opens: cut off between sending `begin` and reading the
/// answer, that one puts a session with an open transaction, and soon with somebody's locks, back into the pool.
/// Savepoints are not supported.
#[derive(Debug)]
#[must_use = "a transaction that is dropped rolls back"]
pub struct Transaction {
    /// `None` only after the end.
    session: Option<PoolConnection<Postgres>>,
}

/// Opens a bounded read-write transaction (READ COMMITTED) in one round trip.
///
/// # Errors
/// What [`super::classify`] can judge: no connection in time, or the server refused.
pub async fn begin(pool: &PgPool, timeouts: Timeouts) -> Result<Transaction, sqlx::Error> {
    open(pool, timeouts, "").await
}

/// Opens a bounded transaction that only reads, and sees one moment from beginning to end.
///
/// # Errors
/// As [`begin`].
pub async fn begin_snapshot(pool: &PgPool, timeouts: Timeouts) -> Result<Transaction, sqlx::Error> {
    open(pool, timeouts, " isolation level repeatable read read only").await
}

async fn open(pool: &PgPool, timeouts: Timeouts, isolation: &str) -> Result<Transaction, sqlx::Error> {
    let mut transaction = Transaction { session: Some(pool.acquire().await?) };
    let mut statements = timeouts.begin_statements(isolation);
    if is_standing(&transaction) {
        // In the same message, so that the session of the server stays ours.
        statements.insert_str(0, "rollback; ");
    }
    // The server's own time-outs begin with this answer, so until it is here only our clock counts.
    match timeout(timeouts.statement, transaction.execute(raw_sql(AssertSqlSafe(statements)))).await {
        Ok(opened) => opened.map(|_| transaction),
        Err(_) => Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())),
    }
}

/// In a failed transaction the first statement is refused, and the second is not reached.
const COMMIT: &str = "select 1; commit";
/// So many statements of [`COMMIT`] are done once it is committed.
const COMMIT_STATEMENTS: usize = 2;

impl Transaction {
    /// Commits. Only `Ok` says that it is done; after an error that is [`super::Fault::Transient`] it may or may not be.
    ///
    /// # Errors
    /// Also when an earlier statement failed and its error was overlooked: Postgres itself would answer such a
    /// commit with a silent rollback.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        let statements = self.and_stand(COMMIT);
        let mut answers = self.execute_many(raw_sql(AssertSqlSafe(statements)));
        let mut done = 0;
        let ended = loop {
            match answers.try_next().await {
                Ok(Some(_)) => done += 1,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop(answers);
        match ended {
            Err(error) if done < COMMIT_STATEMENTS => return Err(error),
            // It is committed, whatever came of the session.
            Err(_) => self.session.as_mut().expect(OPEN).close_on_drop(),
            Ok(()) => {}
        }
        self.session = None;
        Ok(())
    }

    /// Rolls back and waits until it is done. Dropping does the same in the background.
    ///
    /// # Errors
    /// When the server does not answer; the session is then closed, which rolls back, too.
    pub async fn rollback(mut self) -> Result<(), sqlx::Error> {
        let statements = self.and_stand("rollback");
        self.execute(raw_sql(AssertSqlSafe(statements))).await?;
        self.session = None;
        Ok(())
    }

    /// The statements that end the transaction, and those that leave the session as its pool expects it back.
    fn and_stand(&self, end: &str) -> String {
        if is_standing(self) { format!("{end}; {}", begin_standing()) } else { end.to_owned() }
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.session.as_ref().expect(OPEN)
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.session.as_mut().expect(OPEN)
    }
}

/// Why the session is there: `commit` and `rollback` alone take it out, and they consume the transaction.
const OPEN: &str = "a transaction has its session until it ends";

impl Drop for Transaction {
    fn drop(&mut self) {
        match self.session.take() {
            // Its pool rolls back, once it is there again.
            Some(session) if is_standing(&session) => drop(session),
            Some(session) => drop(tokio::spawn(clean(session))),
            None => {}
        }
    }
}

/// Gives the session back without its transaction, or closes it. What was on its way when the transaction was dropped
/// is waited for first; a server that cannot be reached must not keep a place of the pool occupied.
async fn clean(mut session: PoolConnection<Postgres>) {
    let rolled_back = timeout(CLEANUP_MAX, session.execute(raw_sql("rollback"))).await;
    if !matches!(rolled_back, Ok(Ok(_))) {
        session.close_on_drop();
    }
}
