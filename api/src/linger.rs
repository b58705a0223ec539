//! Answers that reach whoever is still sending. A body that is refused is not read to its end, and a connection that is closed
//! with bytes unread takes the answer back: the kernel resets it, and the client may lose what it had not read yet. So such
//! a connection is closed in halves: first our side, then, when the client has closed its own or enough was thrown away, all of it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use common::limits::BODY_MAX_BYTES;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::limits::{LINGER, LINGER_MAX_BYTES};

/// Bytes that one read throws away.
const STEP_BYTES: usize = 8 * 1024;

/// Whether bodies of a connection were left before their end.
#[derive(Debug, Clone, Default)]
pub struct LeftUnread(Arc<Left>);

#[derive(Debug, Default)]
struct Left {
    any: AtomicBool,
    much: AtomicBool,
}

impl LeftUnread {
    /// Whether so much was left that the connection cannot go on, as its last answer must say. A small rest is there already,
    /// and is thrown away with the request.
    pub fn is_much(&self) -> bool {
        self.0.much.load(Ordering::Relaxed)
    }

    /// The body, and a mark if it is left early.
    pub fn watch<B: Body>(&self, body: B) -> Watched<B> {
        Watched { ended: body.is_end_stream(), body, left: self.clone() }
    }
}

/// A body that says whether it was read to its end.
#[derive(Debug)]
pub struct Watched<B: Body> {
    body: B,
    ended: bool,
    left: LeftUnread,
}

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.ended = frame.is_none() || self.body.is_end_stream();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: Body> Drop for Watched<B> {
    fn drop(&mut self) {
        if !self.ended {
            let is_much = self.body.size_hint().upper().is_none_or(|rest| rest > BODY_MAX_BYTES as u64);
            self.left.0.any.store(true, Ordering::Relaxed);
            self.left.0.much.fetch_or(is_much, Ordering::Relaxed);
        }
    }
}

/// A connection whose end waits for those who are still sending, for a bounded time and a bounded number of bytes.
#[derive(Debug)]
pub struct Lingering<S> {
    stream: S,
    left: LeftUnread,
    rest: Option<Rest>,
}

/// What may still come after our side is closed.
#[derive(Debug)]
struct Rest {
    bytes: usize,
    end: Pin<Box<Sleep>>,
}

impl<S> Lingering<S> {
    /// A connection that lingers if a body was left unread.
    pub fn new(stream: S, left: LeftUnread) -> Lingering<S> {
        Lingering { stream, left, rest: None }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let connection = &mut *self;
        if connection.rest.is_none() {
            ready!(Pin::new(&mut connection.stream).poll_shutdown(context))?;
            if !connection.left.0.any.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        let rest =
            connection.rest.get_or_insert_with(|| Rest { bytes: LINGER_MAX_BYTES, end: Box::pin(sleep(LINGER)) });
        while rest.bytes > 0 && rest.end.as_mut().poll(context).is_pending() {
            let mut thrown_away = [0; STEP_BYTES];
            let mut buffer = ReadBuf::new(&mut thrown_away);
            let read = ready!(Pin::new(&mut connection.stream).poll_read(context, &mut buffer));
            let count = buffer.filled().len();
            if read.is_err() || count == 0 {
                break;
            }
            rest.bytes = rest.bytes.saturating_sub(count);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Full};
    use hyper::body::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::Instant;

    /// Ends our side of a connection, of which a body was left unread or not; the client's end, and how long ours took.
    async fn end(left: bool, client: impl AsyncFnOnce(&mut DuplexStream)) -> (DuplexStream, std::time::Duration) {
        let (ours, mut theirs) = duplex(STEP_BYTES);
        let mark = LeftUnread::default();
        mark.0.any.store(left, Ordering::Relaxed);
        let mut connection = Lingering::new(ours, mark);
        let began = Instant::now();
        let (ended, ()) = tokio::join!(
            async {
                connection.write_all(b"413").await.unwrap();
                connection.shutdown().await.unwrap();
                drop(connection);
                began.elapsed()
            },
            client(&mut theirs)
        );
        (theirs, ended)
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_still_sending_gets_the_answer() {
        let (mut client, _) = end(true, async |client| {
            client.write_all(&[b' '; STEP_BYTES * 100]).await.expect("all of it is taken");
            client.shutdown().await.unwrap();
        })
        .await;
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "413");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_listened_to_for_ever() {
        let (_, took) = end(true, async |_| {}).await;
        assert!(took >= LINGER, "{took:?}");
        let (_, took) = end(false, async |_| {}).await;
        assert!(took < LINGER, "nothing is waited for where all was read: {took:?}");
        let (_, took) = end(true, async |client| {
            let mut sent = 0;
            while client.write_all(&[b' '; STEP_BYTES]).await.is_ok() {
                sent += STEP_BYTES;
                assert!(sent <= LINGER_MAX_BYTES + 2 * STEP_BYTES, "{sent}");
            }
            assert!(sent >= LINGER_MAX_BYTES, "{sent}");
        })
        .await;
        assert!(took < LINGER, "{took:?}");
    }

    #[tokio::test]
    async fn a_body_that_is_left_is_noticed() {
        let much = vec![b' '; BODY_MAX_BYTES + 1];
        for (bytes, frames, meant) in [
            (&b""[..], 0, (false, false)),
            (b"body", 0, (true, false)),
            (b"body", 1, (false, false)),
            (&much, 0, (true, true)),
            (&much, 1, (false, false)),
        ] {
            let left = LeftUnread::default();
            let mut body = left.watch(Full::new(Bytes::copy_from_slice(bytes)));
            for _ in 0..frames {
                body.frame().await.unwrap().unwrap();
            }
            drop(body);
            let found = (left.0.any.load(Ordering::Relaxed), left.is_much());
            assert_eq!(found, meant, "{frames} frames of {} bytes", bytes.len());
        }
    }
}
