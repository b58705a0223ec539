//! Waiting for replicas: what was accepted is also on another machine before anybody hears of it.

use std::sync::Arc;

use redis::{RedisError, aio::MultiplexedConnection};
use tokio::sync::{mpsc, oneshot};

use crate::{
    Error,
    limits::{APPEND_QUEUE_COMMANDS_MAX, REPLICA_WAIT_MAX},
    script::milliseconds,
};

/// Whoever waits for what was written on the server before.
struct Waiting {
    /// The prefix of a group that lives there.
    prefix: Arc<str>,
    answer: oneshot::Sender<Result<(), Arc<Error>>>,
}

/// Shares `WAIT`s between all who wrote to one server. It has a connection of its own, because Redis answers nothing else
/// on a connection that waits.
#[derive(Clone)]
pub(crate) struct Replicas(mpsc::Sender<Waiting>);

impl Replicas {
    /// Starts the task that waits for so many replicas. It ends when the last copy is gone, or the connection fails.
    pub fn start(redis: MultiplexedConnection, count: u32) -> Self {
        let (queue, waiting) = mpsc::channel(APPEND_QUEUE_COMMANDS_MAX);
        tokio::spawn(wait_for_all(redis, count, waiting));
        Self(queue)
    }

    /// Returns when everything that was written on this server before is on enough replicas, too.
    ///
    /// # Errors
    /// When they did not confirm it in time, or it is not known.
    pub async fn confirm(&self, prefix: &Arc<str>) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { prefix: Arc::clone(prefix), answer };
        self.0.send(waiting).await.map_err(|_| Error::Unconfirmed)?;
        answered.await.unwrap_or(Err(Arc::new(Error::Unconfirmed))).map_err(Error::Shared)
    }
}

async fn wait_for_all(mut redis: MultiplexedConnection, count: u32, mut waiting: mpsc::Receiver<Waiting>) {
    let mut together = Vec::new();
    while waiting.recv_many(&mut together, APPEND_QUEUE_COMMANDS_MAX).await > 0 {
        let confirmed = wait(&mut redis, &together[0].prefix, count).await;
        let failed = confirmed.is_err();
        let answer = match confirmed {
            Ok(reached) if reached >= count => Ok(()),
            Ok(reached) => Err(Arc::new(Error::TooFewReplicas { wanted: count, reached })),
            Err(source) => Err(Arc::new(Error::Replicas { source })),
        };
        together.drain(..).for_each(|waiting| drop(waiting.answer.send(answer.clone())));
        if failed {
            return;
        }
    }
}

/// How many replicas have all that was written until now. `WAIT` looks at the last write of its own connection, so one is
/// made: the replicas get it after whatever others wrote before.
async fn wait(redis: &mut MultiplexedConnection, prefix: &str, count: u32) -> Result<u32, RedisError> {
    let mut both = redis::pipe();
    both.cmd("SET").arg(format!("{prefix}replicated")).arg("").ignore();
    both.cmd("WAIT").arg(count).arg(milliseconds(REPLICA_WAIT_MAX));
    let (reached,): (u32,) = both.query_async(redis).await?;
    Ok(reached)
}
