//! One keep-alive connection to the API, used for one request at a time: what a browser would have, without a pool.
//!
//! It is written on the bare socket, because the load shares the processors with what it measures: a request is sent
//! as it was written beforehand, and an answer is read into a buffer that stays. Through an HTTP client it costs about
//! twice as much. It understands what the API sends: heads with a `content-length`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::letter::Letter;

/// Room for an ordinary answer; the buffer grows for others.
const BUFFER_BYTES: usize = 4 * 1024;
/// No answer of the API is longer: the audit's is the longest.
const ANSWER_MAX_BYTES: usize = 16 * 1024 * 1024;
const HEADERS_MAX: usize = 32;

/// What came back; the body stays with the connection until the next request.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
    /// How long the API wants to be left alone, if it says so.
    pub retry_after: Option<Duration>,
    /// Whether the answer was held until the outcome was known: its status is then the outcome.
    pub waited: bool,
    /// The id in `Location`: of the request that was made.
    pub made: Option<Uuid>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The connection had ended before anything was sent. Sending again is safe.
    #[error("the connection had ended")]
    Before,
    /// It ended afterwards. Nobody knows whether the request arrived.
    #[error("the connection ended before the answer")]
    Afterwards(#[source] io::Error),
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    ended: bool,
}

/// The head of an answer.
#[derive(Debug, Default)]
struct Head {
    status: u16,
    head_bytes: usize,
    body_bytes: usize,
    retry_after: Option<Duration>,
    waited: bool,
    made: Option<Uuid>,
    is_last: bool,
}

impl Connection {
    /// Opens one.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn open(address: SocketAddr) -> Result<Connection> {
        let trying = || format!("connecting to {address}");
        let stream = TcpStream::connect(address).await.with_context(trying)?;
        // A small request must not wait for the answer to the one before it.
        stream.set_nodelay(true).with_context(trying)?;
        Ok(Connection { stream, buffer: Vec::with_capacity(BUFFER_BYTES), ended: false })
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When the connection is lost, before the request was sent or after; open another one.
    pub async fn send(&mut self, letter: &Letter) -> Result<Answer<'_>, Lost> {
        if self.has_ended() {
            return Err(Lost::Before);
        }
        let head = self.exchange(letter.text()).await.map_err(Lost::Afterwards)?;
        self.ended = head.is_last;
        let Head { status, head_bytes, body_bytes, retry_after, waited, made, .. } = head;
        let body = &self.buffer[head_bytes..head_bytes + body_bytes];
        Ok(Answer { status, body, retry_after, waited, made })
    }

    /// Whether the other side has hung up. Between two requests it has nothing to say, so if there is something to be
    /// read, it is the end. Costs nothing as long as there is nothing.
    fn has_ended(&mut self) -> bool {
        let nothing_yet = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        self.ended = self.ended || !self.stream.try_read(&mut [0]).is_err_and(|error| nothing_yet(&error));
        self.ended
    }

    async fn exchange(&mut self, text: &[u8]) -> io::Result<Head> {
        // If this future is dropped half way, or fails, what comes next would be the answer to another request.
        self.ended = true;
        self.stream.write_all(text).await?;
        self.buffer.clear();
        let mut head = None;
        loop {
            self.buffer.reserve(BUFFER_BYTES);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if head.is_none() {
                head = Head::read(&self.buffer)?;
            }
            if let Some(head) = head.take_if(|head| head.head_bytes + head.body_bytes <= self.buffer.len()) {
                return Ok(head);
            }
        }
    }
}

impl Head {
    /// Reads the head; none if it is not complete yet.
    fn read(bytes: &[u8]) -> io::Result<Option<Head>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut answer = httparse::Response::new(&mut headers);
        let parsed = answer.parse(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let httparse::Status::Complete(head_bytes) = parsed else {
            return Ok(None);
        };
        let mut head = Head { status: answer.code.unwrap_or_default(), head_bytes, ..Head::default() };
        let mut length = None;
        for header in answer.headers.iter() {
            // Most headers are not looked at; their length tells at once.
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("content-length") {
                length = number(header.value);
            } else if is("retry-after") {
                head.retry_after = number(header.value).map(|seconds| Duration::from_secs(seconds as u64));
            } else if is("preference-applied") {
                head.waited = true;
            } else if is("location") {
                head.made = made(header.value);
            } else if is("connection") {
                head.is_last = header.value.eq_ignore_ascii_case(b"close");
            }
        }
        let understood = length.filter(|length| *length <= ANSWER_MAX_BYTES);
        head.body_bytes = understood.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "an answer without a length, or with one that is too large")
        })?;
        Ok(Some(head))
    }
}

fn number(value: &[u8]) -> Option<usize> {
    str::from_utf8(value).ok()?.trim().parse().ok()
}

/// The id at the end of a path.
fn made(location: &[u8]) -> Option<Uuid> {
    let id = location.rsplit(|byte| *byte == b'/').next()?;
    Uuid::try_parse_ascii(id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Door;
    use crate::load::scripted::Scripted;

    #[tokio::test]
    async fn answers_are_read_whole_however_they_arrive() {
        const ID: &str = "019a3c5e-7f00-7abc-8def-012345678980";
        let server = Scripted::start(&[
            &["HTTP/1.1 202 Accepted\r\ncontent-le", "ngth: 5\r\nRetry-After: 2\r\n", "\r\nhel", "lo"],
            &["HTTP/1.1 201 Created\r\nlocation: /api/requests/019a3c5e-7f00-7abc-8def-012345678980\r\n\
                 preference-applied: wait\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"],
        ])
        .await;
        let letter = Letter::get(&Door::new(server.address), "/", &[]);
        let mut connection = Connection::open(server.address).await.unwrap();
        let answer = connection.send(&letter).await.unwrap();
        assert_eq!((answer.status, answer.body), (202, &b"hello"[..]));
        assert_eq!((answer.retry_after, answer.waited), (Some(Duration::from_secs(2)), false));
        let answer = connection.send(&letter).await.unwrap();
        assert_eq!((answer.status, answer.body, answer.waited), (201, &b""[..], true));
        assert_eq!(answer.made.map(|id| id.to_string()).as_deref(), Some(ID));
        assert!(matches!(connection.send(&letter).await, Err(Lost::Before)), "it said that it would close");
    }

    #[tokio::test]
    async fn a_lost_connection_says_whether_anything_was_sent() {
        let server = Scripted::start(&[&[], &["HTTP/1.1 200 OK\r\n"]]).await;
        let letter = Letter::get(&Door::new(server.address), "/", &[]);
        for _ in 0..2 {
            let mut connection = Connection::open(server.address).await.unwrap();
            assert!(matches!(connection.send(&letter).await, Err(Lost::Afterwards(_))));
            assert!(matches!(connection.send(&letter).await, Err(Lost::Before)));
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut connection = Connection::open(listener.local_addr().unwrap()).await.unwrap();
        drop(listener.accept().await.unwrap());
        connection.stream.readable().await.unwrap();
        assert!(matches!(connection.send(&letter).await, Err(Lost::Before)), "the other side has hung up");
    }

    #[test]
    fn heads_that_cannot_be_understood_are_errors() {
        let rows = [
            ("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n", Some(Some(7))),
            ("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n", Some(None)),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", None),
            ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", None),
            ("nonsense\r\n\r\n", None),
        ];
        for (text, meant) in rows {
            let found = Head::read(text.as_bytes()).ok().map(|head| head.map(|head| head.body_bytes));
            assert_eq!(found, meant, "{text:?}");
        }
    }
}
