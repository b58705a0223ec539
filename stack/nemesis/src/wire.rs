//! A TCP connection that can be made to fail: it stands between two processes, hands everything on, and does to it what it
//! is told.

use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Read at once, in one direction of one connection.
const PIECE_BYTES: usize = 64 * 1024;

/// What happens to what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It passes.
    None,
    /// It passes after so long, in each direction.
    Delay(Duration),
    /// Every connection ends at once, and no new one comes to be.
    Cut,
    /// Nothing comes back; what is asked still arrives. Connections stay open, and end with the trouble: on no wire does
    /// something arrive when what came before it has not.
    NoReplies,
    /// Nothing arrives; the same holds for connections.
    Silence,
    /// Whatever is sent is lost, and whoever sent it over an open connection waits for ever: on this connection nothing passes
    /// any more, and nobody ends it, as after a firewall forgot it. New connections are well when the trouble is over.
    Forget,
    /// The next request that holds these bytes arrives; before its reply comes back the connection is cut. Once.
    LoseReplyTo(&'static [u8]),
}

impl Trouble {
    /// Whether something gets lost for as long as it lasts.
    fn loses(&self) -> bool {
        matches!(self, Trouble::NoReplies | Trouble::Silence)
    }
}

/// The place where it stands. It is gone when this is dropped.
#[derive(Debug)]
pub struct Wire {
    /// Where clients connect to.
    pub address: SocketAddr,
    trouble: watch::Sender<Trouble>,
    bitten: Arc<AtomicU64>,
    _connections: JoinSet<()>,
}

impl Wire {
    /// Stands in front of whoever listens at this port of this machine.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn to(port: u16) -> Result<Wire> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listening for a wire")?;
        let address = listener.local_addr().context("asking for the wire's port")?;
        let (trouble, told) = watch::channel(Trouble::None);
        let bitten = Arc::new(AtomicU64::new(0));
        let mut connections = JoinSet::new();
        connections.spawn(accept(listener, port, Told { trouble: trouble.clone(), told, bitten: Arc::clone(&bitten) }));
        Ok(Wire { address, trouble, bitten, _connections: connections })
    }

    /// From now on this happens to what passes, also over connections that are open.
    pub fn set(&self, trouble: Trouble) {
        self.trouble.send_replace(trouble);
    }

    /// How many pieces or connections met with trouble so far.
    pub fn bitten(&self) -> u64 {
        self.bitten.load(Ordering::Relaxed)
    }
}

/// What a connection knows of the wire.
#[derive(Debug, Clone)]
struct Told {
    trouble: watch::Sender<Trouble>,
    told: watch::Receiver<Trouble>,
    bitten: Arc<AtomicU64>,
}

impl Told {
    fn now(&self) -> Trouble {
        *self.told.borrow()
    }

    fn bite(&self) {
        self.bitten.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the wire waits for this request, which takes it.
    fn takes(&self, piece: &[u8]) -> bool {
        self.trouble.send_if_modified(|trouble| match trouble {
            Trouble::LoseReplyTo(bytes) if piece.windows(bytes.len()).any(|window| window == *bytes) => {
                *trouble = Trouble::None;
                true
            }
            _ => false,
        })
    }

    async fn until_cut(&mut self) {
        // The sender lives in every connection, so this only ends when it is cut.
        let _ = self.told.wait_for(|trouble| *trouble == Trouble::Cut).await;
    }

    /// Until something got lost, and the trouble is over in which it did: whoever waits for it waits no longer.
    async fn until_torn_and_over(mut self, mut is_torn: watch::Receiver<bool>) {
        let torn = is_torn.wait_for(|is_torn| *is_torn).await.is_ok();
        if !torn {
            return pending().await;
        }
        let _ = self.told.wait_for(|trouble| !trouble.loses()).await;
    }
}

async fn accept(listener: TcpListener, port: u16, told: Told) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                if told.now() == Trouble::Cut {
                    told.bite();
                    continue;
                }
                connections.spawn(connection(client, port, told.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(client: TcpStream, port: u16, mut told: Told) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
        return;
    };
    for stream in [&client, &server] {
        // A wire that waits to fill packets would be a trouble of its own.
        let _ = stream.set_nodelay(true);
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let (lost, is_lost) = watch::channel(false);
    let (torn, is_torn) = watch::channel(false);
    let (forgotten, _) = watch::channel(false);
    let (up, down, over) = (told.clone(), told.clone(), told.clone());
    tokio::select! {
        _ = ask(from_client, to_server, up, lost, &torn, &forgotten) => {}
        _ = reply(from_server, to_client, down, is_lost, &torn, &forgotten) => {}
        () = told.until_cut() => told.bite(),
        () = over.until_torn_and_over(is_torn) => {}
    }
}

async fn ask(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    told: Told,
    lost: watch::Sender<bool>,
    torn: &watch::Sender<bool>,
    forgotten: &watch::Sender<bool>,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        match told.now() {
            Trouble::Silence => {
                told.bite();
                torn.send_replace(true);
                continue;
            }
            Trouble::Forget => {
                told.bite();
                forgotten.send_replace(true);
                continue;
            }
            _ if *forgotten.borrow() => continue,
            _ if *torn.borrow() => return Ok(()),
            Trouble::Delay(time) => {
                told.bite();
                tokio::time::sleep(time).await;
            }
            Trouble::LoseReplyTo(_) if told.takes(&piece[..length]) => {
                lost.send_replace(true);
            }
            _ => {}
        }
        to.write_all(&piece[..length]).await?;
    }
}

async fn reply(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    told: Told,
    lost: watch::Receiver<bool>,
    torn: &watch::Sender<bool>,
    forgotten: &watch::Sender<bool>,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        if *lost.borrow() {
            told.bite();
            return Ok(());
        }
        match told.now() {
            Trouble::Silence | Trouble::NoReplies => {
                told.bite();
                torn.send_replace(true);
                continue;
            }
            Trouble::Forget => {
                told.bite();
                forgotten.send_replace(true);
                continue;
            }
            _ if *forgotten.borrow() => continue,
            _ if *torn.borrow() => return Ok(()),
            Trouble::Delay(time) => {
                told.bite();
                tokio::time::sleep(time).await;
            }
            _ => {}
        }
        to.write_all(&piece[..length]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each piece with itself.
    async fn echo() -> (u16, JoinSet<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                open.spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        (port, serving)
    }

    async fn asked(stream: &mut TcpStream, what: &[u8]) -> io::Result<Vec<u8>> {
        stream.write_all(what).await?;
        let mut answer = vec![0; what.len()];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn it_hands_on_delays_cuts_and_loses_one_reply() {
        let (port, _serving) = echo().await;
        let wire = Wire::to(port).await.unwrap();
        let open = || TcpStream::connect(wire.address);
        let mut stream = open().await.unwrap();
        assert_eq!(asked(&mut stream, b"hello").await.unwrap(), b"hello");
        assert_eq!(wire.bitten(), 0);

        const DELAY: Duration = Duration::from_millis(50);
        wire.set(Trouble::Delay(DELAY));
        let began = std::time::Instant::now();
        assert_eq!(asked(&mut stream, b"slow").await.unwrap(), b"slow");
        assert!(began.elapsed() >= DELAY * 2 && wire.bitten() >= 2);

        wire.set(Trouble::LoseReplyTo(b"COMMIT"));
        let mut other = open().await.unwrap();
        assert_eq!(asked(&mut other, b"BEGIN").await.unwrap(), b"BEGIN");
        let before = wire.bitten();
        assert!(asked(&mut stream, b"now COMMIT it").await.is_err(), "the reply is lost");
        assert_eq!(asked(&mut other, b"COMMIT").await.unwrap(), b"COMMIT", "only once");
        assert_eq!(wire.bitten(), before + 1);

        wire.set(Trouble::Cut);
        assert!(asked(&mut other, b"cut").await.is_err());
        let mut refused = open().await.unwrap();
        assert!(asked(&mut refused, b"new").await.is_err());
        wire.set(Trouble::None);
        assert_eq!(asked(&mut open().await.unwrap(), b"again").await.unwrap(), b"again");
    }

    #[tokio::test]
    async fn what_is_silent_stays_open_until_the_trouble_ends() {
        const PATIENCE: Duration = Duration::from_millis(100);
        const ENDED_MAX: Duration = Duration::from_secs(30);
        let (port, _serving) = echo().await;
        let wire = Wire::to(port).await.unwrap();
        for trouble in [Trouble::Silence, Trouble::NoReplies] {
            let mut stream = TcpStream::connect(wire.address).await.unwrap();
            wire.set(trouble);
            let before = wire.bitten();
            assert!(tokio::time::timeout(PATIENCE, asked(&mut stream, b"?")).await.is_err(), "{trouble:?}");
            assert!(wire.bitten() > before);
            wire.set(Trouble::None);
            let ended = tokio::time::timeout(ENDED_MAX, stream.read(&mut [0])).await.expect("it ends by itself");
            assert!(!matches!(ended, Ok(1..)), "{trouble:?}: what came before is missing");
        }
    }
}
