//! The parts of this crate together with real servers and real processes.

mod admin_listener;
mod archive;
mod lifecycle;
mod postgres_commit;
mod postgres_fault;
mod postgres_pooler;
mod postgres_schema;
mod postgres_session;
mod redis_durability;

use std::time::Duration;

/// How long a test waits for what must happen at once, on a machine that may be busy.
const SOON: Duration = Duration::from_secs(20);
