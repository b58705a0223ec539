//! Sentinels, which say which server is the master. They are asked within our own time-outs: those of the driver are shorter
//! than what a busy disk may take.

use std::sync::atomic::Ordering;

use redis::{
    ConnectionAddr, ConnectionInfo, ErrorKind, RedisConnectionInfo, RedisResult, Role, aio::MultiplexedConnection,
};

use super::{Servers, connect_to, reached_like};

impl Servers {
    /// The server that a Sentinel calls the master by this name, and that says the same of itself.
    pub(super) async fn master(&self, name: &str) -> RedisResult<(ConnectionInfo, MultiplexedConnection)> {
        let mut tried: Vec<ConnectionAddr> = Vec::new();
        let mut failure = None;
        for number in self.in_turn() {
            let told = match ask(&self.0.all[number], name).await {
                Ok((host, port)) => reached_like(&self.0.all[0], host, port),
                Err(error) => {
                    failure = Some(error);
                    continue;
                }
            };
            // Each Sentinel may name the same server, and a time-out of it is waited for once.
            if tried.contains(told.addr()) {
                continue;
            }
            tried.push(told.addr().clone());
            match enter(&told).await {
                Ok(redis) => {
                    self.0.answered.store(number, Ordering::Relaxed);
                    return Ok((told, redis));
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| (ErrorKind::InvalidClientConfig, "there is no address of a Sentinel").into()))
    }
}

/// Where the master is, by the word of one Sentinel.
async fn ask(sentinel: &ConnectionInfo, name: &str) -> RedisResult<(String, u16)> {
    let settings = without_login(sentinel.redis_settings());
    let mut sentinel = connect_to(&sentinel.clone().set_redis_settings(settings)).await?;
    let mut question = redis::cmd("SENTINEL");
    let told: Option<(String, u16)> =
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(name).query_async(&mut sentinel).await?;
    told.ok_or((ErrorKind::MasterNameNotFoundBySentinel, "no master is known by the name").into())
}

/// A connection to the master. A Sentinel that was cut off may still name one that is none any more.
async fn enter(master: &ConnectionInfo) -> RedisResult<MultiplexedConnection> {
    let mut redis = connect_to(master).await?;
    match redis::cmd("ROLE").query_async(&mut redis).await? {
        Role::Primary { .. } => Ok(redis),
        _ => Err((ErrorKind::Client, "the server that a Sentinel calls the master is none").into()),
    }
}

fn without_login(settings: &RedisConnectionInfo) -> RedisConnectionInfo {
    RedisConnectionInfo::default().set_protocol(settings.protocol()).set_skip_set_lib_name()
}
