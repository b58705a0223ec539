//! Which server has which keys: whoever is asked for a key has it, or names the node of the Cluster that does.

use futures::future::join_all;
use redis::{
    ConnectionInfo, ErrorKind, RedisError, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};

use super::{connect_to, is_elsewhere, redirected};
use crate::limits::REDIRECTS_MAX;

/// A server, over a new connection.
pub(crate) struct Place {
    pub at: ConnectionInfo,
    pub redis: MultiplexedConnection,
    /// Which keys it serves, by their places among those that were asked for.
    pub keys: Vec<usize>,
}

/// Where keys are, as far as that could be found.
#[derive(Default)]
pub(crate) struct Located {
    pub places: Vec<Place>,
    /// Why the other keys were not found; there is none if all were.
    pub failure: Option<RedisError>,
}

impl Located {
    /// Nothing was found.
    pub fn nowhere(failure: RedisError) -> Self {
        Self { places: Vec::new(), failure: Some(failure) }
    }

    /// Asks the server behind a connection for all keys, then whomever it names, those at once and each over one connection.
    pub async fn from(at: ConnectionInfo, redis: MultiplexedConnection, keys: &[String]) -> Self {
        let mut located = Self { places: vec![Place { at: at.clone(), redis, keys: Vec::new() }], failure: None };
        let mut open = vec![(at, (0..keys.len()).collect())];
        for _ in 0..=REDIRECTS_MAX {
            let questions = open.drain(..).map(|(at, wanted)| located.ask(at, wanted, keys));
            for asked in join_all(questions).await {
                match asked {
                    Ok(asked) => located.hear(asked, &mut open),
                    Err(failure) => located.failure = Some(failure),
                }
            }
            if open.is_empty() {
                break;
            }
        }
        if !open.is_empty() {
            let circle = "the nodes of the Cluster send us round in a circle";
            located.failure = Some((ErrorKind::Client, circle).into());
        }
        located.places.retain(|place| !place.keys.is_empty());
        located
    }

    fn ask<'a>(
        &self,
        at: ConnectionInfo,
        wanted: Vec<usize>,
        keys: &'a [String],
    ) -> impl Future<Output = RedisResult<Asked>> + use<'a> {
        let redis = self.places.iter().find(|place| place.at.addr() == at.addr()).map(|place| place.redis.clone());
        async move {
            let mut redis = match redis {
                Some(redis) => redis,
                None => connect_to(&at).await?,
            };
            let mut questions = redis::pipe();
            for &key in &wanted {
                questions.cmd("EXISTS").arg(&keys[key]);
            }
            let answers = redis.req_packed_commands(&questions, 0, wanted.len()).await?;
            Ok(Asked { at, redis, answers: wanted.into_iter().zip(answers).collect() })
        }
    }

    /// Keeps what a server serves, and notes whom to ask for the rest.
    fn hear(&mut self, asked: Asked, open: &mut Vec<(ConnectionInfo, Vec<usize>)>) {
        let Asked { at, redis, answers } = asked;
        let mut served = Vec::new();
        for (key, answer) in answers {
            let Value::ServerError(refusal) = answer else {
                served.push(key);
                continue;
            };
            match next(&at, refusal.into()) {
                Ok(to) => match open.iter_mut().find(|(known, _)| known.addr() == to.addr()) {
                    Some((_, keys)) => keys.push(key),
                    None => open.push((to, vec![key])),
                },
                Err(failure) => self.failure = Some(failure),
            }
        }
        match self.places.iter_mut().find(|place| place.at.addr() == at.addr()) {
            Some(place) => place.keys.extend(served),
            None => self.places.push(Place { at, redis, keys: served }),
        }
    }
}

/// What one server answered, by key.
struct Asked {
    at: ConnectionInfo,
    redis: MultiplexedConnection,
    answers: Vec<(usize, Value)>,
}

/// Where a refusal sends us.
fn next(at: &ConnectionInfo, refusal: RedisError) -> RedisResult<ConnectionInfo> {
    if is_elsewhere(&refusal) { redirected(at, &refusal) } else { Err(refusal) }
}
