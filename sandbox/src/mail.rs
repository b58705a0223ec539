//! A mail server that keeps what it gets, and sends nothing on.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use mail_parser::MessageParser;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::arrived::Mail;
use crate::faults::{Mode, Target};
use crate::limits::{MAIL_MAX_BYTES, MAIL_MAX_RECIPIENTS, SMTP_LINE_MAX_BYTES};
use crate::world::World;

/// What a mail server answers that has taken a mail.
const TAKEN: u16 = 250;

/// Who hangs up in the middle has sent nothing.
pub(crate) async fn converse(stream: TcpStream, world: Arc<World>) {
    if let Err(error) = talk(BufReader::new(stream), &world).await {
        tracing::debug!("a conversation with the mail server ended: {error}");
    }
}

/// The envelope of the mail that is being sent.
#[derive(Debug, Default)]
struct Envelope {
    from: Option<String>,
    to: Vec<String>,
}

async fn talk(mut client: BufReader<TcpStream>, world: &World) -> io::Result<()> {
    if world.switches.bite_if(Target::Mail, |mode| mode == Mode::Refuse).is_some() {
        world.desk.lists().turned_away += 1;
        return say(&mut client, "554 nobody is let in").await;
    }
    say(&mut client, "220 sandbox").await?;
    let mut envelope = Envelope::default();
    while let Some(line) = read_line(&mut client).await? {
        let line = String::from_utf8_lossy(&line).into_owned();
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => say(&mut client, "250-sandbox\r\n250-8BITMIME\r\n250 SMTPUTF8").await?,
            "MAIL" => {
                envelope = Envelope { from: Some(address(&line)), to: Vec::new() };
                say(&mut client, "250 ok").await?;
            }
            "RCPT" if envelope.from.is_none() => say(&mut client, "503 MAIL comes first").await?,
            "RCPT" if envelope.to.len() >= MAIL_MAX_RECIPIENTS => say(&mut client, "452 too many").await?,
            "RCPT" => {
                envelope.to.push(address(&line));
                say(&mut client, "250 ok").await?;
            }
            "DATA" if envelope.to.is_empty() => say(&mut client, "503 RCPT comes first").await?,
            "DATA" => {
                say(&mut client, "354 go on, and end with a dot").await?;
                match read_mail(&mut client).await? {
                    Some(text) => take(&mut client, world, std::mem::take(&mut envelope), &text).await?,
                    None => say(&mut client, "552 too long").await?,
                }
            }
            "HELO" | "NOOP" | "RSET" => {
                if verb == "RSET" {
                    envelope = Envelope::default();
                }
                say(&mut client, "250 ok").await?;
            }
            "QUIT" => return say(&mut client, "221 bye").await,
            _ => say(&mut client, "502 not here").await?,
        }
    }
    Ok(())
}

/// Keeps a mail, and answers as the switch says.
async fn take(client: &mut BufReader<TcpStream>, world: &World, envelope: Envelope, text: &[u8]) -> io::Result<()> {
    let number = world.desk.lists().mails.push(read(envelope, text));
    let answer = match world.switches.bite(Target::Mail) {
        Mode::Fail { status } => status,
        // It was let in before.
        Mode::Refuse => return say(client, "421 nobody is let in any more").await,
        Mode::Hang => {
            // Until the client hangs up.
            while client.read(&mut [0; 64]).await? > 0 {}
            return Ok(());
        }
        Mode::Slow { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            TAKEN
        }
        // Nobody can set the others: there is neither HTTP nor money here.
        _ => TAKEN,
    };
    if let Some(mail) = world.desk.lists().mails.get_mut(number) {
        mail.answer = Some(answer);
    }
    let words = if answer == TAKEN { "taken" } else { "the sandbox was told to fail" };
    say(client, &format!("{answer} {words}")).await
}

fn read(envelope: Envelope, text: &[u8]) -> Mail {
    let message = MessageParser::default().parse(text).unwrap_or_default();
    Mail {
        at: Utc::now(),
        from: envelope.from.unwrap_or_default(),
        to: envelope.to,
        subject: message.subject().unwrap_or_default().to_owned(),
        message_id: message.message_id().unwrap_or_default().to_owned(),
        body: message.body_text(0).unwrap_or_default().into_owned(),
        answer: None,
    }
}

/// What stands between the angle brackets.
fn address(line: &str) -> String {
    let inside = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or("", |(address, _)| address).to_owned()
}

/// The mail without the dots that hide its own; none: it is too long. It is read to its end in any case.
async fn read_mail(client: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let (mut text, mut too_long) = (Vec::new(), false);
    while let Some(line) = read_line(client).await? {
        if line == b".\r\n" {
            return Ok((!too_long).then_some(text));
        }
        let line = line.strip_prefix(b".").unwrap_or(&line);
        too_long = too_long || text.len() + line.len() > MAIL_MAX_BYTES;
        if !too_long {
            text.extend_from_slice(line);
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// A line with its end; none: the client has hung up.
async fn read_line(client: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let most = u64::try_from(SMTP_LINE_MAX_BYTES).unwrap_or(u64::MAX);
    client.take(most).read_until(b'\n', &mut line).await?;
    if line.len() == SMTP_LINE_MAX_BYTES && !line.ends_with(b"\n") {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long"));
    }
    Ok((!line.is_empty()).then_some(line))
}

async fn say(client: &mut BufReader<TcpStream>, words: &str) -> io::Result<()> {
    client.get_mut().write_all(format!("{words}\r\n").as_bytes()).await
}
