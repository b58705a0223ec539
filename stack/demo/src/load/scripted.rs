//! The other side of a connection, for tests: it says what it was told to say, whatever it hears.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What is said to one request, in the pieces in which it is sent; nothing: it hangs up.
pub type Answer = &'static [&'static str];

/// A listener that says these one after the other, over as many connections as it takes.
#[derive(Debug)]
pub struct Scripted {
    /// Where it listens.
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Starts to listen.
    pub async fn start(answers: &'static [Answer]) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hearing = Arc::clone(&heard);
        tokio::spawn(async move {
            let mut answers = answers.iter();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1_024];
                while let Ok(bytes @ 1..) = stream.read(&mut request).await {
                    hearing.lock().unwrap().push(String::from_utf8_lossy(&request[..bytes]).into_owned());
                    let answer = answers.next().copied().unwrap_or_default();
                    for piece in answer {
                        stream.write_all(piece.as_bytes()).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                    if answer.is_empty() || !answer.concat().contains("content-length") {
                        break;
                    }
                }
            }
        });
        Scripted { address, heard }
    }

    /// The requests so far.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}
