//! Sending mails by SMTP.

use std::time::Duration;

use anyhow::Context;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use runtime::config::Secret;

/// How long the mail server may take for one step of the conversation.
const SMTP_TIMEOUT: Duration = Duration::from_secs(10);

/// A mail server, and who sends through it.
#[derive(Debug, Clone)]
pub(crate) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// Why a mail was not taken.
#[derive(Debug)]
pub(crate) enum MailError {
    /// It never will be: the address is none, or the server says so.
    Refused(String),
    /// This one not now; others may be.
    Later(String),
    /// The server cannot be reached, or talks nonsense: no mail can be sent now.
    Unreachable(String),
}

impl MailError {
    /// What is noted of it.
    pub fn in_words(&self) -> &str {
        match self {
            MailError::Refused(why) | MailError::Later(why) | MailError::Unreachable(why) => why,
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
        let refused = |error: &dyn std::fmt::Display| MailError::Refused(error.to_string());
        let message = Message::builder()
            .from(self.from.clone())
            .to(mail.to.parse().map_err(|error: lettre::address::AddressError| refused(&error))?)
            .subject(mail.subject)
            .message_id(Some(format!("<{}@{}>", mail.id, self.from.email.domain())))
            .header(ContentType::TEXT_PLAIN)
            .body(mail.text.to_owned())
            .map_err(|error| refused(&error))?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(refused(&error)),
            Err(error) if error.is_transient() => Err(MailError::Later(error.to_string())),
            Err(error) => Err(MailError::Unreachable(in_words(&error))),
        }
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
