//! Listening, and answering by HTTP. By hand, because a connection must be cut without an answer when a switch says so.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::limits::{ACCEPT_PAUSE, CONNECTIONS_MAX};

/// The mark of an answer that is not given: the connection is cut instead.
#[derive(Debug, Clone, Copy)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is cut, as a switch says")
    }
}

impl Error for Cut {}

/// No answer: whoever waits for one finds the connection closed.
pub(crate) fn cut() -> Response {
    let mut response = ().into_response();
    response.extensions_mut().insert(Cut);
    response
}

/// Takes connections, and lets each be talked to, until `until` is cancelled; that ends them, too.
pub(crate) async fn accept<Talk>(
    listener: TcpListener,
    until: CancellationToken,
    talk: impl Fn(TcpStream) -> Talk + Send,
) where
    Talk: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let accepting = async {
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (talking, until) = (talk(stream), until.clone());
                    tokio::spawn(async move {
                        until.run_until_cancelled(talking).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!("taking a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    until.run_until_cancelled(accepting).await;
}

/// Answers the requests of one connection.
pub(crate) async fn answer(stream: TcpStream, routes: Router) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let routes = routes.clone();
        async move {
            let Ok(response) = routes.oneshot(request).await;
            match response.extensions().get::<Cut>() {
                Some(cut) => Err(*cut),
                None => Ok(response),
            }
        }
    });
    let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!("a connection ended: {error}");
    }
}
