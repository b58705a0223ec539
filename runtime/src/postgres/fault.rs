//! What an error of Postgres means for the work that met it.

use sqlx::Error;
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};
use std::borrow::Cow;

/// The kinds of error that callers treat differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The server, the network or a neighbour is at fault: the same work can succeed later, unchanged.
    Transient,
    /// A time-out of the transaction ended it: the same work can succeed later, or in smaller pieces.
    TimedOut,
    /// The values themselves are refused, or a stored row cannot be read: trying the same again cannot help.
    Data,
    /// Neither: the statement, the schema or the permissions are wrong. Somebody must look.
    Other,
}

impl Fault {
    /// All of them, for tables and metric series.
    pub const ALL: [Fault; 4] = [Fault::Transient, Fault::TimedOut, Fault::Data, Fault::Other];

    /// The name that metrics and logs use.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::Transient => "transient",
            Fault::TimedOut => "timed_out",
            Fault::Data => "data",
            Fault::Other => "other",
        }
    }
}

/// Judges an error. Whoever meets it decides what to do: wait, halve, or set the command aside.
pub fn classify(error: &Error) -> Fault {
    match error {
        Error::Database(refusal) if is_end_of_session(&**refusal) => Fault::Transient,
        Error::Database(refusal) => refusal.code().map_or(Fault::Other, by_sqlstate),
        // A connection that speaks nonsense or is gone says nothing about the work.
        Error::Io(_)
        | Error::Tls(_)
        | Error::Protocol(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed
        | Error::BeginFailed => Fault::Transient,
        Error::Encode(_) | Error::Decode(_) | Error::ColumnDecode { .. } => Fault::Data,
        _ => Fault::Other,
    }
}

/// Whether Postgres ended the session for a reason of its own that has no code but "internal error", as when it finds no room
/// to write down what it needs for a new session. The next one may be well.
fn is_end_of_session(refusal: &dyn DatabaseError) -> bool {
    let is_fatal = |refusal: &PgDatabaseError| matches!(refusal.severity(), PgSeverity::Fatal | PgSeverity::Panic);
    refusal.code().as_deref() == Some("XX000") && refusal.try_downcast_ref::<PgDatabaseError>().is_some_and(is_fatal)
}

fn by_sqlstate(code: Cow<'_, str>) -> Fault {
    match &*code {
        // query_canceled (statement_timeout), lock_not_available, idle_in_transaction_session_timeout
        "57014" | "55P03" | "25P03" => Fault::TimedOut,
        // A primary that became a standby refuses writes until the address leads to the new primary.
        "25006" => Fault::Transient,
        // 08 connection, 40 rollback (serialization, deadlock), 53 resources, 57 operator, 58 system
        code => match code.get(..2) {
            Some("08" | "40" | "53" | "57" | "58") => Fault::Transient,
            Some("22" | "23") => Fault::Data,
            _ => Fault::Other,
        },
    }
}

/// The unique constraint or index that refused a row (SQLSTATE 23505), if that is what the error says. So the caller
/// can tell a repeated idempotency key from a broken invariant.
pub fn violated_unique_constraint(error: &Error) -> Option<&str> {
    let refusal = error.as_database_error()?;
    (refusal.code().as_deref() == Some("23505")).then(|| refusal.constraint()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn check(error: Error, expected: Fault) {
        assert_eq!(classify(&error), expected, "{error:?}");
    }

    // What Postgres itself answers is tried with a real one, in the integration tests.
    #[test]
    fn errors_that_do_not_come_from_the_server() {
        check(Error::Io(io::ErrorKind::ConnectionRefused.into()), Fault::Transient);
        check(Error::Io(io::ErrorKind::UnexpectedEof.into()), Fault::Transient);
        check(Error::Tls("handshake".into()), Fault::Transient);
        check(Error::Protocol("nonsense".to_owned()), Fault::Transient);
        check(Error::PoolTimedOut, Fault::Transient);
        check(Error::PoolClosed, Fault::Transient);
        check(Error::WorkerCrashed, Fault::Transient);
        check(Error::BeginFailed, Fault::Transient);
        check(Error::Decode("not a number".into()), Fault::Data);
        check(Error::Encode("too long".into()), Fault::Data);
        check(Error::RowNotFound, Fault::Other);
        check(Error::ColumnNotFound("stock".to_owned()), Fault::Other);
        check(Error::Configuration("address".into()), Fault::Other);
    }
}
