//! The listener for operators, one per process and apart from the public door: `/metrics`, `/healthz`, `/readyz`.

use crate::limits::METRICS_UPKEEP_SECONDS;
use crate::metrics::record_process;
use crate::readiness::{Readiness, health_routes};
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The format of the text that Prometheus scrapes.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Something to be measured anew at each scrape, because its value is a state and not an event.
pub type Sample = Box<dyn Fn() + Send + Sync>;

/// The listener cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process listens there.
    #[error("METRICS_ADDR {0} is already taken by another process; give this one an address of its own")]
    Taken(SocketAddr, #[source] io::Error),
    /// The address is not ours, or we may not listen there.
    #[error("cannot listen at METRICS_ADDR {0}")]
    Refused(SocketAddr, #[source] io::Error),
}

/// An open listener that does not answer yet.
#[derive(Debug)]
pub struct AdminListener {
    listener: TcpListener,
    address: SocketAddr,
}

impl AdminListener {
    /// Opens the listener. Done first of all, so that a taken address is told before anything else happens.
    ///
    /// # Errors
    /// See [`BindError`]; the program should print it and exit.
    pub async fn bind(address: SocketAddr) -> Result<AdminListener, BindError> {
        let refused = |error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => BindError::Taken(address, error),
            _ => BindError::Refused(address, error),
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(AdminListener { listener, address })
    }

    /// Where it listens; with port 0 configured, the port that was given.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `until` is cancelled. Operators want to watch a process that is shutting down, so this is the
    /// last thing to end: give it a token that is cancelled when the work is done, not the one of the signal.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn serve(
        self,
        metrics: PrometheusHandle,
        samples: Vec<Sample>,
        readiness: Readiness,
        until: CancellationToken,
    ) -> io::Result<()> {
        let upkeep = tokio::spawn(keep_up(metrics.clone(), until.clone()));
        let samples = Arc::new(samples);
        let routes = health_routes(readiness).route(
            "/metrics",
            get(move || {
                record_process();
                samples.iter().for_each(|sample| sample());
                let text = metrics.render();
                async move { ([(CONTENT_TYPE, PROMETHEUS_TEXT)], text) }
            }),
        );
        let served = tokio::select! {
            served = async { axum::serve(self.listener, routes).await } => served,
            () = until.cancelled() => Ok(()),
        };
        upkeep.abort();
        served
    }
}

async fn keep_up(metrics: PrometheusHandle, until: CancellationToken) {
    let mut tick = tokio::time::interval(Duration::from_secs(METRICS_UPKEEP_SECONDS));
    while until.run_until_cancelled(tick.tick()).await.is_some() {
        metrics.run_upkeep();
    }
}
