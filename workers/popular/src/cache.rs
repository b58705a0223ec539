//! One answer for everybody: kept in Redis, filled by one caller while the others wait.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use lanes::Link;
use redis::RedisResult;
use runtime::metrics::{self, popular_cache};
use sqlx::PgPool;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::count::{Question, count};
use crate::limits::{COUNT_MAX, COUNTS_IN_FLIGHT_MAX, FILL_LOOK_EVERY, FILL_MAX, REMEMBERED};

/// An answer as it is sent, the JSON of a [`Popular`](crate::Popular), and until when it need not be asked for again.
struct Fresh {
    json: Arc<str>,
    until: Instant,
}

/// The cache of all questions. A copy shares it.
#[derive(Clone)]
pub struct Cache(Arc<Shared>);

struct Shared {
    pool: PgPool,
    link: Link,
    ttl: Duration,
    /// The last answer to each question, behind a lock that is held while it is looked for. Questions are few: their
    /// bounds allow 1,500.
    answers: StdMutex<HashMap<Question, Arc<Mutex<Option<Fresh>>>>>,
    counting: Semaphore,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("ttl", &self.0.ttl).finish_non_exhaustive()
    }
}

impl Cache {
    /// A cache whose answers are kept for `ttl` (at least 1 s). Redis is connected to when it is first needed.
    pub fn new(pool: PgPool, link: Link, ttl: Duration) -> Cache {
        let (answers, counting) = (StdMutex::default(), Semaphore::new(COUNTS_IN_FLIGHT_MAX));
        Cache(Arc::new(Shared { pool, link, ttl, answers, counting }))
    }

    /// The answer, the JSON of a [`Popular`](crate::Popular), at most as old as the cache keeps it. Without Redis it is counted here and kept for a moment.
    ///
    /// # Errors
    /// When it had to be counted and Postgres failed.
    pub async fn get(&self, question: Question) -> Result<Arc<str>, sqlx::Error> {
        let slot = self.slot(question);
        let mut slot = slot.lock().await;
        if let Some(fresh) = slot.as_ref().filter(|fresh| fresh.until > Instant::now()) {
            metrics::popular_reads(popular_cache::HIT).increment(1);
            return Ok(Arc::clone(&fresh.json));
        }
        // In a task of its own: a client that hangs up must not leave a promise to count behind, for which others wait.
        let cache = self.clone();
        let filling = tokio::spawn(async move { cache.look_or_fill(question).await });
        let (json, came_from) = filling.await.expect("looking and counting do not panic")?;
        metrics::popular_reads(came_from).increment(1);
        *slot = Some(Fresh { json: Arc::clone(&json), until: Instant::now() + REMEMBERED });
        Ok(json)
    }

    /// Counts anew, whatever is kept, and keeps the result.
    ///
    /// # Errors
    /// When Postgres fails. A Redis that is away is only logged: the next caller will count.
    pub async fn refresh(&self, question: Question) -> Result<(), sqlx::Error> {
        let json = self.count(question).await?;
        if let Err(error) = self.keep(question, &json).await {
            tracing::warn!(%error, "the popular products could not be kept in Redis");
        }
        Ok(())
    }

    fn slot(&self, question: Question) -> Arc<Mutex<Option<Fresh>>> {
        // Looking up and inserting cannot leave a map half done.
        let mut answers = self.0.answers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(answers.entry(question).or_default())
    }

    /// The answer, and as which of [`popular_cache`] it counts.
    async fn look_or_fill(&self, question: Question) -> Result<(Arc<str>, &'static str), sqlx::Error> {
        let give_up_at = Instant::now() + FILL_MAX;
        let promise = Uuid::new_v4().to_string();
        let counted = loop {
            match self.look_or_promise(question, &promise).await {
                Ok(Look::Kept(json)) => return Ok((json, popular_cache::HIT)),
                Ok(Look::Mine) => break self.fill(question, &promise).await,
                Ok(Look::Somebodys) if Instant::now() < give_up_at => tokio::time::sleep(FILL_LOOK_EVERY).await,
                Ok(Look::Somebodys) => break self.count(question).await,
                Err(error) => {
                    tracing::debug!(%error, "the cache of popular products cannot be asked");
                    break self.count(question).await;
                }
            }
        };
        Ok((counted?, popular_cache::MISS))
    }

    /// What is kept; or the promise to count, given to one caller of all processes at a time.
    async fn look_or_promise(&self, question: Question, promise: &str) -> RedisResult<Look> {
        if let Some(json) = self.look(question).await? {
            return Ok(Look::Kept(json));
        }
        let mut promising = redis::cmd("SET");
        let key = promise_key(question);
        promising.arg(&key).arg(promise).arg("NX").arg("PX").arg(milliseconds(FILL_MAX));
        let promised: Option<String> = promising.query_async(&mut self.0.link.routed(&key)).await?;
        if promised.is_none() {
            return Ok(Look::Somebodys);
        }
        // Somebody else may have kept the answer and ended a promise between our look and ours.
        match self.look(question).await? {
            Some(json) => {
                self.take_back(question, promise).await?;
                Ok(Look::Kept(json))
            }
            None => Ok(Look::Mine),
        }
    }

    async fn look(&self, question: Question) -> RedisResult<Option<Arc<str>>> {
        let mut looking = redis::cmd("GET");
        let key = question.key();
        let kept: Option<String> = looking.arg(&key).query_async(&mut self.0.link.routed(&key)).await?;
        Ok(kept.map(Into::into))
    }

    async fn fill(&self, question: Question, promise: &str) -> Result<Arc<str>, sqlx::Error> {
        let counted = self.count(question).await;
        let kept = match &counted {
            Ok(json) => self.keep(question, json).await,
            Err(_) => Ok(()),
        };
        if let Err(error) = kept.and(self.take_back(question, promise).await) {
            tracing::warn!(%error, "the popular products could not be kept in Redis");
        }
        counted
    }

    async fn keep(&self, question: Question, json: &str) -> RedisResult<()> {
        let mut keeping = redis::cmd("SET");
        let key = question.key();
        keeping.arg(&key).arg(json).arg("PX").arg(milliseconds(self.0.ttl));
        keeping.query_async(&mut self.0.link.routed(&key)).await
    }

    /// Ends the promise, if it is still ours. Between the two commands it may run out and be given to somebody else: then
    /// two count, which costs time and harms nobody.
    async fn take_back(&self, question: Question, promise: &str) -> RedisResult<()> {
        let key = promise_key(question);
        let mut redis = self.0.link.routed(&key);
        let held: Option<String> = redis::cmd("GET").arg(&key).query_async(&mut redis).await?;
        if held.as_deref() == Some(promise) {
            redis::cmd("DEL").arg(&key).query_async::<()>(&mut redis).await?;
        }
        Ok(())
    }

    async fn count(&self, question: Question) -> Result<Arc<str>, sqlx::Error> {
        let _permit = self.0.counting.acquire().await.expect("the semaphore is never closed");
        let popular = timeout(COUNT_MAX, count(&self.0.pool, question, None))
            .await
            .unwrap_or_else(|_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())))?;
        metrics::popular_counts().increment(1);
        Ok(serde_json::to_string(&popular).expect("numbers and texts can be written as JSON").into())
    }
}

/// What a look into the cache found.
enum Look {
    Kept(Arc<str>),
    Mine,
    Somebodys,
}

fn promise_key(question: Question) -> String {
    format!("{}:counting", question.key())
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
