//! What runs beside the answers: the migrations, the first look at Redis, the listener for outcomes, the gauges.

use std::sync::Arc;

use lanes::{Link, listen_decided};
use runtime::causes::chain;
use runtime::line_gauges::keep_line_gauges;
use runtime::postgres::{self, SchemaError};
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::durability::first_look;
use crate::limits::RETRY_PAUSE;
use crate::state::AppState;

/// The tasks, until they are ended.
pub struct Watching {
    tasks: JoinSet<anyhow::Result<()>>,
    shutdown: CancellationToken,
}

/// Starts the tasks. One that finds a reason not to go on ends the process by `shutdown`; [`Watching::end`] tells it.
pub fn start(state: &AppState, link: &Link, migrate: bool, shutdown: &CancellationToken) -> Watching {
    let mut tasks = JoinSet::new();
    let fatal = |work: Fatal| {
        let shutdown = shutdown.clone();
        async move {
            let ended = work.await;
            if ended.is_err() {
                shutdown.cancel();
            }
            ended
        }
    };
    if migrate {
        tasks.spawn(fatal(Box::pin(apply_migrations(PgPool::clone(&state.pool), shutdown.clone()))));
    }
    tasks.spawn(fatal(Box::pin(open_lines(state.clone(), link.clone(), shutdown.clone()))));
    tasks.spawn(until(shutdown.clone(), listen(state.clone(), link.clone())));
    let (durability, looked_at) = (Arc::clone(&state.durability), link.clone());
    let looking = async move { durability.keep_looking(&looked_at).await };
    tasks.spawn(until(shutdown.clone(), looking));
    tasks.spawn(until(shutdown.clone(), keep_terms(state.clone())));
    let lines = state.lines.all().map(|(_, line)| line.lanes.clone()).collect();
    tasks.spawn(until(shutdown.clone(), keep_line_gauges(lines)));
    Watching { tasks, shutdown: shutdown.clone() }
}

type Fatal = std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

async fn until(shutdown: CancellationToken, work: impl Future<Output = ()>) -> anyhow::Result<()> {
    shutdown.run_until_cancelled(work).await;
    Ok(())
}

impl Watching {
    /// Ends the tasks.
    ///
    /// # Errors
    /// Why the process could not go on, if one of them found a reason.
    pub async fn end(mut self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        let mut fatal = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            fatal = fatal.and(ended.unwrap_or_else(|error| Err(error.into())));
        }
        fatal
    }
}

/// Tries until the migrations are applied. Meanwhile `/readyz` says that they are missing, and reads answer 503.
async fn apply_migrations(pool: PgPool, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut told = false;
    while let Some(applied) = shutdown.run_until_cancelled(postgres::migrate(&pool)).await {
        match applied {
            Ok(()) => return Ok(()),
            // No waiting mends this.
            Err(error @ SchemaError::Changed(_)) => return Err(error.into()),
            Err(error) if !told => {
                told = true;
                tracing::warn!("the migrations are not applied yet; trying again until they are: {}", chain(&error));
            }
            Err(_) => {}
        }
        shutdown.run_until_cancelled(tokio::time::sleep(RETRY_PAUSE)).await;
    }
    Ok(())
}

/// Looks at Redis, then connects the lines, so that the first shopper need not wait for it.
async fn open_lines(state: AppState, link: Link, shutdown: CancellationToken) -> anyhow::Result<()> {
    first_look(&state.durability, &link, &shutdown).await?;
    let mut told = false;
    while let Some(connected) = shutdown.run_until_cancelled(connect(&state, &link)).await {
        match connected {
            Ok(true) => return Ok(()),
            Ok(false) => tracing::debug!("the lines wait for the schema"),
            Err(error) if !told => {
                told = true;
                tracing::warn!(
                    "the lines cannot be opened yet; trying again until they can: {}",
                    chain(error.as_ref())
                );
            }
            Err(_) => {}
        }
        shutdown.run_until_cancelled(tokio::time::sleep(RETRY_PAUSE)).await;
    }
    Ok(())
}

/// Connects the lines; false: there is no schema yet that could be asked which tickets were given.
async fn connect(state: &AppState, link: &Link) -> anyhow::Result<bool> {
    let is_current = postgres::schema_is_current(&state.pool).await?;
    if is_current {
        link.connect().await?;
    }
    Ok(is_current)
}

/// Keeps what coupons demand, once there are coupons, until dropped.
async fn keep_terms(state: AppState) {
    // That Postgres cannot be asked is told by whoever needs it then.
    while matches!(postgres::schema_is_current(&state.pool).await, Ok(false)) {
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    state.terms.keep().await;
}

/// Wakes those who wait, until dropped.
async fn listen(state: AppState, link: Link) {
    let (waiters, durability) = (&state.waiters, &state.durability);
    let connected = || {
        waiters.look_again();
        durability.look_soon();
    };
    listen_decided(&link, connected, |decisions| {
        // An outcome that is left open is no news: it is told when it is known.
        for decision in decisions.iter().filter(|decision| !decision.outcome.is_empty()) {
            waiters.decided(decision.id, decision.outcome);
        }
    })
    .await;
}
