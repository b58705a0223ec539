//! The servers of a link's groups, for whoever wants to ask them something.

use redis::aio::MultiplexedConnection;

use crate::{Error, Group, Link, servers::Place};

/// A server where groups live.
#[derive(Debug)]
pub struct Server {
    /// Its address, as messages may name it.
    pub address: String,
    /// A connection of the caller's own.
    pub redis: MultiplexedConnection,
    /// The groups that live there.
    pub groups: Vec<Group>,
}

/// The servers of all groups, as far as they could be reached.
#[derive(Debug)]
pub struct Reached {
    /// Those that could.
    pub servers: Vec<Server>,
    /// Why groups are missing among them; none: all are there.
    pub failure: Option<Error>,
}

impl Reached {
    /// All servers.
    ///
    /// # Errors
    /// When a group is missing.
    pub fn all(self) -> Result<Vec<Server>, Error> {
        self.failure.map_or(Ok(self.servers), Err)
    }
}

impl Link {
    /// The servers where the groups live, each over a new connection: as many as there are servers, however many groups.
    /// Nothing is seeded.
    pub async fn servers(&self) -> Reached {
        let keys: Vec<String> = self.groups().iter().map(Group::prefix).collect();
        let located = self.locate(&keys).await;
        let server = |Place { at, redis, keys }| Server {
            address: at.addr().to_string(),
            redis,
            groups: keys.into_iter().map(|key| self.groups()[key].clone()).collect(),
        };
        Reached {
            servers: located.places.into_iter().map(server).collect(),
            failure: located.failure.map(Error::Connect),
        }
    }
}
