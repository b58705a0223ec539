//! The program itself.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use sandbox::{Options, Sandbox};
use stack::{Launch, free_port, wait_for};

use crate::kit::DEADLINE;

const PROGRAM: &str = env!("CARGO_BIN_EXE_sandbox");

#[test]
fn it_serves_until_it_is_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let (port, smtp_port) = (free_port(), free_port());
    let mut process = Launch::new(PROGRAM, folder.path().join("log"))
        .only_env()
        .env("SANDBOX_ADDR", format!("127.0.0.1:{port}"))
        .env("SANDBOX_SMTP_ADDR", format!("127.0.0.1:{smtp_port}"))
        // As compose files pass on variables that are not set.
        .env("SANDBOX_SYNC_SECRET", "")
        .spawn()
        .unwrap();
    let mut ready = wait_for("the program to listen", DEADLINE, || TcpStream::connect(("127.0.0.1", port)).ok());
    ready.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    ready.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let ended = process.stop();
    assert!(ended.success(), "{ended}: {}", process.log());
}

#[test]
fn its_health_is_whether_it_listens() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let address = format!("0.0.0.0:{}", free_port());
    let program = |log: &str| {
        let launch = Launch::new(PROGRAM, folder.path().join(log)).only_env().env("SANDBOX_ADDR", &address);
        launch.env("SANDBOX_SMTP_ADDR", "127.0.0.1:0").env("SANDBOX_SYNC_SECRET_FILE", &secret)
    };
    let is_healthy = || program("health").arg("health").spawn().unwrap().wait(DEADLINE).unwrap().success();
    assert!(!is_healthy());
    let mut process = program("log").spawn().unwrap();
    wait_for("the program to listen", DEADLINE, || is_healthy().then_some(()));
    assert!(process.stop().success(), "{}", process.log());

    std::fs::write(&secret, "no secret").unwrap();
    let mut refused = program("refused").spawn().unwrap();
    assert!(!refused.wait(DEADLINE).unwrap().success());
    assert!(refused.log().contains("SANDBOX_SYNC_SECRET_FILE names"), "{}", refused.log());
}

#[test]
fn help_lists_the_variables() {
    let output = Command::new(PROGRAM).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for variable in ["SANDBOX_ADDR", "SANDBOX_SMTP_ADDR", "SANDBOX_SYNC_SECRET", "SANDBOX_ISSUER", "SANDBOX_AUDIENCE"] {
        assert!(help.contains(&format!("[env: {variable}")), "{variable} in {help}");
    }
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let held = TcpListener::bind(taken).unwrap();
    let rows = [
        ("SANDBOX_ADDR", Options { address: taken, ..Options::default() }),
        ("SANDBOX_SMTP_ADDR", Options { smtp_address: taken, ..Options::default() }),
    ];
    for (variable, options) in rows {
        let error = format!("{:#}", Sandbox::start(options).await.expect_err("taken"));
        assert!(error.starts_with(&format!("{variable} {taken} is already taken")), "{error}");
    }
    drop(held);
}

#[tokio::test]
async fn what_is_dropped_is_gone() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let address = sandbox.url().trim_start_matches("http://").to_owned();
    let open = TcpStream::connect(&address).unwrap();
    drop(sandbox);
    let gone = || async { TcpStream::connect(&address).is_err().then_some(()) };
    stack::wait_for_async("the listener to be gone", DEADLINE, gone).await;
    drop(open);
}
