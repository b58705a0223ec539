//! Any child process: what it is given, what it says, how it ends.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use stack::{Launch, Process, has_ended, wait_for};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(30);

fn shell(dir: &TempDir, script: &str) -> Launch {
    Launch::new("sh", dir.path().join("log")).args(["-c", script])
}

fn wait_for_text(process: &Process, text: &str) {
    wait_for(text, DEADLINE, || process.log().contains(text).then_some(()));
}

/// The state letter of a process: R, S, T for stopped, Z for ended.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

#[test]
fn a_process_gets_what_its_launch_says() {
    let dir = tempfile::tempdir().unwrap();
    let rows = [
        (shell(&dir, "echo $0 $1 $A").args(["x", "y z"]).env("A", "1"), "x y z 1\n".to_owned()),
        (shell(&dir, "echo ${HOME-none}").without_env("HOME"), "none\n".to_owned()),
        (
            shell(&dir, "echo ${CARGO_PKG_NAME-none} $B; ls >/dev/null && echo path").env("B", "2").only_env(),
            "none 2\npath\n".to_owned(),
        ),
        (shell(&dir, "pwd; echo oops >&2").dir("/"), "/\noops\n".to_owned()),
    ];
    for (launch, want) in rows {
        let mut process = launch.spawn().unwrap();
        let status = process.wait(DEADLINE).unwrap();
        assert!(status.success(), "{launch:?}");
        // The log is appended to, but each process sees only its own part.
        assert_eq!(process.log(), want, "{launch:?}");
    }
    let whole = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert_eq!(whole, "x y z 1\nnone\nnone 2\npath\n/\noops\n");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for program in ["no-such-program", "/no/such/program"] {
        let error = Launch::new(program, dir.path().join("log")).spawn().unwrap_err();
        assert_eq!(error.to_string(), format!("there is no program {program}"));
    }
    let error = Launch::new("sh", Path::new("/no/such/folder/log")).spawn().unwrap_err();
    assert!(error.to_string().contains("/no/such/folder/log"));
}

#[test]
fn the_end_is_as_it_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let polite = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done";
    let deaf = "trap '' TERM; echo up; while :; do sleep 0.01; done";
    let start = |script| {
        let process = shell(&dir, script).grace(Duration::from_millis(100)).spawn().unwrap();
        wait_for_text(&process, "up\n");
        process
    };

    let mut asked = start(polite);
    asked.sigterm();
    assert_eq!(asked.wait(DEADLINE).unwrap().code(), Some(3));
    assert_eq!(asked.log(), "up\nbye\n");
    assert_eq!(asked.log_tail(1), "bye");

    let mut killed = start(polite);
    killed.kill9();
    assert_eq!(killed.status().unwrap().signal(), Some(9));
    assert_eq!(killed.log(), "up\n");
    assert!(has_ended(killed.pid()), "whoever waits for it has it no more");
    // All of these mean nothing to a process that has ended.
    killed.sigterm();
    killed.kill9();
    assert_eq!(killed.stop().signal(), Some(9));

    let mut stubborn = start(deaf);
    let late = stubborn.wait(Duration::ZERO).unwrap_err();
    assert!(format!("{late:#}").contains("the end of sh"), "{late:#}");
    assert_eq!(stubborn.stop().signal(), Some(9));
}

#[test]
fn a_frozen_process_does_nothing_until_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = shell(&dir, "while :; do echo tick; sleep 0.01; done").spawn().unwrap();
    wait_for_text(&process, "tick");
    process.sigstop();
    wait_for("the stop", DEADLINE, || (state(process.pid()) == Some('T')).then_some(()));
    assert!(process.is_running() && !has_ended(process.pid()));
    let frozen = process.log().len();
    process.sigcont();
    wait_for("another tick", DEADLINE, || (process.log().len() > frozen).then_some(()));
    // A frozen process ends at SIGTERM, too: it is woken for that.
    process.sigstop();
    assert_eq!(process.stop().signal(), Some(15));
}

#[test]
fn dropping_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let process = shell(&dir, "trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.01; done").spawn().unwrap();
    wait_for_text(&process, "up\n");
    let pid = process.pid();
    assert!(state(pid).is_some());
    drop(process);
    assert_eq!(state(pid), None);
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert_eq!(log, "up\nbye\n");
}

#[test]
fn it_outlives_the_thread_that_started_it() {
    let dir = tempfile::tempdir().unwrap();
    let launch = shell(&dir, "echo up; read line; while :; do echo on; sleep 0.01; done");
    let process = std::thread::spawn(move || launch.spawn().unwrap()).join().unwrap();
    wait_for_text(&process, "on\non\non\n");
}
