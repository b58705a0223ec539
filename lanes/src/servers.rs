//! Where Redis is: one server, the nodes of a Cluster, or whichever server Sentinels call the master.

mod locate;
mod sentinels;

pub(crate) use locate::{Located, Place};

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError,
    RedisResult, ServerErrorKind, aio::MultiplexedConnection,
};

use crate::{
    Error,
    history::History,
    limits::{CONNECT_TIMEOUT, RESPONSE_TIMEOUT},
};

/// The addresses of Redis, and how the one that serves a key is found among them. A node of a Cluster says itself where a
/// key lives, so whether there is a Cluster need not be told.
#[derive(Clone)]
pub struct Servers(Arc<Addresses>);

struct Addresses {
    all: Vec<ConnectionInfo>,
    /// Which one answered last: the first to be asked, because each that is gone costs a time-out.
    answered: AtomicUsize,
    /// What Sentinels call the master; the addresses are theirs then, with the login and the TLS of the server.
    master: Option<String>,
}

impl Servers {
    /// Addresses behind one another, with commas between them: of one server, of some nodes of a Cluster, or, where the
    /// name of a master is given, of the Sentinels that know it by that name. The login is that of the servers; Sentinels are
    /// asked without.
    ///
    /// # Errors
    /// When an address cannot be understood.
    pub fn new(urls: &str, sentinel_master: Option<&str>) -> Result<Self, Error> {
        let all = split(urls).iter().map(|url| address(url)).collect::<RedisResult<_>>().map_err(Error::Address)?;
        let master = sentinel_master.map(str::to_owned);
        Ok(Self(Arc::new(Addresses { all, answered: AtomicUsize::new(0), master })))
    }

    /// Finds the servers of these keys. `known` are nodes of a Cluster that may know them, too.
    pub(crate) async fn locate(&self, keys: &[String], known: &[ConnectionInfo]) -> Located {
        if let Some(name) = &self.0.master {
            return match self.master(name).await {
                Ok((at, redis)) => Located::from(at, redis, keys).await,
                Err(failure) => Located::nowhere(failure),
            };
        }
        let mut failure = None;
        for at in self.in_turn() {
            let located = Self::locate_from(&self.0.all[at], keys).await;
            if !located.places.is_empty() {
                self.0.answered.store(at, Ordering::Relaxed);
                return located;
            }
            failure = located.failure.or(failure);
        }
        for node in known {
            // The address may be somebody else's by now. A server that is no node of a Cluster would take every key.
            let Ok(mut redis) = connect_to(node).await else { continue };
            if History::of(&mut redis).await.is_ok_and(|history| !history.is_alone()) {
                let located = Located::from(node.clone(), redis, keys).await;
                if !located.places.is_empty() {
                    return located;
                }
            }
        }
        Located::nowhere(failure.unwrap_or_else(|| (ErrorKind::InvalidClientConfig, "there is no address").into()))
    }

    async fn locate_from(at: &ConnectionInfo, keys: &[String]) -> Located {
        match connect_to(at).await {
            Ok(redis) => Located::from(at.clone(), redis, keys).await,
            Err(failure) => Located::nowhere(failure),
        }
    }

    /// The numbers of all addresses, beginning with the one that answered last.
    fn in_turn(&self) -> impl Iterator<Item = usize> + use<> {
        let count = self.0.all.len();
        let first = self.0.answered.load(Ordering::Relaxed);
        (0..count).map(move |step| (first + step) % count)
    }
}

/// A comma inside of an address, for example in a password, does not end it.
fn split(urls: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for part in urls.split(',') {
        match all.last_mut() {
            Some(last) if !part.contains("://") => {
                last.push(',');
                last.push_str(part);
            }
            _ => all.push(part.trim().to_owned()),
        }
    }
    all
}

fn address(url: &str) -> RedisResult<ConnectionInfo> {
    let info = url.into_connection_info()?;
    // A login with few rights may not tell Redis what the client library is called, and each connection would leave a
    // refusal in its ACL log.
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    Ok(info.set_redis_settings(settings))
}

/// A connection to this very server.
pub(crate) async fn connect_to(at: &ConnectionInfo) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT));
    Client::open(at.clone())?.get_multiplexed_async_connection_with_config(&config).await
}

/// Whether the answer says that another node serves the key.
pub(crate) fn is_elsewhere(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::Moved)
}

/// The address in a MOVED, reached in the same way as the node that said it.
fn redirected(from: &ConnectionInfo, error: &RedisError) -> RedisResult<ConnectionInfo> {
    let place = error.redirect_node().and_then(|(place, _)| place.rsplit_once(':'));
    let parsed = place.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port): (&str, u16) =
        parsed.ok_or((ErrorKind::Client, "a node of the Cluster sends us to an address that cannot be read"))?;
    // A node that does not know its own address means the one that it was reached at.
    let host = match from.addr() {
        _ if !host.is_empty() && host != "?" => host,
        ConnectionAddr::TcpTls { host, .. } | ConnectionAddr::Tcp(host, _) => host,
        _ => "127.0.0.1",
    };
    Ok(reached_like(from, host.to_owned(), port))
}

/// Another server, with the login and the TLS of one that is known.
fn reached_like(known: &ConnectionInfo, host: String, port: u16) -> ConnectionInfo {
    let addr = match known.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    };
    known.clone().set_addr(addr)
}

impl std::fmt::Debug for Servers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all: Vec<_> = self.0.all.iter().map(|at| at.addr().to_string()).collect();
        f.debug_struct("Servers").field("addresses", &all).field("master", &self.0.master).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let rows: [(&str, &[&str]); 4] = [
            ("redis://a:1", &["a:1"]),
            ("redis://u:p@a:1,redis://b:2 , rediss://c:3", &["a:1", "b:2", "c:3"]),
            ("redis://u:p,q@a:1,redis://u:p,q@b", &["a:1", "b:6379"]),
            ("redis+unix:///a,b", &["/a,b"]),
        ];
        for (urls, want) in rows {
            let servers = Servers::new(urls, None).unwrap_or_else(|error| panic!("{urls}: {error}"));
            let got: Vec<_> = servers.0.all.iter().map(|at| at.addr().to_string()).collect();
            assert_eq!(got, want, "{urls}");
        }
        for bad in ["", "http://a", ",redis://a", "redis://a,http://b"] {
            assert!(Servers::new(bad, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_node_sends_on() {
        let rows = [
            ("redis://u:p@a:1", "MOVED 7 b:2", Some("b:2")),
            ("redis://u:p@a:1", "MOVED 7 ::1:2", Some("::1:2")),
            ("redis://u:p@a:1", "MOVED 7 :2", Some("a:2")),
            ("rediss://a:1", "MOVED 7 ?:2", Some("a:2")),
            ("redis+unix:///a", "MOVED 7 :2", Some("127.0.0.1:2")),
            ("redis://a:1", "MOVED 7 b", None),
            ("redis://a:1", "MOVED 7 b:many", None),
        ];
        for (from, said, want) in rows {
            let said = redis::parse_redis_value(format!("-{said}\r\n").as_bytes());
            let Ok(redis::Value::ServerError(said)) = said else { panic!("{said:?} is no refusal") };
            let (from, error) = (address(from).expect("an address"), RedisError::from(said));
            assert!(is_elsewhere(&error), "{error}");
            let to = redirected(&from, &error).ok();
            assert_eq!(to.as_ref().map(|to| to.addr().to_string()).as_deref(), want, "{error}");
            let login = |at: &ConnectionInfo| at.redis_settings().username().map(str::to_owned);
            assert!(to.is_none_or(|to| login(&to) == login(&from)), "the login goes along");
        }
    }
}
