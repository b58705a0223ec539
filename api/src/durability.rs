//! Whether Redis keeps what it accepts. A 202 promises it, so nothing is accepted before Redis has shown it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use lanes::{Archive, ArchiveError, Floor, Group, Link};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use runtime::archive::PostgresArchive;
use runtime::causes::chain;
use runtime::config::QueueDurability;
use runtime::redis_durability::{Verdict, check_all, judge_all};
use tokio_util::sync::CancellationToken;

use crate::limits::{REPLICAS_COUNTED_EVERY, RETRY_PAUSE};
use crate::terms::AllTerms;

/// What is known of Redis' durability.
#[derive(Debug)]
pub struct DurabilityWatch {
    demanded: QueueDurability,
    replicas_min: u32,
    may_accept: AtomicBool,
    /// The sentence that was last told to the log, so that it is told once.
    told: Mutex<Option<String>>,
}

impl DurabilityWatch {
    /// Nothing is known yet, and nothing may be accepted. A server with fewer than `replicas_min` replicas accepts nothing.
    pub fn new(demanded: QueueDurability, replicas_min: u32) -> DurabilityWatch {
        DurabilityWatch { demanded, replicas_min, may_accept: AtomicBool::new(false), told: Mutex::new(None) }
    }

    /// Whether a command may be accepted: Redis has shown that it keeps what it accepts, or that is not demanded.
    pub fn may_accept(&self) -> bool {
        self.may_accept.load(Ordering::Relaxed)
    }

    /// Asks servers that keep the lines, or a part of them, and remembers what follows.
    ///
    /// # Errors
    /// When one does not answer; then what was known before stays.
    pub async fn look(&self, servers: &mut [impl ConnectionLike]) -> redis::RedisResult<Look> {
        let all = check_all(servers).await?;
        let verdict = judge_all(&all, self.demanded);
        let replicas = all.iter().map(|one| one.replicas).min().unwrap_or_default();
        let lack = (replicas < self.replicas_min).then(|| {
            format!("QUEUE_MIN_REPLICAS={}, and a Redis of the lines has {replicas} connected", self.replicas_min)
        });
        let (is_kept, sentence) = match &verdict {
            Verdict::Durable => (true, None),
            Verdict::GivesUp(sentence) => (true, Some(sentence)),
            Verdict::Refused(sentence) => (false, Some(sentence)),
        };
        self.may_accept.store(is_kept && lack.is_none(), Ordering::Relaxed);
        self.tell(sentence.or(lack.as_ref()));
        Ok(Look { verdict, lack })
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
        link.connect().await.map_err(|error| format!("cannot be used: {}", chain(&error)))?;
        let look = look_at_all(self, link).await.map_err(|error| format!("cannot be asked: {error:#}"))?;
        let given_up = look.verdict.into_check()?;
        if let Some(lack) = look.lack {
            return Err(lack);
        }
        let waits = format!("a 202 waits until {} replicas have the request (QUEUE_MIN_REPLICAS)", self.replicas_min);
        let waits = (self.replicas_min > 0).then_some(waits);
        let all: Vec<String> = given_up.into_iter().chain(waits).collect();
        Ok((!all.is_empty()).then(|| all.join("; ")))
    }

    /// Looks again and again whether there are replicas enough, until dropped; only where some are demanded. Without it
    /// every command would wait in vain for a replica that is gone, and be decided all the same.
    pub async fn keep_counting_replicas(&self, link: &Link) {
        if self.replicas_min == 0 {
            return std::future::pending().await;
        }
        loop {
            if let Err(error) = look_at_all(self, link).await {
                tracing::debug!("replicas cannot be counted: {error:#}");
            }
            tokio::time::sleep(REPLICAS_COUNTED_EVERY).await;
        }
    }
}

/// What a look at Redis found.
#[derive(Debug)]
pub struct Look {
    /// How well it keeps what it accepts.
    pub verdict: Verdict,
    /// That there are too few replicas, if so.
    pub lack: Option<String>,
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
            self.durability.look(std::slice::from_mut(redis)).await?.verdict.into_check()?;
            self.terms.read_once().await?;
            Ok(())
        })
    }
}

/// Asks until Redis has answered once. Connections of its own: those of the lines are there only when Postgres is, too.
///
/// # Errors
/// The sentence of a Redis that must not be used.
pub async fn first_look(watch: &DurabilityWatch, link: &Link, until: &CancellationToken) -> anyhow::Result<()> {
    let mut told = false;
    loop {
        match look_at_all(watch, link).await {
            Ok(Look { verdict: Verdict::Refused(sentence), .. }) => anyhow::bail!(sentence),
            Ok(_) => return Ok(()),
            Err(error) if !told => {
                told = true;
                let why = "Redis cannot be asked about its durability; nothing is accepted until it can";
                tracing::warn!(error = format!("{error:#}"), "{why}");
            }
            Err(_) => {}
        }
        if until.run_until_cancelled(tokio::time::sleep(RETRY_PAUSE)).await.is_none() {
            return Ok(());
        }
    }
}

/// Asks all servers of the lines, over connections of its own.
///
/// # Errors
/// When one cannot be reached.
pub async fn look_at_all(watch: &DurabilityWatch, link: &Link) -> anyhow::Result<Look> {
    let mut servers: Vec<_> = link.servers().await.all()?.into_iter().map(|server| server.redis).collect();
    Ok(watch.look(&mut servers).await?)
}
