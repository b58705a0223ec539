//! The connection to Redis, which seeds the tickets before anybody uses it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, aio::MultiplexedConnection};

use crate::{
    Error, Group, Lanes, LineLimits, ScriptObserver,
    limits::{CONNECT_TIMEOUT, RESPONSE_TIMEOUT, SEED_MARGIN_TICKETS},
};

/// What the archive of decided commands says when it fails.
pub type ArchiveError = Box<dyn std::error::Error + Send + Sync>;

/// What is known of a group outside Redis.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Floor {
    /// The highest ticket that was ever decided; 0 if none was.
    pub highest_ticket: u64,
    /// The lanes that are paused.
    pub paused: Vec<String>,
}

/// The place where outcomes are kept for good. It is asked at every connection to Redis, so that tickets never go back
/// even when Redis lost its data.
pub trait Archive: Send + Sync + 'static {
    /// What the archive knows of a group.
    fn floor<'a>(&'a self, group: &'a Group) -> BoxFuture<'a, Result<Floor, ArchiveError>>;

    /// Looks at the Redis behind a new connection before anything is entrusted to it: it may be another one than before,
    /// or have come back with other settings. An error gives the connection up.
    fn trusts<'a>(&'a self, _: &'a mut MultiplexedConnection) -> BoxFuture<'a, Result<(), ArchiveError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A live connection, and which one it is.
pub(crate) struct Connection {
    pub redis: MultiplexedConnection,
    pub generation: u64,
}

#[derive(Default)]
struct State {
    generation: u64,
    live: Option<MultiplexedConnection>,
    /// Redis' run id when the groups were last seeded. The same run cannot have lost its data by a restart, so it
    /// need not be seeded again.
    seeded_run: Option<String>,
    /// Attempts to connect that failed, and how the last one did: who waited for it need not try again at once.
    failures: u64,
    last_failure: Option<Arc<Error>>,
    /// The highest ticket that this process was given, by group.
    highest_seen: HashMap<Group, u64>,
}

struct Inner {
    client: Client,
    groups: Vec<Group>,
    limits: LineLimits,
    archive: Arc<dyn Archive>,
    observer: Option<ScriptObserver>,
    state: Mutex<State>,
    connecting: tokio::sync::Mutex<()>,
}

/// One multiplexed connection to Redis that everybody in a process shares. It connects on first use and again after a
/// failure, and seeds every group before it is handed out.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

impl Link {
    /// A link to the Redis at `url`, for these groups. Nothing is sent until the first use.
    ///
    /// # Errors
    /// When the URL cannot be understood.
    pub fn new(
        url: &str,
        groups: Vec<Group>,
        limits: LineLimits,
        archive: Arc<dyn Archive>,
        observer: Option<ScriptObserver>,
    ) -> Result<Self, Error> {
        let info = url.into_connection_info().map_err(Error::Connect)?;
        // A login with few rights may not tell Redis what the client library is called, and each connection would leave a
        // refusal in its ACL log.
        let settings = info.redis_settings().clone().set_skip_set_lib_name();
        let client = Client::open(info.set_redis_settings(settings)).map_err(Error::Connect)?;
        Ok(Self(Arc::new(Inner {
            client,
            groups,
            limits,
            archive,
            observer,
            state: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        })))
    }

    /// The client, for connections of a caller's own.
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// The groups that are seeded at every connection.
    pub fn groups(&self) -> &[Group] {
        &self.0.groups
    }

    /// Connects and seeds now instead of at the first use.
    ///
    /// # Errors
    /// When Redis or the archive cannot be reached.
    pub async fn connect(&self) -> Result<(), Error> {
        self.connection().await.map(drop)
    }

    /// The shared connection, as the `redis` crate has it.
    ///
    /// # Errors
    /// When Redis or the archive cannot be reached.
    pub async fn redis(&self) -> Result<MultiplexedConnection, Error> {
        Ok(self.connection().await?.redis)
    }

    pub(crate) async fn connection(&self) -> Result<Connection, Error> {
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let failures_before = self.with_state(|state| state.failures);
        let _one_at_a_time = self.0.connecting.lock().await;
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        // An attempt failed while we waited for our turn. It is our answer, too: tried one after the other, a crowd would
        // wait for as many time-outs as it has members.
        let failed = self.with_state(|state| state.last_failure.clone().filter(|_| state.failures != failures_before));
        if let Some(failure) = failed {
            return Err(Error::Shared(failure));
        }
        self.connect_anew().await.map_err(|error| {
            let error = Arc::new(error);
            self.with_state(|state| {
                state.failures += 1;
                state.last_failure = Some(Arc::clone(&error));
            });
            Error::Shared(error)
        })
    }

    async fn connect_anew(&self) -> Result<Connection, Error> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let mut redis =
            self.0.client.get_multiplexed_async_connection_with_config(&config).await.map_err(Error::Connect)?;
        self.0.archive.trusts(&mut redis).await.map_err(|source| Error::Untrusted { source })?;
        self.seed_all(&mut redis).await?;
        self.with_state(|state| {
            state.generation += 1;
            state.live = Some(redis.clone());
            Ok(Connection { redis, generation: state.generation })
        })
    }

    /// Forgets a connection that failed, unless somebody else already did.
    pub(crate) fn give_up(&self, generation: u64) {
        self.with_state(|state| {
            if state.generation == generation {
                state.live = None;
            }
        });
    }

    /// Makes the next use connect and seed again: Redis turned out to have lost its data.
    pub(crate) fn forget(&self) {
        self.with_state(|state| {
            state.live = None;
            state.seeded_run = None;
        });
    }

    pub(crate) fn saw_ticket(&self, group: &Group, ticket: u64) {
        self.with_state(|state| match state.highest_seen.get_mut(group) {
            Some(highest) => *highest = (*highest).max(ticket),
            None => drop(state.highest_seen.insert(group.clone(), ticket)),
        });
    }

    pub(crate) fn observe(&self, script: &'static str, took: Duration, failed: bool) {
        if let Some(observer) = self.0.observer {
            observer(script, took, failed);
        }
    }

    /// Tickets that a raised counter skips: nobody in a full line, and nobody who is committing while the archive is
    /// asked, holds one of them.
    pub(crate) fn seed_margin(&self) -> u64 {
        self.0.limits.depth_max + SEED_MARGIN_TICKETS
    }

    pub(crate) async fn floor(&self, group: &Group) -> Result<Floor, Error> {
        let mut floor =
            self.0.archive.floor(group).await.map_err(|source| Error::Archive { group: group.to_string(), source })?;
        let seen = self.with_state(|state| state.highest_seen.get(group).copied().unwrap_or(0));
        floor.highest_ticket = floor.highest_ticket.max(seen);
        Ok(floor)
    }

    async fn seed_all(&self, redis: &mut MultiplexedConnection) -> Result<(), Error> {
        let run = run_id(redis).await;
        let seeded_before = self.with_state(|state| run.is_some() && state.seeded_run == run);
        if seeded_before {
            return Ok(());
        }
        for group in &self.0.groups {
            let floor = self.floor(group).await?;
            let lanes = Lanes::new(self.clone(), group.clone(), self.0.limits);
            lanes.seed_on(redis, &floor).await?;
        }
        self.with_state(|state| state.seeded_run = run);
        Ok(())
    }

    fn current(&self) -> Option<Connection> {
        self.with_state(|state| {
            let redis = state.live.clone()?;
            Some(Connection { redis, generation: state.generation })
        })
    }

    fn with_state<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        // Nothing in here can panic half way through a change, so a poisoned lock holds good data.
        f(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("groups", &self.0.groups).finish_non_exhaustive()
    }
}

/// The id that Redis draws at every start, or nothing where it may not be asked.
async fn run_id(redis: &mut MultiplexedConnection) -> Option<String> {
    let info: String = redis::cmd("INFO").arg("server").query_async(redis).await.ok()?;
    let id = info.lines().find_map(|line| line.strip_prefix("run_id:"))?;
    Some(id.trim().to_owned())
}
