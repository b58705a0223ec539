//! Sending JSON to somebody else's server, which may be slow, wrong, or not what it seems.

use std::error::Error as _;
use std::time::{Duration, Instant};

use anyhow::Context;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use runtime::config::check_target;

/// Of an answer so much is read, so that the connection can be used again; behind it whoever sends more is cut off.
pub(super) const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// Of an answer so much is kept.
const KEPT_MAX_BYTES: usize = 1024;

/// How long opening a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A server that JSON is sent to.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    url: Url,
    client: Client,
    timeout: Duration,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// How long it took.
    pub took: Duration,
    /// The status of the answer; none: there was none.
    pub status: Option<u16>,
    /// Why it was no success; none: it was one.
    pub error: Option<String>,
    /// The beginning of the answer.
    pub answer: Option<String>,
}

impl Target {
    /// A target, if what is sent to it cannot be read on its way.
    ///
    /// # Errors
    /// A sentence when the URL is none, or must not be sent to.
    pub fn new(url: &str, timeout: Duration, allow_private_http: bool) -> anyhow::Result<Target> {
        let url = Url::parse(url).context("it is no URL")?;
        check_target(url.scheme(), url.host_str(), allow_private_http).map_err(anyhow::Error::msg)?;
        Ok(Target { url, client: client(timeout)?, timeout })
    }

    /// How long an attempt may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sends JSON once. A 2xx within the time-out is a success, whatever the rest of the answer is.
    pub async fn post(&self, json: String, mut headers: HeaderMap) -> Attempt {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let began = Instant::now();
        let sent = self.client.post(self.url.clone()).headers(headers).body(json).send().await;
        let (status, error, answer) = match sent {
            Ok(response) => {
                let status = response.status();
                let error = (!status.is_success()).then(|| format!("answered {}", status.as_u16()));
                (Some(status.as_u16()), error, beginning_of(response).await)
            }
            Err(error) => (None, Some(in_words(error)), None),
        };
        Attempt { took: began.elapsed(), status, error, answer }
    }
}

/// A client whose every exchange ends in time, and that goes nowhere but where it was sent.
///
/// # Errors
/// When the TLS of this machine cannot be set up.
pub(super) fn client(timeout: Duration) -> anyhow::Result<Client> {
    Client::builder()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_MAX.min(timeout))
        .timeout(timeout)
        .user_agent(concat!("droplane/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("making an HTTP client")
}

/// The beginning of an answer; what cannot be read of it is left out.
async fn beginning_of(mut response: Response) -> Option<String> {
    let (mut kept, mut read) = (Vec::new(), 0);
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        let room = KEPT_MAX_BYTES - kept.len();
        kept.extend_from_slice(&chunk[..room.min(chunk.len())]);
        if read > ANSWER_MAX_BYTES {
            break;
        }
    }
    text_of(&kept)
}

/// The bytes as a text that Postgres takes: it takes no zero.
pub(crate) fn text_of(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}");
    (!text.is_empty()).then_some(text)
}

/// The error with all its causes, without the URL, which may hold a secret.
pub(super) fn in_words(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "timed out".to_owned();
    }
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        words.push_str(": ");
        words.push_str(&source.to_string());
        cause = source.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// What a sender gets rid of beyond what is read, in bytes: the sockets of both sides keep some of it.
    const KEPT_BY_SOCKETS_MAX_BYTES: usize = 16 * 1024 * 1024;

    /// So much would come, in bytes, if it were read.
    const FLOOD_BYTES: usize = 1024 * 1024 * 1024;

    #[tokio::test]
    async fn an_answer_without_end_is_read_no_further_than_need_be() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let flooding = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4_096]).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let (piece, mut sent) = ([b' '; 16 * 1024], 0);
            while sent < FLOOD_BYTES && stream.write_all(&piece).await.is_ok() {
                sent += piece.len();
            }
            sent
        });
        let attempt = Target::new(&url, CONNECT_MAX, false).unwrap().post("{}".to_owned(), HeaderMap::new()).await;
        assert_eq!((attempt.status, &attempt.error), (Some(200), &None), "{attempt:?}");
        assert_eq!(attempt.answer.map(|answer| answer.len()), Some(KEPT_MAX_BYTES));
        let sent = flooding.await.unwrap();
        assert!(
            (ANSWER_MAX_BYTES..ANSWER_MAX_BYTES + KEPT_BY_SOCKETS_MAX_BYTES).contains(&sent),
            "{sent} bytes were sent"
        );
    }

    /// A name of somebody outside that leads to a server within, which cannot prove that it is the one: it hears no more than
    /// that somebody would like to speak TLS.
    #[tokio::test]
    async fn who_cannot_prove_a_name_that_leads_to_it_hears_nothing() {
        const SECRET: &str = "what only the named one may hear";
        const TLS_HANDSHAKE: u8 = 22;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        let within = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut heard, mut piece) = (Vec::new(), [0; 4_096]);
            let read = stream.read(&mut piece).await.unwrap();
            heard.extend_from_slice(&piece[..read]);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            while let Ok(read @ 1..) = stream.read(&mut piece).await {
                heard.extend_from_slice(&piece[..read]);
            }
            heard
        });
        let target = Target::new(&url, CONNECT_MAX, false).unwrap();
        let attempt = target.post(format!("{{\"text\":\"{SECRET}\"}}"), HeaderMap::new()).await;
        assert!(attempt.status.is_none() && attempt.error.is_some(), "{attempt:?}");
        let heard = within.await.unwrap();
        assert_eq!(heard.first(), Some(&TLS_HANDSHAKE));
        assert!(!String::from_utf8_lossy(&heard).contains(SECRET));
    }
}
