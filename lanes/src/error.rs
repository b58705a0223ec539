//! What can go wrong between a process and the line.

use redis::RedisError;

/// A fault of the line. A refusal (full, gate closed, stale lease) is an answer, not an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address of Redis cannot be understood. It is not repeated, because it may hold a password.
    #[error("an address of Redis cannot be understood")]
    Address(#[source] RedisError),
    /// Redis could not be reached.
    #[error("connecting to Redis for the lanes")]
    Connect(#[source] RedisError),
    /// Redis failed or did not answer while a script ran. The script may have been executed.
    #[error("running the lanes script `{script}`")]
    Script {
        /// The script's name.
        script: &'static str,
        /// What the client library saw.
        source: RedisError,
    },
    /// Redis answered with something that no script of this version says.
    #[error("the lanes script `{script}` gave an answer that cannot be read: {answer}")]
    Answer {
        /// The script's name.
        script: &'static str,
        /// The answer, shortened.
        answer: String,
    },
    /// The archive could not say which tickets were given, so no new one may be.
    #[error("asking the archive for the highest ticket of group `{group}`")]
    Archive {
        /// The group of lanes.
        group: String,
        /// What the archive said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The archive does not want commands to be entrusted to this Redis.
    #[error("Redis was reached, but must not be used")]
    Untrusted {
        /// What the archive said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another server began behind the same address while we connected.
    #[error("Redis was started anew while it was connected to")]
    Restarted,
    /// Redis does not say whose data it has, without which replicas cannot be waited for: nobody would notice that another
    /// server has come in its place.
    #[error("asking Redis by INFO whose data it has, which waiting for replicas needs")]
    History {
        /// What the client library saw.
        source: RedisError,
    },
    /// What was written is on fewer replicas than wanted; it may reach them later.
    #[error("{reached} of {wanted} replicas confirmed in time what was written")]
    TooFewReplicas {
        /// How many must confirm.
        wanted: u32,
        /// How many did.
        reached: u32,
    },
    /// Redis could not be asked whether replicas have what was written.
    #[error("asking Redis whether its replicas have what was written")]
    Replicas {
        /// What the client library saw.
        source: RedisError,
    },
    /// The connection was lost before replicas confirmed what was written.
    #[error("the connection was lost before replicas confirmed what was written")]
    Unconfirmed,
    /// More appends come to this process than can be taken in, and those who wait wait too long already.
    #[error("more comes than can be taken in")]
    Busy,
    /// The task that sends appends has ended, because the process is shutting down.
    #[error("the line takes no more appends: this process is shutting down")]
    Closed,
    /// The same fault, told to everybody who shared the call.
    #[error(transparent)]
    Shared(std::sync::Arc<Error>),
}

impl Error {
    /// Whether the call may have been executed although it failed.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Error::Script { source, .. } => {
                source.kind() != redis::ErrorKind::Server(redis::ServerErrorKind::NoScript) && !is_refusal(source)
            }
            Error::Answer { .. } | Error::TooFewReplicas { .. } | Error::Replicas { .. } | Error::Unconfirmed => true,
            Error::Shared(inner) => inner.may_have_happened(),
            Error::Address(_)
            | Error::Connect(_)
            | Error::Archive { .. }
            | Error::Untrusted { .. }
            | Error::Restarted
            | Error::History { .. }
            | Error::Busy
            | Error::Closed => false,
        }
    }

    /// Whether too few replicas confirmed, although they could be asked.
    pub(crate) fn is_lack_of_replicas(&self) -> bool {
        match self {
            Error::TooFewReplicas { .. } => true,
            Error::Shared(inner) => inner.is_lack_of_replicas(),
            _ => false,
        }
    }

    /// Whether Redis refused because it has no memory left.
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            Error::Script { source, .. } => source.code() == Some("OOM"),
            Error::Shared(inner) => inner.is_out_of_memory(),
            _ => false,
        }
    }
}

/// An answer of the server itself that says that the script was not run. An error inside of the script (`ERR`) is none:
/// what it wrote before stays.
fn is_refusal(error: &RedisError) -> bool {
    error.code().is_some_and(|code| code != "ERR")
}
