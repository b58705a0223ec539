//! The public listener: connections, their time limits, and their end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use futures::{FutureExt, TryFutureExt};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use runtime::limits::HTTP_LISTEN_BACKLOG_CONNECTIONS;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::{ACCEPT_PAUSE_MS, CONNECTIONS_MAX, FAREWELL_MS, HEAD_MAX_BYTES, HEADER_READ_SECONDS};
use crate::linger::{LeftUnread, Lingering};

/// Opens the public listener, with room for everybody who comes at the same instant.
///
/// # Errors
/// A sentence when the address is taken or not ours.
pub fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restart must not wait for the last connections of its predecessor to be forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(HTTP_LISTEN_BACKLOG_CONNECTIONS)
    };
    open().map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => anyhow::anyhow!("API_ADDR {address} is already taken by another process"),
        _ => anyhow::Error::new(error).context(format!("cannot listen at API_ADDR {address}")),
    })
}

/// Answers until `until` is cancelled, and for a farewell: whoever is answered then hears that the connection ends, so that
/// nobody sends over one that is just being closed. After it takes no more connections, lets every request in hand be
/// answered, and returns when the last connection is closed.
pub async fn serve(listener: TcpListener, routes: Router, until: CancellationToken) {
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let closing = Closing::default();
    let open = |place, stream, peer| {
        let connection = answer(stream, peer, routes.clone(), closing.clone());
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    };
    let farewell = async {
        until.cancelled().await;
        closing.is_near.store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(FAREWELL_MS)).await;
    };
    tokio::pin!(farewell);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut farewell => break,
        };
        match accepted {
            Ok((stream, peer)) => open(place, stream, peer),
            // The client was quicker to leave than we to open.
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted; trying again");
                tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            }
        }
    }
    // Those who are connected already, and wait with the kernel, may have sent.
    while let Ok(place) = Arc::clone(&places).try_acquire_owned() {
        let Some(Ok((stream, peer))) = listener.accept().now_or_never() else {
            break;
        };
        open(place, stream, peer);
    }
    drop(listener);
    closing.end.cancel();
    connections.close();
    connections.wait().await;
}

/// How far the end has come.
#[derive(Debug, Clone, Default)]
struct Closing {
    /// Answers say that the connection ends.
    is_near: Arc<AtomicBool>,
    /// Connections at rest end.
    end: CancellationToken,
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// Who is at the other end of the connection that a request came over: a caller, or a proxy.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

async fn answer(stream: TcpStream, peer: SocketAddr, routes: Router, closing: Closing) {
    // Answers are small and whole: waiting to fill a packet only makes them late.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection cannot be told to send at once");
    }
    let routes = TowerToHyperService::new(routes);
    let is_near = closing.is_near;
    let has_asked = Arc::new(AtomicBool::new(false));
    let asking = Arc::clone(&has_asked);
    let left_unread = LeftUnread::default();
    let stream = Lingering::new(stream, left_unread.clone());
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        asking.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(Peer(peer.ip()));
        let (is_near, left_unread) = (Arc::clone(&is_near), left_unread.clone());
        routes.call(request.map(|body| left_unread.watch(body))).map_ok(move |mut answer| {
            if is_near.load(Ordering::Relaxed) || left_unread.is_much() {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            answer
        })
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .max_buf_size(HEAD_MAX_BYTES)
        .header_read_timeout(Duration::from_secs(HEADER_READ_SECONDS))
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let end = async {
        closing.end.cancelled().await;
        if !has_asked.load(Ordering::Relaxed) {
            // The request of whoever has just come is on its way. After it the connection ends by itself.
            tokio::time::sleep(Duration::from_millis(FAREWELL_MS)).await;
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = end => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}

/// Lets this process open as many files as it is allowed to: by default that is often 1,024, less than the connections
/// of one flash sale.
///
/// # Errors
/// When the limit cannot be raised; the process works, with fewer connections.
pub fn raise_file_limit() -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).context("raising the limit of open files")
}
