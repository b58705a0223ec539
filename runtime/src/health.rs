//! Asking a process of this machine whether it is ready, for platforms that find that out by running a command in its
//! container, where there is nothing else to run.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use clap::Args;

/// The name of the subcommand that asks.
pub const HEALTH: &str = "health";

/// Opening the connection, and each part of the answer, may take this long.
const ANSWER_MAX: Duration = Duration::from_secs(4);

/// What the question needs to know.
#[derive(Debug, Clone, Args)]
pub struct HealthArgs {
    /// Where the process that is asked serves /readyz; its own default when it is not given
    #[arg(long, env = "METRICS_ADDR", value_name = "ADDRESS")]
    pub metrics_addr: Option<SocketAddr>,
}

/// Why a process does not count as healthy.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// It is not there, or stuck.
    #[error("nobody answers at METRICS_ADDR {0}")]
    NoAnswer(SocketAddr, #[source] io::Error),
    /// It is there, and says why it cannot work.
    #[error("not ready: {0}")]
    NotReady(String),
}

/// Asks the process at `METRICS_ADDR`, or else at `default`, whether it is ready.
///
/// # Errors
/// See [`HealthError`].
pub fn ask(args: &HealthArgs, default: SocketAddr) -> Result<(), HealthError> {
    let address = reachable(args.metrics_addr.unwrap_or(default));
    let answer = answer_of(address).map_err(|error| HealthError::NoAnswer(address, error))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status == "200" { Ok(()) } else { Err(HealthError::NotReady(format!("{status} {}", body.trim()))) }
}

/// A process that listens everywhere listens on loopback, too; nobody can be reached at "everywhere".
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// By hand: a client would be most of this program's start.
fn answer_of(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// What is found out about a process that answers like this.
    fn check(answer: &'static str, expected: &str) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = Vec::new();
            while !question.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                question.extend(byte);
            }
            assert!(question.starts_with(b"GET /readyz "));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
        let found = ask(&HealthArgs { metrics_addr: Some(everywhere) }, address);
        assert_eq!(found.map_or_else(|error| error.to_string(), |()| "ready".to_owned()), expected);
        answering.join().unwrap();
    }

    #[test]
    fn only_a_process_that_says_it_is_ready_is() {
        check("HTTP/1.1 200 OK\r\n\r\nready", "ready");
        check("HTTP/1.1 503 Service Unavailable\r\n\r\npostgres: away\n", "not ready: 503 postgres: away");
        check("", "not ready:  ");
    }

    #[test]
    fn a_process_that_is_not_there_is_not_ready() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = ask(&HealthArgs { metrics_addr: None }, gone).unwrap_err();
        assert_eq!(error.to_string(), format!("nobody answers at METRICS_ADDR {gone}"));
    }
}
