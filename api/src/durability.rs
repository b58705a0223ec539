//! Whether Redis keeps what it accepts. A 202 promises it, so nothing is accepted before Redis has shown it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use lanes::{Archive, ArchiveError, Floor, Group, Link};
use redis::Client;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use runtime::archive::PostgresArchive;
use runtime::causes::chain;
use runtime::config::QueueDurability;
use runtime::limits::{REDIS_CONNECT_TIMEOUT_MS, REDIS_RESPONSE_TIMEOUT_MS};
use runtime::redis_durability::{Verdict, check, judge};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use crate::limits::RETRY_PAUSE;
use crate::terms::AllTerms;

/// What is known of Redis' durability.
#[derive(Debug)]
pub struct DurabilityWatch {
    demanded: QueueDurability,
    may_accept: AtomicBool,
    /// The sentence that was last told to the log, so that it is told once.
    told: Mutex<Option<String>>,
}

impl DurabilityWatch {
    /// Nothing is known yet, and nothing may be accepted.
    pub fn new(demanded: QueueDurability) -> DurabilityWatch {
        DurabilityWatch { demanded, may_accept: AtomicBool::new(false), told: Mutex::new(None) }
    }

    /// Whether a command may be accepted: Redis has shown that it keeps what it accepts, or that is not demanded.
    pub fn may_accept(&self) -> bool {
        self.may_accept.load(Ordering::Relaxed)
    }

    /// Asks Redis over this connection and remembers what follows.
    ///
    /// # Errors
    /// When Redis does not answer; then what was known before stays.
    pub async fn look(&self, connection: &mut impl ConnectionLike) -> redis::RedisResult<Verdict> {
        let verdict = judge(&check(connection).await?, self.demanded);
        let (may_accept, sentence) = match &verdict {
            Verdict::Durable => (true, None),
            Verdict::GivesUp(sentence) => (true, Some(sentence)),
            Verdict::Refused(sentence) => (false, Some(sentence)),
        };
        self.may_accept.store(may_accept, Ordering::Relaxed);
        self.tell(sentence);
        Ok(verdict)
    }

    fn tell(&self, sentence: Option<&String>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_ref() != sentence {
            if let Some(sentence) = sentence {
                tracing::warn!("{sentence}");
            }
            *told = sentence.cloned();
        }
    }

    /// The answer of a readiness check: Redis answers, is seeded, and keeps what it accepts.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub async fn readiness(&self, link: &Link) -> Result<Option<String>, String> {
        let mut connection = link.redis().await.map_err(|error| format!("cannot be used: {}", chain(&error)))?;
        let verdict = self.look(&mut connection).await.map_err(|error| format!("cannot be asked: {error}"))?;
        verdict.into_check()
    }
}

/// The archive as the lines of `api` ask it: at every new connection Redis must show again that it keeps what it accepts,
/// because it may have come back with other settings.
pub struct WatchedArchive {
    /// Where outcomes are kept.
    pub archive: PostgresArchive,
    /// What is known of Redis.
    pub durability: Arc<DurabilityWatch>,
    /// What coupons demand of claims: known before the first claim can be let in, so that no absence of Postgres can come
    /// between.
    pub terms: Arc<AllTerms>,
}

impl Archive for WatchedArchive {
    fn floor<'a>(&'a self, group: &'a Group) -> BoxFuture<'a, Result<Floor, ArchiveError>> {
        self.archive.floor(group)
    }

    fn trusts<'a>(&'a self, redis: &'a mut MultiplexedConnection) -> BoxFuture<'a, Result<(), ArchiveError>> {
        Box::pin(async move {
            self.durability.look(redis).await?.into_check()?;
            self.terms.read_once().await?;
            Ok(())
        })
    }
}

/// Asks until Redis has answered once. A connection of its own: that of the lines is there only when Postgres is, too.
///
/// # Errors
/// The sentence of a Redis that must not be used.
pub async fn first_look(watch: &DurabilityWatch, client: &Client, until: &CancellationToken) -> anyhow::Result<()> {
    let mut told = false;
    loop {
        match ask_once(watch, client).await {
            Ok(Verdict::Refused(sentence)) => anyhow::bail!(sentence),
            Ok(_) => return Ok(()),
            Err(error) if !told => {
                told = true;
                tracing::warn!(%error, "Redis cannot be asked about its durability; nothing is accepted until it can");
            }
            Err(_) => {}
        }
        if until.run_until_cancelled(tokio::time::sleep(RETRY_PAUSE)).await.is_none() {
            return Ok(());
        }
    }
}

/// Asks over a connection of its own.
///
/// # Errors
/// When Redis cannot be reached.
pub async fn ask_once(watch: &DurabilityWatch, client: &Client) -> redis::RedisResult<Verdict> {
    let mut connection = connect(client).await?;
    watch.look(&mut connection).await
}

async fn connect(client: &Client) -> redis::RedisResult<MultiplexedConnection> {
    let config = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(Duration::from_millis(REDIS_CONNECT_TIMEOUT_MS)))
        .set_response_timeout(Some(Duration::from_millis(REDIS_RESPONSE_TIMEOUT_MS)));
    client.get_multiplexed_async_connection_with_config(&config).await
}
