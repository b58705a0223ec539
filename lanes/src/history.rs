//! Whose data a server has: as long as this is the same, nothing can have been lost in between.

use redis::{ErrorKind, InfoDict, RedisError, RedisResult, aio::MultiplexedConnection};

/// What a server says of the history of its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct History {
    /// Drawn at every start.
    run: String,
    /// Drawn whenever a server becomes a master.
    replication: String,
    /// Whether it took over from another master, and so may lack what that one did not send in time.
    took_over: bool,
    is_cluster: bool,
}

impl History {
    /// Asks the server.
    ///
    /// # Errors
    /// When it may not be asked, does not answer, or does not say it.
    pub async fn of(redis: &mut MultiplexedConnection) -> RedisResult<Self> {
        // One section at a time, as every version understands it.
        let server: InfoDict = redis::cmd("INFO").arg("server").query_async(redis).await?;
        let replication: InfoDict = redis::cmd("INFO").arg("replication").query_async(redis).await?;
        let is_missing = || RedisError::from((ErrorKind::UnexpectedReturnType, "INFO does not say whose data this is"));
        Ok(Self {
            run: server.get("run_id").ok_or_else(is_missing)?,
            replication: replication.get("master_replid").ok_or_else(is_missing)?,
            took_over: replication.get::<i64>("second_repl_offset").is_some_and(|offset| offset >= 0),
            is_cluster: server.get::<String>("redis_mode").is_some_and(|mode| mode == "cluster"),
        })
    }

    /// Names the take-over by which the server became a master, if it was by one.
    pub fn take_over(&self) -> Option<&str> {
        self.took_over.then_some(self.replication.as_str())
    }

    /// Whether it has all keys itself.
    pub fn is_alone(&self) -> bool {
        !self.is_cluster
    }
}
