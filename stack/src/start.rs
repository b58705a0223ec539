//! Starting a server until it answers.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::process::Process;
use crate::wait::try_wait_for;

/// Recovery of a large log after a crash is the slowest start.
const START_MAX_S: u64 = 60;
/// Before the same is tried again.
const PAUSE_MS: u64 = 50;
const LOG_TAIL_LINES: usize = 20;

/// A server that was just started.
pub(crate) struct Attempt {
    pub process: Process,
    /// Whether it answers by now.
    pub ready: Box<dyn FnMut() -> bool>,
}

/// Starts a server and waits until it answers. If it ends at once with one of the `passing`
/// complaints in its log, it is started anew, with the number of the attempt.
#[expect(clippy::disallowed_methods, reason = "the pause before the same is tried again")]
pub(crate) fn start(name: &str, passing: &[&str], mut attempt: impl FnMut(u32) -> Result<Attempt>) -> Result<Process> {
    let started = Instant::now();
    let deadline = Duration::from_secs(START_MAX_S);
    let mut number = 0;
    loop {
        let Attempt { mut process, mut ready } = attempt(number)?;
        let answered = try_wait_for("its first answer", deadline, || {
            // Looked at first: what answers after our own has ended is somebody else's.
            if !process.is_running() {
                return Some(false);
            }
            ready().then_some(true)
        });
        let tail = process.log_tail(LOG_TAIL_LINES);
        match answered {
            Ok(true) => return Ok(process),
            Ok(false) => {
                let passes = passing.iter().any(|complaint| tail.contains(complaint));
                if !passes || started.elapsed() >= deadline {
                    bail!("{name} does not start; its log ends:\n{tail}");
                }
            }
            Err(late) => {
                process.kill9();
                return Err(late.context(format!("{name} does not answer; its log ends:\n{tail}")));
            }
        }
        number += 1;
        std::thread::sleep(Duration::from_millis(PAUSE_MS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Launch;

    /// Starts a shell that runs the script for the number of the attempt, the last one for all
    /// later attempts, and answers once it says so.
    fn check(scripts: &[&str], attempts: u32, want: &str) {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut last = 0;
        let result = start("the server", &["try again"], |number| {
            last = number;
            let script = scripts[scripts.len().min(number as usize + 1) - 1];
            let process = Launch::new("sh", log.path()).args(["-c", script]).spawn()?;
            let path = log.path().to_owned();
            let ready = move || std::fs::read_to_string(&path).unwrap().contains("hello");
            Ok(Attempt { process, ready: Box::new(ready) })
        });
        let got = match result {
            Ok(mut process) => {
                process.kill9();
                "started".to_owned()
            }
            Err(error) => format!("{error:#}"),
        };
        assert!(got.contains(want), "{scripts:?}: {got}");
        assert_eq!(last + 1, attempts, "{scripts:?}");
    }

    #[test]
    fn only_what_passes_is_tried_again() {
        let waits = "echo hello; exec sleep 1000";
        check(&[waits], 1, "started");
        check(&["echo try again", "echo try again", waits], 3, "started");
        check(&["echo broken; exit 1"], 1, "log ends:\nbroken");
        check(&["echo try again", "echo broken"], 2, "log ends:\nbroken");
    }
}
