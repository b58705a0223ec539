//! Named places where a process may die. In a build with the feature `fault-points` a test arms one by a file, and
//! whoever comes by next takes the file and does what it says; in any other build this is nothing.
//!
//! The same build knows a few mistakes, which are made when they are asked for: a bench that does not see them is blind.

/// A place in the life of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Appended; the client does not know.
    AfterAppend,
    /// Claimed; no statement sent.
    BeforeTransaction,
    /// The rows of the lanes are locked.
    HoldingLocks,
    /// Everything is written.
    BeforeCommit,
    /// Committed; the line does not know.
    AfterCommit,
    /// The charge is noted; the gateway was not asked.
    BeforeGateway,
    /// The gateway has answered; nobody has noted what.
    AfterGateway,
}

impl Point {
    /// Those of a batch.
    pub const OF_A_BATCH: [Point; 4] =
        [Point::BeforeTransaction, Point::HoldingLocks, Point::BeforeCommit, Point::AfterCommit];

    /// Those of a charge.
    pub const OF_A_CHARGE: [Point; 2] = [Point::BeforeGateway, Point::AfterGateway];

    /// The name of the file that arms it.
    pub fn as_str(self) -> &'static str {
        match self {
            Point::AfterAppend => "after_append",
            Point::BeforeTransaction => "before_transaction",
            Point::HoldingLocks => "holding_locks",
            Point::BeforeCommit => "before_commit",
            Point::AfterCommit => "after_commit",
            Point::BeforeGateway => "before_gateway",
            Point::AfterGateway => "after_gateway",
        }
    }
}

/// The folder in which points are armed.
pub const FOLDER_VARIABLE: &str = "DROPLANE_FAULT_POINTS";

/// Somebody is here.
#[cfg(not(feature = "fault-points"))]
pub fn reached(_: Point) {}

/// Somebody is here. The file `<folder>/<point>` holds `KILL` or `STOP`, which the process sends itself, or `panic`.
///
/// The signal is raised on the very thread that is here, so that it takes not one step further: sent to the process, it
/// may reach another thread first while this one goes on for a moment, long enough to commit.
///
/// # Panics
/// When the file says so.
#[cfg(feature = "fault-points")]
#[expect(clippy::disallowed_methods, reason = "a test arms it from outside; it is no setting")]
pub fn reached(point: Point) {
    use std::sync::LazyLock;

    use signal_hook::{
        consts::{SIGKILL, SIGSTOP},
        low_level::raise,
    };
    static FOLDER: LazyLock<Option<std::path::PathBuf>> =
        LazyLock::new(|| std::env::var_os(FOLDER_VARIABLE).map(Into::into));
    let Some(folder) = &*FOLDER else { return };
    let (armed, taken) = (folder.join(point.as_str()), folder.join(format!("{}.taken", point.as_str())));
    // Only one of all processes can take the file.
    if std::fs::rename(&armed, &taken).is_err() {
        return;
    }
    let what = std::fs::read_to_string(&taken).unwrap_or_default();
    assert!(what.trim() != "panic", "the fault point {} panics", point.as_str());
    let signal = match what.trim() {
        "KILL" => SIGKILL,
        "STOP" => SIGSTOP,
        other => panic!("a fault point knows no `{other}`"),
    };
    let raised = raise(signal);
    assert!(raised.is_ok(), "raising {what}: {raised:?}");
}

/// A mistake that can be made on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A batch that somebody else has overtaken is decided all the same.
    NoFence,
    /// The line is told of a batch before it is committed.
    AckBeforeCommit,
    /// Whoever is tried again stands behind those who came later.
    RetryToTheTail,
    /// Keys are not looked at.
    NoIdempotency,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 4] = [Bug::NoFence, Bug::AckBeforeCommit, Bug::RetryToTheTail, Bug::NoIdempotency];

    /// Its name in [`BUG_VARIABLE`].
    pub fn as_str(self) -> &'static str {
        match self {
            Bug::NoFence => "no-fence",
            Bug::AckBeforeCommit => "ack-before-commit",
            Bug::RetryToTheTail => "retry-to-the-tail",
            Bug::NoIdempotency => "no-idempotency",
        }
    }

    /// Whether it is to be made.
    #[cfg(not(feature = "fault-points"))]
    pub fn is_made(self) -> bool {
        false
    }

    /// Whether it is to be made: whether the variable names it.
    #[cfg(feature = "fault-points")]
    #[expect(clippy::disallowed_methods, reason = "a test asks for it from outside; it is no setting")]
    pub fn is_made(self) -> bool {
        static ASKED_FOR: std::sync::LazyLock<Option<std::ffi::OsString>> =
            std::sync::LazyLock::new(|| std::env::var_os(BUG_VARIABLE));
        ASKED_FOR.as_deref().is_some_and(|name| name == self.as_str())
    }
}

/// The mistake that is asked for.
pub const BUG_VARIABLE: &str = "DROPLANE_BUG";
