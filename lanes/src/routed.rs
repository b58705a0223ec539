//! A connection for keys beside the lanes, which finds their server by itself.

use std::{io, sync::Arc};

use futures::FutureExt;
use redis::{Cmd, Pipeline, RedisError, RedisFuture, Value, aio::ConnectionLike};

use crate::{Link, link::Connection};

/// Leads to the server of one key, wherever that is now. It connects on first use, shares the connection with whoever
/// else speaks to that server, and tries again after a failure. A call that failed may have been executed.
#[derive(Debug, Clone)]
pub struct RoutedConnection {
    link: Link,
    key: Arc<str>,
}

impl RoutedConnection {
    pub(crate) fn new(link: Link, key: Arc<str>) -> Self {
        Self { link, key }
    }

    async fn connection(&self) -> Result<Connection, RedisError> {
        self.link.connection(&self.key, None).await.map_err(|error| io::Error::other(error).into())
    }

    /// Whether the question is to be put again, once: it was sent to a server that is not the key's any more.
    fn is_put_again(&self, connection: &Connection, error: Option<&RedisError>, put_again: &mut bool) -> bool {
        let is_elsewhere = error.is_some_and(|error| self.link.failed(&self.key, connection, error));
        is_elsewhere && !std::mem::replace(put_again, true)
    }
}

impl ConnectionLike for RoutedConnection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        async move {
            let mut put_again = false;
            loop {
                let mut connection = self.connection().await?;
                let answer = connection.redis.req_packed_command(cmd).await;
                if !self.is_put_again(&connection, answer.as_ref().err(), &mut put_again) {
                    return answer;
                }
            }
        }
        .boxed()
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        async move {
            let mut put_again = false;
            loop {
                let mut connection = self.connection().await?;
                let answer = connection.redis.req_packed_commands(pipeline, offset, count).await;
                let error = match &answer {
                    Ok(values) => refusal(values),
                    Err(error) => Some(error.clone()),
                };
                if !self.is_put_again(&connection, error.as_ref(), &mut put_again) {
                    return answer;
                }
            }
        }
        .boxed()
    }

    fn get_db(&self) -> i64 {
        0
    }
}

/// The first refusal among the answers to a pipeline, which are answers even if they say no.
fn refusal(values: &[Value]) -> Option<RedisError> {
    values.iter().find_map(|value| match value {
        Value::ServerError(error) => Some(error.clone().into()),
        _ => None,
    })
}
