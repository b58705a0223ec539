//! Just enough of Redis' protocol to send one command.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

const ANSWER_MAX_S: u64 = 30;
/// An answer nested deeper, or longer, is not for a caller that wants a text.
const DEPTH_MAX: u32 = 8;
const BULK_MAX_BYTES: usize = 64 * 1024 * 1024;

/// Whether Redis answers, and has read all its data.
pub(super) fn is_ready(socket: &Path, login: Option<(&str, &str)>) -> bool {
    send(socket, login, &["PING"]).is_ok_and(|answer| answer == "PONG")
}

/// Sends one command, as this user and with their password where one is named.
pub(super) fn send(socket: &Path, login: Option<(&str, &str)>, words: &[&str]) -> Result<String> {
    let stream = UnixStream::connect(socket).with_context(|| format!("connecting to {}", socket.display()))?;
    stream.set_read_timeout(Some(Duration::from_secs(ANSWER_MAX_S))).context("setting a time-out")?;
    talk(&stream, login, words)
}

/// The same to whoever listens at this loopback port, without a login.
pub(super) fn send_to_port(port: u16, words: &[&str]) -> Result<String> {
    let stream = TcpStream::connect(("127.0.0.1", port)).with_context(|| format!("connecting to port {port}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(ANSWER_MAX_S))).context("setting a time-out")?;
    talk(&stream, None, words)
}

fn talk<S>(stream: &S, login: Option<(&str, &str)>, words: &[&str]) -> Result<String>
where
    for<'a> &'a S: Read + Write,
{
    let name = words.first().copied().unwrap_or_default();
    let (mut sending, mut answers) = (stream, BufReader::new(stream));
    let mut ask = |words: &[&str]| {
        sending.write_all(&encoded(words)).with_context(|| format!("sending {name}"))?;
        answer(&mut answers, DEPTH_MAX)
    };
    if let Some((user, password)) = login {
        ask(&["AUTH", user, password]).with_context(|| format!("entering as {user}"))?;
    }
    ask(words).with_context(|| format!("the answer to {name}"))
}

fn encoded(words: &[&str]) -> Vec<u8> {
    let mut message = format!("*{}\r\n", words.len());
    for word in words {
        message.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    message.into_bytes()
}

fn answer(stream: &mut impl BufRead, depth: u32) -> Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line).context("reading a line")?;
    let line = line.strip_suffix("\r\n").context("Redis closed the connection")?;
    let (kind, rest) = line.split_at_checked(1).context("an empty line")?;
    match kind {
        "+" | ":" => Ok(rest.to_owned()),
        "-" => bail!("Redis says: {rest}"),
        "$" => match rest.parse::<usize>() {
            Err(_) => Ok(String::new()),
            Ok(length) if length > BULK_MAX_BYTES => bail!("an answer of {length} bytes"),
            Ok(length) => {
                let mut value = vec![0; length + 2];
                stream.read_exact(&mut value).context("reading a value")?;
                Ok(String::from_utf8_lossy(&value[..length]).into_owned())
            }
        },
        "*" if depth == 0 => bail!("an answer nested too deep"),
        "*" => {
            let count = rest.parse::<u64>().unwrap_or(0);
            let elements: Result<Vec<String>> = (0..count).map(|_| answer(stream, depth - 1)).collect();
            Ok(elements?.join("\n"))
        }
        _ => bail!("an answer that makes no sense: {line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_text() {
        let rows = [
            ("+PONG\r\n", Some("PONG")),
            (":7\r\n", Some("7")),
            ("$2\r\nhi\r\n", Some("hi")),
            ("$0\r\n\r\n", Some("")),
            ("$-1\r\n", Some("")),
            ("*2\r\n$1\r\na\r\n*1\r\n:1\r\n", Some("a\n1")),
            ("-ERR no\r\n", None),
            ("$5\r\nhi\r\n", None),
            ("", None),
            ("?\r\n", None),
        ];
        for (bytes, want) in rows {
            let got = answer(&mut bytes.as_bytes(), DEPTH_MAX).ok();
            assert_eq!(got.as_deref(), want, "{bytes:?}");
        }
    }
}
