//! Just enough of Postgres' protocol to ask a simple question over the unix socket.
//!
//! Not every way to get Postgres brings `psql`, and a client library would be most of this
//! crate's build time.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Making a database is the slowest thing asked here.
const ANSWER_MAX_S: u64 = 60;
/// A longer message would mean that the other side does not speak this protocol.
const MESSAGE_MAX_BYTES: usize = 64 * 1024 * 1024;
const PROTOCOL_VERSION: i32 = 196_608;

/// One row of an answer: each value as text, `None` for null.
pub type Row = Vec<Option<String>>;

/// Runs one or more statements and gives the rows of all of them.
pub(crate) fn query(socket: &Path, user: &str, database: &str, sql: &str) -> Result<Vec<Row>> {
    let mut stream = connect(socket, user, database)?;
    let mut body = sql.as_bytes().to_vec();
    body.push(0);
    send(&mut stream, Some(b'Q'), &body)?;
    let rows = answer(&mut stream).with_context(|| format!("running {sql:?}"))?;
    send(&mut stream, Some(b'X'), &[])?;
    Ok(rows)
}

/// Whether the server lets us in.
pub(crate) fn is_ready(socket: &Path, user: &str) -> bool {
    connect(socket, user, "postgres").is_ok_and(|mut stream| {
        // It is ready whether or not it hears the good-bye.
        let _ = send(&mut stream, Some(b'X'), &[]);
        true
    })
}

fn connect(socket: &Path, user: &str, database: &str) -> Result<UnixStream> {
    let mut stream = UnixStream::connect(socket).with_context(|| format!("connecting to {}", socket.display()))?;
    stream.set_read_timeout(Some(Duration::from_secs(ANSWER_MAX_S))).context("setting a time-out")?;
    let mut body = PROTOCOL_VERSION.to_be_bytes().to_vec();
    for word in ["user", user, "database", database, "client_encoding", "UTF8"] {
        body.extend_from_slice(word.as_bytes());
        body.push(0);
    }
    body.push(0);
    send(&mut stream, None, &body)?;
    answer(&mut stream).with_context(|| format!("entering database {database}"))?;
    Ok(stream)
}

fn send(stream: &mut UnixStream, kind: Option<u8>, body: &[u8]) -> Result<()> {
    // The length counts itself.
    let length = i32::try_from(body.len() + 4).context("a message too long")?;
    let mut message: Vec<u8> = kind.into_iter().collect();
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(body);
    stream.write_all(&message).context("sending to Postgres")
}

/// Reads until the server is ready for the next question.
fn answer(stream: &mut UnixStream) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut refusal = None;
    loop {
        let mut head = [0; 5];
        if let Err(error) = stream.read_exact(&mut head) {
            // A refused connection is closed without another word.
            return Err(refusal.unwrap_or_else(|| anyhow::Error::new(error).context("reading Postgres' answer")));
        }
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if !(4..=MESSAGE_MAX_BYTES).contains(&length) {
            bail!("Postgres' answer makes no sense: a message of {length} bytes");
        }
        let mut body = vec![0; length - 4];
        stream.read_exact(&mut body).context("reading Postgres' answer")?;
        match head[0] {
            b'D' => rows.push(row(&body).context("reading a row")?),
            b'E' => refusal = Some(refused(&body)),
            // Anything but "no password needed" cannot be answered from here.
            b'R' if body != [0; 4] => bail!("Postgres asks for a password"),
            b'Z' => {
                return match refusal {
                    Some(refusal) => Err(refusal),
                    None => Ok(rows),
                };
            }
            _ => {}
        }
    }
}

/// The error's own fields: severity, SQLSTATE and message.
fn refused(body: &[u8]) -> anyhow::Error {
    let field = |kind: u8| {
        body.split(|byte| *byte == 0)
            .find(|field| field.first() == Some(&kind))
            .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
            .unwrap_or_default()
    };
    anyhow::anyhow!("{} {}: {}", field(b'S'), field(b'C'), field(b'M'))
}

fn row(body: &[u8]) -> Option<Row> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut row = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        // A negative length, -1, stands for null.
        match usize::try_from(i32::from_be_bytes(*length)) {
            Err(_) => row.push(None),
            Ok(length) => {
                let (value, after) = rest.split_at_checked(length)?;
                rest = after;
                row.push(Some(String::from_utf8_lossy(value).into_owned()));
            }
        }
    }
    Some(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_broken_ones_refused() {
        let rows: [(&[u8], Option<Row>); 4] = [
            (&[0, 0], Some(vec![])),
            (&[0, 2, 0, 0, 0, 2, b'h', b'i', 255, 255, 255, 255], Some(vec![Some("hi".to_owned()), None])),
            (&[0, 1, 0, 0, 0, 9, b'h'], None),
            (&[0], None),
        ];
        for (body, want) in rows {
            assert_eq!(row(body), want, "{body:?}");
        }
    }
}
