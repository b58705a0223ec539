//! A mail server that keeps what it takes. It refuses addresses that begin with `refused`, knows no others than ASCII, and
//! may for a while be closed, or let nobody in, or only the next one not.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

#[derive(Debug, Clone)]
pub struct Received {
    pub to: String,
    pub head: String,
}

impl Received {
    pub fn message_id(&self) -> &str {
        self.head.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap_or_default()
    }
}

#[derive(Default)]
struct Desk {
    received: Vec<Received>,
    closed: bool,
    lets_nobody_in: bool,
    turns_next_away: bool,
    turned_away: usize,
}

pub struct MailServer {
    pub url: String,
    desk: Arc<Mutex<Desk>>,
    serving: JoinHandle<()>,
}

impl MailServer {
    pub async fn start() -> MailServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let desk: Arc<Mutex<Desk>> = Arc::default();
        let shared = Arc::clone(&desk);
        let serving = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let desk = Arc::clone(&shared);
                // Who hangs up in the middle has sent nothing.
                tokio::spawn(async move { converse(connection, &desk).await });
            }
        });
        MailServer { url, desk, serving }
    }

    pub fn close(&self) {
        self.desk.lock().unwrap().closed = true;
    }

    pub fn open(&self) {
        self.desk.lock().unwrap().closed = false;
    }

    /// As one does whose password was changed: a permanent error for everybody.
    pub fn let_nobody_in(&self, nobody: bool) {
        self.desk.lock().unwrap().lets_nobody_in = nobody;
    }

    /// As `let_nobody_in`, for one connection: it comes back before anybody asks whether it is there.
    pub fn turn_next_away(&self) {
        self.desk.lock().unwrap().turns_next_away = true;
    }

    pub fn turned_away(&self) -> usize {
        self.desk.lock().unwrap().turned_away
    }

    pub fn received(&self) -> Vec<Received> {
        self.desk.lock().unwrap().received.clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn converse(connection: TcpStream, desk: &Mutex<Desk>) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    let is_turned_away = {
        let mut desk = desk.lock().unwrap();
        let is_turned_away = std::mem::take(&mut desk.turns_next_away) || desk.lets_nobody_in;
        desk.turned_away += usize::from(is_turned_away);
        is_turned_away
    };
    if is_turned_away {
        return connection.get_mut().write_all(b"554 not for you\r\n").await;
    }
    connection.get_mut().write_all(b"220 test\r\n").await?;
    let (mut line, mut to) = (String::new(), String::new());
    loop {
        line.clear();
        if connection.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        {
            let mut desk = desk.lock().unwrap();
            // Also one that was greeted before.
            if desk.closed || desk.lets_nobody_in {
                desk.turned_away += 1;
                return Ok(());
            }
        }
        let answer: &[u8] = if line.starts_with("RCPT TO:<") {
            to = line.trim().trim_start_matches("RCPT TO:<").trim_end_matches('>').to_owned();
            if to.starts_with("refused") { b"550 no such user\r\n" } else { b"250 ok\r\n" }
        } else if line.starts_with("DATA") {
            connection.get_mut().write_all(b"354 go on\r\n").await?;
            let mut head = String::new();
            loop {
                line.clear();
                connection.read_line(&mut line).await?;
                if line == ".\r\n" {
                    break;
                }
                head.push_str(line.trim_end());
                head.push('\n');
            }
            desk.lock().unwrap().received.push(Received { to: to.clone(), head });
            b"250 taken\r\n"
        } else if line.starts_with("QUIT") {
            b"221 bye\r\n"
        } else {
            b"250 ok\r\n"
        };
        connection.get_mut().write_all(answer).await?;
    }
}
