//! The end of real processes. Each child is this test program again, told by a variable which part to play.

use crate::SOON;
use clap::Parser;
use runtime::config::TelemetryArgs;
use runtime::lifecycle::{LifecycleError, run_until_shutdown, shutdown_signal, shutdown_signal_within};
use runtime::telemetry;
use stack::{Launch, Process, wait_for};
use std::path::Path;
use std::time::Duration;

const PART: &str = "LIFECYCLE_PART";
/// Written by a child when it waits for its signal.
const READY: &str = "ready for the signal";
const FORCED: i32 = 70;

#[derive(Parser)]
struct Only {
    #[command(flatten)]
    telemetry: TelemetryArgs,
}

/// Not a test of its own: does nothing unless it is started as a child.
#[test]
#[expect(clippy::disallowed_methods, reason = "a child is told its part, and answers, like any process")]
fn child() {
    let Ok(part) = std::env::var(PART) else {
        return;
    };
    telemetry::init(&Only::parse_from(["child"]).telemetry).expect("logging starts");
    let code = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(play(&part));
    std::process::exit(code);
}

async fn play(part: &str) -> i32 {
    let quickly = Duration::from_millis(300);
    match part {
        "ends well" => {
            let shutdown = shutdown_signal().expect("handlers");
            let work = async {
                tracing::info!("{READY}");
                shutdown.cancelled().await;
                tracing::info!("finishing");
            };
            run_until_shutdown(shutdown.clone(), work).await.map_or(1, |()| 0)
        }
        "blocks every thread" => {
            let shutdown = shutdown_signal_within(quickly).expect("handlers");
            run_until_shutdown(shutdown, async {
                tracing::info!("{READY}");
                loop {
                    std::thread::park();
                }
            })
            .await
            .map_or(1, |()| 0)
        }
        "never finishes" => {
            let shutdown = shutdown_signal().expect("handlers");
            tracing::info!("{READY}");
            std::future::pending::<()>().await;
            drop(shutdown);
            0
        }
        "panics" => {
            let panicked = tokio::spawn(async { panic!("wanted by the test") }).await;
            i32::from(panicked.is_err())
        }
        unknown => panic!("no part {unknown}"),
    }
}

fn start(part: &str, dir: &Path, env: &[(&str, &str)]) -> Process {
    let program = std::env::current_exe().expect("our own path");
    let launch = Launch::new(program, dir.join("log")).args(["lifecycle::child", "--exact", "--nocapture"]);
    let launch = launch.only_env().env(PART, part);
    env.iter().fold(launch, |launch, (name, value)| launch.env(name, value)).spawn().expect("the child starts")
}

fn started(part: &str, dir: &Path) -> Process {
    let child = start(part, dir, &[]);
    wait_for(READY, SOON, || child.log().contains(READY).then_some(()));
    child
}

#[test]
fn the_work_in_hand_is_finished() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut child = started("ends well", dir.path());
    child.sigterm();
    let status = child.wait(SOON).expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", child.log());
    assert!(child.log().contains("SIGTERM received") && child.log().contains("finishing"), "{}", child.log());
}

#[test]
fn a_process_whose_threads_are_all_stuck_is_ended_hard() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut child = started("blocks every thread", dir.path());
    child.sigterm();
    let status = child.wait(SOON).expect("it ends");
    assert_eq!(status.code(), Some(FORCED), "{}", child.log());
    assert!(child.log().contains("ending hard"), "{}", child.log());
}

#[test]
fn a_second_signal_ends_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut child = started("never finishes", dir.path());
    child.sigterm();
    wait_for("the first signal", SOON, || child.log().contains("SIGTERM received").then_some(()));
    assert!(child.is_running());
    child.sigterm();
    let status = child.wait(SOON).expect("it ends");
    assert_eq!(status.code(), Some(FORCED), "{}", child.log());
    assert!(child.log().contains("a second SIGTERM"), "{}", child.log());
}

#[test]
fn a_panic_is_a_line_of_the_log_like_any_other() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut child = start("panics", dir.path(), &[("LOG_FORMAT", "json")]);
    let status = child.wait(SOON).expect("it ends");
    assert_eq!(status.code(), Some(1), "{}", child.log());
    let log = child.log();
    let line = log.lines().find(|line| line.contains("wanted by the test")).expect("the panic is logged");
    let line: serde_json::Value = serde_json::from_str(line).expect("one JSON object");
    assert_eq!(line["level"], "ERROR");
    assert!(line["message"].as_str().is_some_and(|text| text.starts_with("a task panicked")), "{line}");
}

#[tokio::test]
async fn work_that_ends_by_itself_ends_everything() {
    let shutdown = tokio_util::sync::CancellationToken::new();
    let ended = run_until_shutdown(shutdown.clone(), async { 7 }).await;
    assert!(matches!(ended, Ok(7)) && shutdown.is_cancelled());
}

#[test]
fn the_sentence_of_a_missed_end_names_its_limit() {
    let sentence = LifecycleError::DrainTimedOut.to_string();
    assert_eq!(sentence, "the work in hand did not finish within 8 s after the signal to stop");
}
