//! Whether Redis keeps what it accepts. A 202 promises it, so nothing is accepted before Redis has shown it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use futures::future::BoxFuture;
use lanes::{Archive, ArchiveError, Floor, Group, Link, Server};
use redis::aio::MultiplexedConnection;
use runtime::archive::PostgresArchive;
use runtime::causes::chain;
use runtime::config::QueueDurability;
use runtime::redis_durability::{Durability, Verdict, check, check_all, judge, judge_all};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::limits::{REPLICAS_COUNTED_EVERY, RETRY_PAUSE};
use crate::terms::AllTerms;

/// What is known of the durability of the servers that keep the lines.
#[derive(Debug)]
pub struct DurabilityWatch {
    demanded: QueueDurability,
    replicas_min: u32,
    /// The groups of the servers that accept. Where a server cannot be asked, what was known of its groups holds.
    accepting: RwLock<HashSet<Group>>,
    /// Something has happened that another look is worth.
    due: Notify,
    /// The sentence that was last told to the log, so that it is told once.
    told: Mutex<Option<String>>,
}

impl DurabilityWatch {
    /// Nothing is known yet, and nothing may be accepted. A server with fewer than `replicas_min` replicas accepts nothing.
    pub fn new(demanded: QueueDurability, replicas_min: u32) -> DurabilityWatch {
        DurabilityWatch {
            demanded,
            replicas_min,
            accepting: RwLock::default(),
            due: Notify::new(),
            told: Mutex::new(None),
        }
    }

    /// Whether a command may be accepted into a group: its server has shown that it keeps what it accepts, or that is not
    /// demanded, and has replicas enough.
    pub fn may_accept(&self, group: &Group) -> bool {
        self.accepting.read().unwrap_or_else(PoisonError::into_inner).contains(group)
    }

    /// Asks all servers of the lines, over connections of its own, and remembers what follows.
    ///
    /// # Errors
    /// When one cannot be asked. What the others said is remembered all the same.
    pub async fn look(&self, link: &Link) -> anyhow::Result<Look> {
        let found = check_all(link).await;
        let verdict = judge_all(found.servers.iter().map(|(_, said)| said), self.demanded);
        let lacks: Vec<String> = found.servers.iter().filter_map(|(server, said)| self.lack(server, said)).collect();
        let is_open = self.remember(&found.servers);
        let told = match &verdict {
            Verdict::Durable => None,
            Verdict::GivesUp(sentence) | Verdict::Refused(sentence) => Some(sentence.clone()),
        };
        let lack = (!lacks.is_empty()).then(|| lacks.join("; "));
        self.tell(told.or_else(|| lack.clone()));
        found.failure.map_or(Ok(Look { verdict, lack, is_open }), |failure| Err(failure.into()))
    }

    /// That a server has too few replicas, if so.
    fn lack(&self, server: &Server, said: &Durability) -> Option<String> {
        (said.replicas < self.replicas_min).then(|| {
            let groups: Vec<&str> = server.groups.iter().map(Group::as_str).collect();
            let (wanted, at, has, groups) = (self.replicas_min, &server.address, said.replicas, groups.join(", "));
            format!("QUEUE_MIN_REPLICAS={wanted}, and the Redis at {at} has {has} connected: nothing is accepted into {groups}")
        })
    }

    /// Says whether any group accepts.
    fn remember(&self, found: &[(Server, Durability)]) -> bool {
        let mut accepting = self.accepting.write().unwrap_or_else(PoisonError::into_inner);
        for (server, said) in found {
            let is_kept = !matches!(judge(said, self.demanded), Verdict::Refused(_));
            let accepts = is_kept && said.replicas >= self.replicas_min;
            for group in &server.groups {
                if accepts {
                    accepting.insert(group.clone());
                } else {
                    accepting.remove(group);
                }
            }
        }
        !accepting.is_empty()
    }

    fn tell(&self, sentence: Option<String>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != sentence {
            if let Some(sentence) = &sentence {
                tracing::warn!("{sentence}");
            }
            *told = sentence;
        }
    }

    /// The answer of a readiness check: Redis answers, is seeded, and keeps what it accepts. That some groups have too few
    /// replicas is told, but must not keep commands of the others away.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub async fn readiness(&self, link: &Link) -> Result<Option<String>, String> {
        link.connect().await.map_err(|error| format!("cannot be used: {}", chain(&error)))?;
        let look = self.look(link).await.map_err(|error| format!("cannot be asked: {error:#}"))?;
        let given_up = look.verdict.into_check()?;
        if !look.is_open {
            return Err(look.lack.unwrap_or_else(|| "no group accepts anything".to_owned()));
        }
        let waits = format!("a 202 waits until {} replicas have the request (QUEUE_MIN_REPLICAS)", self.replicas_min);
        let waits = (self.replicas_min > 0).then_some(waits);
        let all: Vec<String> = given_up.into_iter().chain(waits).chain(look.lack).collect();
        Ok((!all.is_empty()).then(|| all.join("; ")))
    }

    /// Lets [`DurabilityWatch::keep_looking`] look at once: a server was reached that may be another than before, or may have
    /// been started anew with other settings.
    pub fn look_soon(&self) {
        self.due.notify_one();
    }

    /// Looks again whenever that is due until dropped; where replicas are demanded, also again and again. Without it every
    /// command would wait in vain for a replica that is gone, and be decided all the same.
    pub async fn keep_looking(&self, link: &Link) {
        let mut again = (self.replicas_min > 0).then_some(REPLICAS_COUNTED_EVERY);
        loop {
            match again {
                Some(rest) => drop(tokio::time::timeout(rest, self.due.notified()).await),
                None => self.due.notified().await,
            }
            again = (self.replicas_min > 0).then_some(REPLICAS_COUNTED_EVERY);
            if let Err(error) = self.look(link).await {
                tracing::debug!("not every Redis of the lines can be asked about its durability: {error:#}");
                again = again.or(Some(RETRY_PAUSE));
            }
        }
    }
}

/// What a look at Redis found.
#[derive(Debug)]
pub struct Look {
    /// How well it keeps what it accepts.
    pub verdict: Verdict,
    /// Where there are too few replicas, if so.
    lack: Option<String>,
    /// Whether any group accepts.
    is_open: bool,
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
            judge(&check(redis).await?, self.durability.demanded).into_check()?;
            self.durability.look_soon();
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
        match watch.look(link).await {
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
