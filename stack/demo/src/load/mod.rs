//! The load: many shoppers, each with one connection, who send commands and learn what comes of them.
//!
//! It shares the machine with what it measures, so it must be cheap: requests are written beforehand, a connection is
//! used without a pool, of an answer only the needed members are read.

mod connection;
mod document;
mod histogram;
mod letter;
mod pace;
#[cfg(test)]
mod scripted;
mod shopper;
mod tally;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use tokio::task::JoinSet;

pub use connection::{Answer, Connection, Lost};
pub use document::{Code, Document, Outcome, code_of};
pub use histogram::Histogram;
pub use letter::{Door, Header, Letter};
pub use pace::Pace;
pub use tally::{STEP_MS, Steps, Tally, per_second};

/// Connections that are being opened at once: the listen backlog of an ordinary kernel is short.
const OPENING_MAX_CONNECTIONS: usize = 64;

/// Files that this process has open besides connections; generous.
const OTHER_FILES: u64 = 256;

/// How a shopper learns the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learn {
    /// `GET /api/requests/{id}?wait=30` after the 202: two requests.
    ByAsking,
    /// `Prefer: wait` with the command: one request.
    ByWaiting,
    /// `GET /api/requests/{id}` again and again, as often as the API says.
    ByPolling,
    /// Not at all: somebody else looks whether everything was decided.
    Never,
}

/// What to send, and how.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where to.
    pub door: Door,
    /// The commands, in the order in which they are sent.
    pub commands: Arc<[Letter]>,
    /// When.
    pub pace: Pace,
    /// Shoppers who are there at once, each with a connection.
    pub connections: usize,
    /// How they learn the outcome.
    pub learn: Learn,
    /// Whether the tally keeps what every shopper was told.
    pub keep_told: bool,
    /// How long a shopper tries to learn an outcome before giving up on it.
    pub patience: Duration,
}

/// What the shoppers of one load share.
struct Floor {
    load: Load,
    started: Instant,
    next: AtomicUsize,
    tally: Mutex<Tally>,
    bar: ProgressBar,
}

impl Floor {
    /// The next command in line, with its number.
    fn next(&self) -> Option<(usize, &Letter)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Some((number, self.load.commands.get(number)?))
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        // Counting cannot panic half way, so a poisoned lock holds good data.
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends all commands of the load. `bar` moves by one for each that is done with.
///
/// # Errors
/// When connections cannot be opened at the start. What goes wrong later is counted in the tally.
pub async fn run(load: Load, bar: ProgressBar) -> Result<Tally> {
    make_room(load.connections);
    let connections = open(&load).await?;
    let started = Instant::now();
    let tally = Mutex::new(Tally::new(started));
    let floor = Arc::new(Floor { load, started, next: AtomicUsize::new(0), tally, bar });
    let mut shoppers = JoinSet::new();
    for connection in connections {
        shoppers.spawn(shopper::shop(Arc::clone(&floor), connection));
    }
    while let Some(ended) = shoppers.join_next().await {
        ended.context("a shopper did not come to an end")?;
    }
    let floor = Arc::into_inner(floor).context("a shopper is still there")?;
    Ok(floor.tally.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Lets this process have as many files open as it may. Where that is too few, opening connections says so.
pub fn make_room(connections: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < OTHER_FILES + connections as u64) {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

/// Opens all connections, before the clock starts.
async fn open(load: &Load) -> Result<Vec<Connection>> {
    let wanted = load.connections.min(load.commands.len());
    let mut opened = Vec::with_capacity(wanted);
    while opened.len() < wanted {
        let few = OPENING_MAX_CONNECTIONS.min(wanted - opened.len());
        let opening = (0..few).map(|_| Connection::open(load.door.address()));
        opened.extend(futures::future::try_join_all(opening).await?);
    }
    Ok(opened)
}
