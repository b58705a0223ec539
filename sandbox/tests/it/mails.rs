//! The mail server, as the shop's own SMTP client meets it.

use std::time::Duration;

use lettre::message::Message;
use lettre::message::header::ContentType;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::response::Response;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use sandbox::{Mode, Target};

use crate::kit::Kit;

type Transport = AsyncSmtpTransport<Tokio1Executor>;

fn transport(kit: &Kit) -> Transport {
    Transport::from_url(&kit.sandbox.smtp_url()).unwrap().build()
}

async fn send(transport: &Transport, subject: &str, text: &str) -> Result<Response, Error> {
    let message = Message::builder()
        .from("Droplane <shop@localhost.localdomain>".parse().unwrap())
        .to("me@example.com".parse().unwrap())
        .cc("you@example.com".parse().unwrap())
        .subject(subject)
        .message_id(Some("<mail1@localhost.localdomain>".to_owned()))
        .header(ContentType::TEXT_PLAIN)
        .body(text.to_owned())
        .unwrap();
    transport.send(message).await
}

#[tokio::test]
async fn mails_are_kept_as_they_are_read() {
    let kit = Kit::start().await;
    let transport = transport(&kit);
    assert!(transport.test_connection().await.unwrap());
    let rows = [
        ("Back in stock", "first\n.\n..dots\nlast"),
        ("노트북 재입고 알림: 지금 구매하실 수 있습니다, 아주 긴 제목이 이어집니다", "다시 들어왔습니다."),
    ];
    for (subject, text) in rows {
        send(&transport, subject, text).await.unwrap();
        let mail = kit.sandbox.arrived().mails.pop().unwrap();
        assert_eq!((mail.subject.as_str(), mail.body.replace("\r\n", "\n").trim_end()), (subject, text));
        assert_eq!(
            (mail.from.as_str(), mail.to),
            ("shop@localhost.localdomain", vec!["me@example.com".to_owned(), "you@example.com".to_owned()])
        );
        assert_eq!((mail.message_id.as_str(), mail.answer), ("mail1@localhost.localdomain", Some(250)));
    }
}

#[tokio::test]
async fn a_mail_server_fails_hangs_and_takes_its_time() {
    let kit = Kit::start().await;
    let transport = transport(&kit);
    kit.sandbox.set_fault(Target::Mail, Mode::Fail { status: 451 }.times(1)).unwrap();
    assert!(send(&transport, "for now", "").await.expect_err("refused").is_transient());
    kit.sandbox.set_fault(Target::Mail, Mode::Fail { status: 550 }.times(1)).unwrap();
    assert!(send(&transport, "for good", "").await.expect_err("refused").is_permanent());
    assert!(transport.test_connection().await.unwrap(), "it lets everybody in");

    kit.sandbox.set_fault(Target::Mail, Mode::Slow { ms: 300 }.times(1)).unwrap();
    let began = std::time::Instant::now();
    send(&transport, "slow", "").await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300));

    kit.sandbox.set_fault(Target::Mail, Mode::Hang.times(1)).unwrap();
    let hung = tokio::spawn({
        let transport = transport.clone();
        async move { send(&transport, "never", "").await }
    });
    kit.wait_until("the mail to be read", |arrived| arrived.mails.len() == 4).await;
    assert!(!hung.is_finished());
    hung.abort();
    send(&transport, "well", "").await.unwrap();
    let kept = kit.sandbox.arrived().mails;
    let kept: Vec<_> = kept.iter().map(|mail| (mail.subject.as_str(), mail.answer)).collect();
    assert_eq!(
        kept,
        [("for now", Some(451)), ("for good", Some(550)), ("slow", Some(250)), ("never", None), ("well", Some(250))]
    );
}

#[tokio::test]
async fn a_mail_server_may_let_nobody_in() {
    let kit = Kit::start().await;
    kit.sandbox.set_fault(Target::Mail, Mode::Refuse).unwrap();
    assert!(send(&transport(&kit), "refused", "").await.is_err());
    assert!(!transport(&kit).test_connection().await.unwrap_or(false));
    kit.sandbox.set_fault(Target::Mail, Mode::Ok).unwrap();
    let transport = transport(&kit);
    send(&transport, "let in", "").await.unwrap();
    // The connection is kept, and ends with its next mail.
    kit.sandbox.set_fault(Target::Mail, Mode::Refuse).unwrap();
    assert!(send(&transport, "no longer", "").await.is_err());
    let arrived = kit.sandbox.arrived();
    assert!(arrived.totals.turned_away >= 2, "{:?}", arrived.totals);
    assert_eq!(arrived.mails.iter().filter(|mail| mail.answer == Some(250)).count(), 1);
}
