//! Whether the process can do its work now, and if not, why: the answers of `/healthz` and `/readyz`.

use crate::limits::{READINESS_CHECK_TIMEOUT_MS, READINESS_SHARED_MS};
use crate::postgres::{SchemaState, schema_state};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use sqlx::PgPool;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

type Run = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Detail, String>> + Send>> + Send + Sync>;

/// What a passed check has to say; mostly nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detail(Option<String>);

impl From<()> for Detail {
    fn from((): ()) -> Self {
        Detail(None)
    }
}

impl From<String> for Detail {
    fn from(sentence: String) -> Self {
        Detail(Some(sentence))
    }
}

impl From<Option<String>> for Detail {
    fn from(sentence: Option<String>) -> Self {
        Detail(sentence)
    }
}

/// The answer of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Whether all checks passed.
    pub ready: bool,
    /// Every check, in the order in which they were named.
    pub checks: Vec<CheckAnswer>,
}

/// How one check went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckAnswer {
    /// Its name.
    pub name: &'static str,
    /// Whether it passed.
    pub ok: bool,
    /// What is wrong, or what a passed check wants to be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The named checks of a process. Cloning shares them and their latest answer.
#[derive(Clone)]
pub struct Readiness {
    shared: Arc<Shared>,
}

struct Shared {
    checks: Vec<(&'static str, Arc<Run>)>,
    shutdown: CancellationToken,
    latest: Mutex<Option<(Instant, Answer)>>,
}

/// Collects the checks before they are shared.
pub struct ReadinessBuilder {
    checks: Vec<(&'static str, Arc<Run>)>,
    shutdown: CancellationToken,
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.shared.checks.iter().map(|(name, _)| name);
        f.debug_tuple("Readiness").field(&names.collect::<Vec<_>>()).finish()
    }
}

impl fmt::Debug for ReadinessBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.checks.iter().map(|(name, _)| name);
        f.debug_tuple("ReadinessBuilder").field(&names.collect::<Vec<_>>()).finish()
    }
}

impl Readiness {
    /// Starts with no checks. From `shutdown` on the process is never ready, so that no new callers are sent to it.
    pub fn builder(shutdown: CancellationToken) -> ReadinessBuilder {
        ReadinessBuilder { checks: Vec::new(), shutdown }
    }

    /// Runs all checks at once, each within `READINESS_CHECK_TIMEOUT_MS`; answers are shared for `READINESS_SHARED_MS`.
    pub async fn answer(&self) -> Answer {
        if self.shared.shutdown.is_cancelled() {
            return Answer {
                ready: false,
                checks: vec![CheckAnswer {
                    name: "lifecycle",
                    ok: false,
                    detail: Some("the process is shutting down".to_owned()),
                }],
            };
        }
        // Whoever comes while the checks run waits here for the same answer.
        let mut latest = self.shared.latest.lock().await;
        if let Some((at, answer)) = &*latest
            && at.elapsed() < Duration::from_millis(READINESS_SHARED_MS)
        {
            return answer.clone();
        }
        let limit = Duration::from_millis(READINESS_CHECK_TIMEOUT_MS);
        let answer = run_all(&self.shared.checks, limit).await;
        *latest = Some((Instant::now(), answer.clone()));
        answer
    }
}

impl ReadinessBuilder {
    /// Adds a check. An `Err` is a sentence that says what is wrong; an `Ok` may carry one, too.
    #[must_use]
    pub fn check<D, F, Fut>(mut self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<D, String>> + Send + 'static,
        D: Into<Detail>,
    {
        let run: Run = Box::new(move || {
            let answer = check();
            Box::pin(async move { answer.await.map(Into::into) })
        });
        self.checks.push((name, Arc::new(run)));
        self
    }

    /// Adds the check of Postgres: it answers, and has this program's schema.
    #[must_use]
    pub fn postgres(self, pool: PgPool) -> Self {
        self.check("postgres", move || {
            let pool = pool.clone();
            async move {
                match schema_state(&pool).await {
                    Ok(SchemaState::Current) => Ok(()),
                    Ok(other) => Err(other.to_string()),
                    Err(error) => Err(format!("cannot be asked: {error}")),
                }
            }
        })
    }

    /// No more checks.
    pub fn build(self) -> Readiness {
        Readiness {
            shared: Arc::new(Shared { checks: self.checks, shutdown: self.shutdown, latest: Mutex::new(None) }),
        }
    }
}

async fn run_all(checks: &[(&'static str, Arc<Run>)], limit: Duration) -> Answer {
    let mut running = JoinSet::new();
    for (place, (_, run)) in checks.iter().enumerate() {
        let run = Arc::clone(run);
        running.spawn(async move {
            let outcome =
                tokio::time::timeout(limit, run()).await.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")));
            (place, outcome)
        });
    }
    let mut outcomes: Vec<Result<Detail, String>> = vec![Err("the check itself panicked".to_owned()); checks.len()];
    while let Some(ended) = running.join_next().await {
        if let Ok((place, outcome)) = ended {
            outcomes[place] = outcome;
        }
    }
    let checks: Vec<CheckAnswer> = checks
        .iter()
        .zip(outcomes)
        .map(|((name, _), outcome)| match outcome {
            Ok(Detail(detail)) => CheckAnswer { name, ok: true, detail },
            Err(wrong) => CheckAnswer { name, ok: false, detail: Some(wrong) },
        })
        .collect();
    Answer { ready: checks.iter().all(|check| check.ok), checks }
}

/// `/healthz` (the process lives) and `/readyz` (it can work), for the listener of the operators and the public one.
pub fn health_routes(readiness: Readiness) -> Router {
    Router::new().route("/healthz", get(|| async { "ok\n" })).route(
        "/readyz",
        get(move || {
            let readiness = readiness.clone();
            async move {
                let answer = readiness.answer().await;
                let status = if answer.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                (status, Json(answer))
            }
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn shown(answer: &Answer) -> String {
        serde_json::to_string(answer).expect("serializable")
    }

    #[tokio::test]
    async fn answers_name_every_check() {
        let readiness = Readiness::builder(CancellationToken::new())
            .check("plain", || async { Ok(()) })
            .check("talkative", || async { Ok("relaxed: may lose".to_owned()) })
            .check("broken", || async { Err::<(), _>("is away".to_owned()) })
            .check("panicking", || async {
                if true {
                    panic!("wanted by the test");
                }
                Ok(())
            })
            .build();
        assert_eq!(
            shown(&readiness.answer().await),
            r#"{"ready":false,"checks":[{"name":"plain","ok":true},{"name":"talkative","ok":true,"detail":"relaxed: may lose"},{"name":"broken","ok":false,"detail":"is away"},{"name":"panicking","ok":false,"detail":"the check itself panicked"}]}"#
        );
    }

    #[tokio::test]
    async fn a_check_that_hangs_has_failed_and_holds_up_no_other() {
        let readiness = Readiness::builder(CancellationToken::new())
            .check("hangs", std::future::pending::<Result<(), String>>)
            .check("answers", || async { Ok(()) })
            .build();
        let answer = run_all(&readiness.shared.checks, Duration::from_millis(20)).await;
        assert_eq!(
            shown(&answer),
            r#"{"ready":false,"checks":[{"name":"hangs","ok":false,"detail":"no answer within 20ms"},{"name":"answers","ok":true}]}"#
        );
    }

    #[tokio::test]
    async fn many_callers_share_one_run() {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let readiness = Readiness::builder(CancellationToken::new())
            .check("counted", || async {
                RUNS.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok(())
            })
            .build();
        let mut callers = JoinSet::new();
        for _ in 0..100 {
            let readiness = readiness.clone();
            callers.spawn(async move { readiness.answer().await.ready });
        }
        assert!(callers.join_all().await.into_iter().all(|ready| ready));
        assert_eq!(RUNS.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_process_that_shuts_down_is_not_ready() {
        let shutdown = CancellationToken::new();
        let readiness = Readiness::builder(shutdown.clone()).build();
        assert!(readiness.answer().await.ready);
        shutdown.cancel();
        assert!(!readiness.answer().await.ready);
    }
}
