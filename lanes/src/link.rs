//! The connections to Redis, each of which seeds the tickets before anybody uses it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use redis::{Client, ConnectionInfo, RedisError, aio::MultiplexedConnection};

use crate::{
    Error, Group, Lanes, LineLimits, ScriptObserver,
    history::History,
    limits::{KNOWN_NODES_MAX, SEED_MARGIN_TICKETS},
    replicas::Replicas,
    routed::RoutedConnection,
    servers::{Located, Servers, connect_to, is_elsewhere},
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
    /// Waits for the server's replicas, where that is wanted.
    pub replicas: Option<Replicas>,
    server: Arc<str>,
    generation: u64,
}

/// A connection to one server. Groups that live there share it.
struct Node {
    redis: MultiplexedConnection,
    replicas: Option<Replicas>,
    history: Option<History>,
    generation: u64,
}

#[derive(Default)]
struct State {
    /// The last connection that was made.
    generation: u64,
    /// Live connections by the address of the server.
    nodes: HashMap<Arc<str>, Node>,
    /// The server of each key that was asked for, if it is connected, and seeded where the key is that of a group.
    homes: HashMap<Arc<str>, Arc<str>>,
    /// Nodes of a Cluster that were reached, the latest first: they may know the way when the given addresses are gone.
    known: Vec<ConnectionInfo>,
    /// The history of the server where a group was seeded. In the same history no data can have been lost, so the group
    /// need not be seeded again.
    seeded: HashMap<Group, History>,
    /// The highest ticket that this process was given, by group.
    highest_seen: HashMap<Group, u64>,
    attempts: HashMap<Arc<str>, Arc<Attempts>>,
}

/// Attempts to reach the server of one key, one at a time.
#[derive(Default)]
struct Attempts {
    turn: tokio::sync::Mutex<()>,
    /// How many failed, and how the last one did: who waited for it need not try again at once.
    failed: Mutex<(u64, Option<Arc<Error>>)>,
}

struct Inner {
    servers: Servers,
    groups: Vec<Group>,
    limits: LineLimits,
    archive: Arc<dyn Archive>,
    observer: Option<ScriptObserver>,
    replicas_min: u32,
    state: Mutex<State>,
}

/// The connections to Redis that everybody in a process shares: one to each server where a group lives. It connects on
/// first use and again after a failure, and seeds a group before it is handed out.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

impl Link {
    /// A link to these servers, for these groups. Nothing is sent until the first use. What was accepted has reached
    /// `replicas_min` replicas when [`Lanes::append`] returns.
    pub fn new(
        servers: Servers,
        groups: Vec<Group>,
        limits: LineLimits,
        archive: Arc<dyn Archive>,
        observer: Option<ScriptObserver>,
        replicas_min: u32,
    ) -> Self {
        Self(Arc::new(Inner { servers, groups, limits, archive, observer, replicas_min, state: Mutex::default() }))
    }

    /// The groups that are seeded.
    pub fn groups(&self) -> &[Group] {
        &self.0.groups
    }

    /// Connects and seeds all groups now instead of at the first use.
    ///
    /// # Errors
    /// When Redis or the archive cannot be reached.
    pub async fn connect(&self) -> Result<(), Error> {
        for group in &self.0.groups {
            self.connection(&group.prefix(), Some(group)).await?;
        }
        Ok(())
    }

    /// A client for a connection of the caller's own to the server of a group. Nothing is seeded.
    ///
    /// # Errors
    /// When Redis cannot be reached.
    pub async fn client(&self, group: &Group) -> Result<Client, Error> {
        let (at, _) = self.find(&group.prefix()).await?;
        Client::open(at).map_err(Error::Connect)
    }

    /// A connection that always leads to the server of `key`, also when it has become another one. Other keys that are
    /// used on it must share its hash tag.
    pub fn routed(&self, key: &str) -> RoutedConnection {
        RoutedConnection::new(self.clone(), key.into())
    }

    pub(crate) async fn locate(&self, keys: &[String]) -> Located {
        let known = self.with_state(|state| state.known.clone());
        self.0.servers.locate(keys, &known).await
    }

    async fn find(&self, key: &str) -> Result<(ConnectionInfo, MultiplexedConnection), Error> {
        let Located { mut places, failure } = self.locate(&[key.to_owned()]).await;
        match (places.pop(), failure) {
            (Some(place), _) => Ok((place.at, place.redis)),
            (None, failure) => Err(Error::Connect(failure.expect("whoever is not found was looked for in vain"))),
        }
    }

    /// The shared connection to the server of a key, seeded for the group if the key is that of one.
    pub(crate) async fn connection(&self, key: &str, group: Option<&Group>) -> Result<Connection, Error> {
        if let Some(connection) = self.current(key) {
            return Ok(connection);
        }
        let attempts = self.with_state(|state| {
            let all = &mut state.attempts;
            Arc::clone(all.entry(key.into()).or_default())
        });
        let (failed_before, _) = attempts.failed();
        let _one_at_a_time = attempts.turn.lock().await;
        if let Some(connection) = self.current(key) {
            return Ok(connection);
        }
        // An attempt failed while we waited for our turn. It is our answer, too: tried one after the other, a crowd would
        // wait for as many time-outs as it has members.
        let (failed, failure) = attempts.failed();
        if let Some(failure) = failure.filter(|_| failed != failed_before) {
            return Err(Error::Shared(failure));
        }
        self.connect_anew(key, group).await.map_err(|error| {
            let error = Arc::new(error);
            attempts.fail(&error);
            Error::Shared(error)
        })
    }

    async fn connect_anew(&self, key: &str, group: Option<&Group>) -> Result<Connection, Error> {
        let connection = match self.with_state(State::only_server) {
            Some(connection) => connection,
            None => {
                let (at, redis) = self.find(key).await?;
                match self.with_state(|state| state.live(&at.addr().to_string())) {
                    Some(connection) => connection,
                    None => self.adopt(at, redis).await?,
                }
            }
        };
        if let Some(group) = group
            && let Err(error) = self.seed(group, &connection).await
        {
            if let Error::Script { source, .. } = &error {
                self.failed(key, &connection, source);
            }
            return Err(error);
        }
        self.with_state(|state| {
            // Given up meanwhile: whoever uses it will see.
            if state.live(&connection.server).is_some() {
                state.homes.insert(key.into(), Arc::clone(&connection.server));
            }
        });
        Ok(connection)
    }

    /// Makes a new connection the one that everybody shares.
    async fn adopt(&self, at: ConnectionInfo, mut redis: MultiplexedConnection) -> Result<Connection, Error> {
        self.0.archive.trusts(&mut redis).await.map_err(|source| Error::Untrusted { source })?;
        let history = History::of(&mut redis).await;
        let replicas = match self.0.replicas_min {
            0 => None,
            count => {
                let mut second = connect_to(&at).await.map_err(Error::Connect)?;
                let unknown = |source| Error::History { source };
                let own = history.as_ref().map_err(|source| unknown(source.clone()))?;
                // Behind the same address another server may have begun meanwhile.
                if History::of(&mut second).await.map_err(unknown)? != *own {
                    return Err(Error::Restarted);
                }
                Some(Replicas::start(second, count))
            }
        };
        // Where it is unknown, every connection seeds anew.
        let history = history.ok();
        Ok(self.with_state(|state| {
            state.generation += 1;
            let (server, generation) = (Arc::<str>::from(at.addr().to_string()), state.generation);
            if history.as_ref().is_some_and(|history| !history.is_alone()) {
                state.remember(at);
            }
            state.homes.retain(|_, home| *home != server);
            let node = Node { redis: redis.clone(), replicas: replicas.clone(), history, generation };
            state.nodes.insert(Arc::clone(&server), node);
            Connection { redis, replicas, server, generation }
        }))
    }

    /// Does what an error on a connection asks for, and says whether the same can be tried again at once, because it was
    /// not done: another server has the key. A connection that failed or did not answer in time is given up, because
    /// answers on it can no longer be told apart from silence.
    pub(crate) fn failed(&self, key: &str, connection: &Connection, error: &RedisError) -> bool {
        if is_elsewhere(error) {
            self.with_state(|state| state.homes.remove(key));
            return true;
        }
        // A server that turned into a replica stays one: somewhere else another is the master now.
        let is_replica = error.kind() == redis::ErrorKind::Server(redis::ServerErrorKind::ReadOnly);
        if error.is_io_error() || error.is_unrecoverable_error() || is_replica {
            self.give_up(connection);
        }
        is_replica
    }

    /// Forgets a connection, unless somebody else already did.
    pub(crate) fn give_up(&self, connection: &Connection) {
        self.with_state(|state| {
            if state.nodes.get(&connection.server).is_some_and(|node| node.generation == connection.generation) {
                state.nodes.remove(&connection.server);
                state.homes.retain(|_, home| *home != connection.server);
            }
        });
    }

    /// Makes the next use of the group seed again: its Redis turned out to have lost its data.
    pub(crate) fn forget(&self, group: &Group) {
        self.with_state(|state| {
            state.seeded.remove(group);
            state.homes.remove(&*group.prefix());
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

    async fn seed(&self, group: &Group, connection: &Connection) -> Result<(), Error> {
        let (history, is_seeded) = self.with_state(|state| {
            let history = state.nodes.get(&connection.server).and_then(|node| node.history.clone());
            let is_seeded = history.is_some() && state.seeded.get(group) == history.as_ref();
            (history, is_seeded)
        });
        if is_seeded {
            return Ok(());
        }
        let floor = self.floor(group).await?;
        let lanes = Lanes::new(self.clone(), group.clone(), self.0.limits);
        lanes.seed_on(&mut connection.redis.clone(), &floor, history.as_ref()).await?;
        if let Some(history) = history {
            self.with_state(|state| state.seeded.insert(group.clone(), history));
        }
        Ok(())
    }

    fn current(&self, key: &str) -> Option<Connection> {
        self.with_state(|state| state.live(state.homes.get(key)?))
    }

    fn with_state<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        // Nothing in here can panic half way through a change, so a poisoned lock holds good data.
        f(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn remember(&mut self, node: ConnectionInfo) {
        self.known.retain(|known| known.addr() != node.addr());
        self.known.insert(0, node);
        self.known.truncate(KNOWN_NODES_MAX);
    }

    fn live(&self, server: &str) -> Option<Connection> {
        let (server, node) = self.nodes.get_key_value(server)?;
        Some(Connection {
            redis: node.redis.clone(),
            replicas: node.replicas.clone(),
            server: Arc::clone(server),
            generation: node.generation,
        })
    }

    /// The connection to the server that has everything, if it is no node of a Cluster.
    fn only_server(&mut self) -> Option<Connection> {
        let is_alone = |node: &Node| node.history.as_ref().is_some_and(History::is_alone);
        let (server, _) = self.nodes.iter().find(|(_, node)| is_alone(node))?;
        self.live(server)
    }
}

impl Attempts {
    fn failed(&self) -> (u64, Option<Arc<Error>>) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fail(&self, error: &Arc<Error>) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        *failed = (failed.0 + 1, Some(Arc::clone(error)));
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("groups", &self.0.groups).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::IntoConnectionInfo;

    #[test]
    fn the_nodes_that_were_reached_last_are_remembered() {
        let node = |port: usize| format!("redis://a:{port}").into_connection_info().expect("an address");
        let mut state = State::default();
        (1..=2 * KNOWN_NODES_MAX).for_each(|port| state.remember(node(port)));
        state.remember(node(2 * KNOWN_NODES_MAX - 1));
        let known: Vec<_> = state.known.iter().map(|node| node.addr().to_string()).collect();
        let ports = [2 * KNOWN_NODES_MAX - 1, 2 * KNOWN_NODES_MAX].into_iter();
        let ports = ports.chain((KNOWN_NODES_MAX + 1..2 * KNOWN_NODES_MAX - 1).rev());
        assert_eq!(known, ports.map(|port| format!("a:{port}")).collect::<Vec<_>>());
    }
}
