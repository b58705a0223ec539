//! Lines of commands on Redis, in order of arrival, one line per resource.
//!
//! A **lane** is the line of one resource. A command stands in the lane of every resource that it touches, and is
//! *ready* when it is first in all of them. A worker **claims** a batch of ready commands (and of those that become
//! ready once these are gone), does them in order, and **acks** the batch; until then the lanes are untouched, so that
//! a crash repeats the head of a line but never loses or reorders it. See the crate's README for the protocol.
//!
//! Nothing here knows what a command does: it is an id, a list of lanes and some bytes.

mod ack;
mod append;
mod backend;
mod claim;
mod depth;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod history;
mod keys;
pub mod limits;
mod link;
mod listen;
mod pause;
mod pressure;
mod reached;
mod release;
mod replicas;
mod routed;
mod script;
mod seed;
mod servers;
mod status;

pub use ack::{Acked, Decided};
pub use append::{Append, Appended, Appender, IdempotencyKey, Quota};
pub use backend::{AckLayer, AckService, BackendError, BatchEnd, LaneBackend, LaneBackendOptions, Observer};
pub use claim::{Batch, Claim, ClaimLimits, Entry};
pub use depth::Depth;
pub use error::Error;
pub use gate::Gate;
pub use keys::{Group, InvalidName, Lane, QuotaName};
pub use link::{Archive, ArchiveError, Floor, Link};
pub use listen::{Decision, listen_decided, listen_wake};
pub use pressure::TurnedAway;
pub use reached::{Reached, Server};
pub use release::Release;
pub use routed::RoutedConnection;
pub use script::{SCRIPTS, ScriptObserver};
pub use seed::Seeded;
pub use servers::Servers;
pub use status::Status;

use std::sync::Arc;

/// How many commands may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineLimits {
    /// Commands without an outcome in the whole group.
    pub depth_max: u64,
    /// Commands in one lane; half of the group's, so that one resource cannot take the whole line.
    pub lane_depth_max: u64,
}

impl LineLimits {
    /// The limits for a group of at most `depth_max` waiting commands.
    pub fn new(depth_max: u64) -> Self {
        Self { depth_max, lane_depth_max: (depth_max / 2).max(1) }
    }
}

/// The lanes of one group, on one Redis. Cheap to clone.
///
/// Every method is one script call, so it happens whole or not at all. A method that fails may have happened
/// ([`Error::may_have_happened`]); each can be repeated without harm.
#[derive(Debug, Clone)]
pub struct Lanes {
    link: Link,
    group: Group,
    prefix: Arc<str>,
    limits: LineLimits,
}

impl Lanes {
    /// A handle on a group. Nothing is sent until the first call.
    pub fn new(link: Link, group: Group, limits: LineLimits) -> Self {
        let prefix = group.prefix().into();
        Self { link, group, prefix, limits }
    }

    /// The group whose lanes these are.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// The connection that this handle shares.
    pub fn link(&self) -> &Link {
        &self.link
    }
}

/// The README's example must compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
