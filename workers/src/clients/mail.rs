//! Sending mails by SMTP.

use std::time::Duration;

use anyhow::Context;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use runtime::config::Secret;
use tokio::time::{Instant, timeout_at};

/// How long connecting to the mail server may take.
const SMTP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long it may take for all steps together, and once more if the server came back meanwhile.
const SEND_MAX: Duration = Duration::from_secs(30);

/// A mail server, and who sends through it.
#[derive(Debug, Clone)]
pub(crate) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// Why a mail was not taken.
#[derive(Debug)]
pub(crate) enum MailError {
    /// It can never be sent: its address is none, or none that this server can be told of.
    Unsendable(String),
    /// The server is there, and did not take this one.
    NotTaken(String),
    /// The server cannot be reached, or lets nobody in: no mail can be sent now.
    Unreachable(String),
}

impl MailError {
    /// What is noted of it.
    pub fn in_words(&self) -> &str {
        match self {
            MailError::Unsendable(why) | MailError::NotTaken(why) | MailError::Unreachable(why) => why,
        }
    }
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mail<'a> {
    /// The same at every attempt; becomes the Message-ID.
    pub id: &'a str,
    /// To whom.
    pub to: &'a str,
    /// The subject.
    pub subject: &'a str,
    /// The text.
    pub text: &'a str,
}

impl Mailer {
    /// A mailer for `smtp://…` or `smtps://…` that sends as `from`.
    ///
    /// # Errors
    /// A sentence when one of them cannot work.
    pub fn new(url: &Secret, from: &str) -> anyhow::Result<Mailer> {
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose());
        // The URL may hold a password, so what is wrong with it is told without it.
        let builder = builder.ok().context("SMTP_URL must be smtp://host:port or smtps://user:password@host")?;
        let from = from.parse().context("MAIL_FROM must be an address such as Shop <shop@example.com>")?;
        Ok(Mailer { transport: builder.timeout(Some(SMTP_TIMEOUT)).build(), from })
    }

    /// Sends one mail.
    ///
    /// # Errors
    /// Why it was not taken; it may have been taken all the same if the connection broke at its end.
    pub async fn send(&self, mail: Mail<'_>) -> Result<(), MailError> {
        let unsendable = |error: &dyn std::fmt::Display| MailError::Unsendable(error.to_string());
        let message = Message::builder()
            .from(self.from.clone())
            .to(mail.to.parse().map_err(|error: lettre::address::AddressError| unsendable(&error))?)
            .subject(mail.subject)
            .message_id(Some(format!("<{}@{}>", mail.id, self.from.email.domain())))
            .header(ContentType::TEXT_PLAIN)
            .body(mail.text.to_owned())
            .map_err(|error| unsendable(&error))?;
        let until = Instant::now() + SEND_MAX;
        let mut is_again = false;
        loop {
            let (why, is_client, is_late) = match timeout_at(until, self.transport.send(message.clone())).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => (in_words(&error), error.is_client(), error.is_timeout()),
                Err(_) => (format!("it took longer than {SEND_MAX:?}"), false, true),
            };
            // A wrong password and a wrong address are told in the same numbers. Whether others would be taken, only the
            // server can say.
            match (self.is_reachable().await, is_client) {
                (false, _) => return Err(MailError::Unreachable(why)),
                (true, true) => return Err(MailError::Unsendable(why)),
                (true, false) if is_again || is_late => return Err(MailError::NotTaken(why)),
                // It may have come back only now, and then what it said before was not about this mail.
                (true, false) => is_again = true,
            }
        }
    }

    /// Whether the server lets us in.
    async fn is_reachable(&self) -> bool {
        matches!(tokio::time::timeout(SEND_MAX, self.transport.test_connection()).await, Ok(Ok(true)))
    }
}

/// The error with its causes.
fn in_words(error: &dyn std::error::Error) -> String {
    let (mut words, mut cause) = (error.to_string(), error.source());
    while let Some(source) = cause {
        let said = source.to_string();
        if !words.contains(&said) {
            words.push_str(": ");
            words.push_str(&said);
        }
        cause = source.source();
    }
    words
}
