//! Private Postgres and Redis for demos and tests, and a Prometheus: real servers, nothing shared, nothing left.
//!
//! Every server gets a folder of its own, a unix socket and a free loopback port; it ends when it
//! is dropped, and the kernel ends it when our process is killed. All calls here block, for about
//! a second when a Postgres is made and for milliseconds otherwise.

mod account;
mod clock;
mod home;
mod install;
mod pgbouncer;
mod ports;
mod postgres;
mod process;
mod prometheus;
mod redis;
mod start;
mod tools;
mod url;
mod wait;

use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};

pub use clock::clock_off_by;
pub use install::package_program;
pub use pgbouncer::PgBouncer;
pub use ports::free_port;
pub use postgres::{Postgres, PostgresOptions, Row, Shutdown, as_role, fresh_database};
pub use process::{Launch, Process, has_ended};
pub use prometheus::{Prometheus, PrometheusTools};
pub use redis::{Redis, RedisCluster, RedisOptions, RedisSentinels, RedisUsers};
pub use wait::{try_wait_for, try_wait_for_async, wait_for, wait_for_async};

/// Tells of a test that looks at nothing on this machine, and why. It goes past the capture of a test's output, or nobody
/// would hear of it.
pub fn tell_skipped(why: impl Display) {
    // Where nobody can be told, nobody is there to hear it.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// A Postgres and a Redis.
#[derive(Debug)]
pub struct Stack {
    /// The database.
    pub postgres: Postgres,
    /// The lanes' home.
    pub redis: Redis,
}

impl Stack {
    /// Starts both, below `dir` if their data shall be kept.
    ///
    /// # Errors
    /// When one of them does not start; the other one is stopped.
    pub fn start(dir: Option<PathBuf>) -> Result<Stack> {
        let below = |name: &str| dir.as_ref().map(|dir| dir.join(name));
        let redis = Redis::start(RedisOptions { data_dir: below("redis"), ..RedisOptions::default() })
            .context("starting Redis")?;
        let postgres = Postgres::start(PostgresOptions { data_dir: below("postgres"), ..PostgresOptions::default() })
            .context("starting Postgres")?;
        Ok(Stack { postgres, redis })
    }
}
