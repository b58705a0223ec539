//! Somebody else's server: keeps what it gets, and answers as it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How one request is answered.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// With this status and text.
    Status(u16, &'static str),
    /// With a redirect to this address.
    Redirect(&'static str),
    /// Never.
    Hang,
}

/// What came.
#[derive(Debug, Clone)]
pub struct Received {
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

#[derive(Debug, Default)]
struct Desk {
    received: Vec<Received>,
    next: VecDeque<Answer>,
    otherwise: Option<Answer>,
}

/// A server on loopback; it ends with its handle.
pub struct Receiver {
    pub url: String,
    desk: Arc<Mutex<Desk>>,
    serving: JoinHandle<()>,
}

impl Receiver {
    pub async fn start() -> Receiver {
        let desk: Arc<Mutex<Desk>> = Arc::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/in", listener.local_addr().unwrap());
        let router = Router::new().fallback(take).with_state(Arc::clone(&desk));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Receiver { url, desk, serving }
    }

    /// The next requests are answered like this, one after the other.
    pub fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.desk.lock().unwrap().next.extend(answers);
    }

    /// What is not told otherwise is answered like this; at first with 200.
    pub fn otherwise(&self, answer: Answer) {
        self.desk.lock().unwrap().otherwise = Some(answer);
    }

    pub fn received(&self) -> Vec<Received> {
        self.desk.lock().unwrap().received.clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(desk): State<Arc<Mutex<Desk>>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let answer = {
        let mut desk = desk.lock().unwrap();
        desk.received.push(Received { headers, body });
        desk.next.pop_front().or(desk.otherwise).unwrap_or(Answer::Status(200, ""))
    };
    let response = Response::builder();
    match answer {
        Answer::Status(status, text) => {
            response.status(StatusCode::from_u16(status).unwrap()).body(Body::from(text)).unwrap()
        }
        Answer::Redirect(location) => response.status(302).header("location", location).body(Body::empty()).unwrap(),
        Answer::Hang => std::future::pending().await,
    }
}
