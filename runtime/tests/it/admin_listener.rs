//! The listener for operators, asked over a real connection.

use runtime::admin_listener::{AdminListener, BindError};
use runtime::metrics::{Known, Process, accepted, depth, install};
use runtime::readiness::Readiness;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    answer
}

static REDIS_IS_THERE: AtomicBool = AtomicBool::new(true);

// One test, because a process has one recorder.
#[tokio::test]
async fn operators_are_answered_until_the_end() {
    let known = Known { groups: vec!["coupon".to_owned()], ..Known::default() };
    let metrics = install(Process::Api, &known).expect("the first recorder");
    install(Process::Api, &known).expect_err("a second recorder");

    let listener = AdminListener::bind("127.0.0.1:0".parse().expect("an address")).await.expect("bound");
    let address = listener.address();
    let readiness = Readiness::builder(CancellationToken::new())
        .check("redis", || async {
            if REDIS_IS_THERE.load(Ordering::Relaxed) { Ok("relaxed".to_owned()) } else { Err("is away".to_owned()) }
        })
        .build();
    let until = CancellationToken::new();
    let sample = Box::new(|| depth("coupon").set(3.0));
    let serving = tokio::spawn(listener.serve(metrics, vec![sample], readiness.clone(), until.clone()));

    accepted("coupon").increment(1);
    let text = get(address, "/metrics").await;
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("content-type: text/plain; version=0.0.4"), "{text}");
    assert!(text.contains("\ndroplane_accepted_total{group=\"coupon\"} 1\n"), "{text}");
    assert!(text.contains("\ndroplane_depth{group=\"coupon\"} 3\n"), "sampled at the scrape: {text}");
    assert!(text.contains("\n# HELP droplane_accepted_total Commands stored"), "{text}");
    for seen in ["resident_memory_bytes", "open_fds", "threads"] {
        let name = format!("\ndroplane_process_{seen} ");
        assert!(text.contains(&name) && !text.contains(&format!("{name}0\n")), "{seen} of this process: {text}");
    }

    assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
    let ready = get(address, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    assert!(ready.ends_with(r#"{"ready":true,"checks":[{"name":"redis","ok":true,"detail":"relaxed"}]}"#), "{ready}");
    REDIS_IS_THERE.store(false, Ordering::Relaxed);
    let away = stack::wait_for_async("the shared answer to grow old", crate::SOON, || async {
        let answer = get(address, "/readyz").await;
        (!answer.starts_with("HTTP/1.1 200")).then_some(answer)
    })
    .await;
    assert!(away.starts_with("HTTP/1.1 503") && away.contains(r#""detail":"is away""#), "{away}");
    assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"), "a process without Redis still lives");
    assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));

    let taken = AdminListener::bind(address).await.expect_err("taken");
    assert!(matches!(taken, BindError::Taken(..)));
    assert_eq!(
        taken.to_string(),
        format!("METRICS_ADDR {address} is already taken by another process; give this one an address of its own")
    );

    until.cancel();
    serving.await.expect("no panic").expect("served to the end");
    TcpStream::connect(address).await.expect_err("closed");
}
