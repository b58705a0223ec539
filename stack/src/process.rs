//! Child processes that never outlive us.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, OnceLock, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::account::Account;
use crate::tools::in_path;
use crate::wait::try_wait_for;

/// Every program here promises to stop within 10 s of SIGTERM; this is a little more.
const GRACE_DEFAULT_S: u64 = 12;

/// The variable that names libraries which are loaded into a program before its own.
const PRELOAD: &str = "LD_PRELOAD";

/// What to start, and how; can be started any number of times.
#[derive(Clone, Debug)]
pub struct Launch {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, Option<OsString>)>,
    only_env: bool,
    dir: Option<PathBuf>,
    log: PathBuf,
    grace: Duration,
    account: Option<Account>,
    may_pass_folders: bool,
    at_our_death: Signal,
}

impl Launch {
    /// A program (a path, or a name looked up in PATH) whose output is appended to the file `log`.
    pub fn new(program: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        Launch {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            only_env: false,
            dir: None,
            log: log.into(),
            grace: Duration::from_secs(GRACE_DEFAULT_S),
            account: None,
            may_pass_folders: false,
            at_our_death: Signal::KILL,
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable; the last one of a name counts.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), Some(value.into())));
        self
    }

    /// Takes away a variable that would be inherited from us.
    #[must_use]
    pub fn without_env(mut self, name: impl Into<OsString>) -> Self {
        self.env.push((name.into(), None));
        self
    }

    /// Inherits nothing of our environment but PATH; only what [`Launch::env`] sets is there.
    #[must_use]
    pub fn only_env(mut self) -> Self {
        self.only_env = true;
        self
    }

    /// The folder to start in; ours unless said.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// How long the process may take after SIGTERM before it is killed (12 s unless said).
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The account to run as, for those who are root; `None` stays who we are.
    pub(crate) fn account(mut self, account: Option<Account>) -> Self {
        self.account = account;
        self
    }

    /// Lets another account enter folders that only root may enter, such as those below /root.
    pub(crate) fn may_pass_folders(mut self, yes: bool) -> Self {
        self.may_pass_folders = yes;
        self
    }

    /// The signal that the kernel sends to the process when we die; KILL unless said.
    pub(crate) fn at_our_death(mut self, signal: Signal) -> Self {
        self.at_our_death = signal;
        self
    }

    /// Starts the process.
    ///
    /// # Errors
    /// When the program is not there, cannot be started, or its log cannot be opened.
    #[expect(clippy::disallowed_methods, reason = "where programs are is the machine's, not a setting")]
    pub fn spawn(&self) -> Result<Process> {
        let program = if self.program.components().count() > 1 {
            Some(self.program.clone()).filter(|path| path.is_file())
        } else {
            in_path(&self.program)
        };
        let Some(program) = program else {
            bail!("there is no program {}", self.program.display());
        };
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("opening the log {}", self.log.display()))?;
        let log_start_bytes = log.metadata().context("measuring the log")?.len();
        let mut command = self.wrapped(&program)?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("sharing the log")?)
            .stderr(log)
            // Ctrl-C in a terminal goes to a whole process group. Who started the children
            // decides in which order they end, so they stand in groups of their own.
            .process_group(0);
        if self.only_env {
            command.env_clear();
            if let Some(path) = std::env::var_os("PATH") {
                command.env("PATH", path);
            }
        }
        for (name, value) in &self.env {
            match value {
                // It is for the program, and not for who starts it, perhaps as another account.
                Some(_) if name == PRELOAD => &mut command,
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        let name = program.file_name().unwrap_or(program.as_os_str());
        let name = name.to_string_lossy().into_owned();
        let child = spawn_on_lasting_thread(command).with_context(|| format!("starting {}", program.display()))?;
        Ok(Process { child, name, log: self.log.clone(), log_start_bytes, grace: self.grace })
    }

    /// The command behind `setpriv`, which asks for the death signal after it changed the
    /// account (the kernel forgets the wish at that change) and then becomes the program.
    fn wrapped(&self, program: &Path) -> Result<Command> {
        let Some(setpriv) = setpriv() else {
            if self.account.is_some() {
                bail!("root cannot start a server as another account without setpriv of util-linux");
            }
            let mut command = Command::new(program);
            command.args(&self.args);
            if let Some(libraries) = self.preloaded() {
                command.env(PRELOAD, libraries);
            }
            return Ok(command);
        };
        let mut command = Command::new(setpriv);
        if let Some(account) = self.account {
            command
                .arg(format!("--reuid={}", account.uid))
                .arg(format!("--regid={}", account.gid))
                .arg("--clear-groups");
            if self.may_pass_folders {
                command
                    .args(["--securebits", "+no_setuid_fixup"])
                    .args(["--inh-caps", "-all,+dac_override"])
                    .args(["--ambient-caps", "-all,+dac_override"])
                    .args(["--bounding-set", "-all,+dac_override"]);
            }
        }
        command.args(["--pdeathsig", signal_name(self.at_our_death)]).arg("--");
        if let Some(libraries) = self.preloaded() {
            let mut variable = OsString::from(format!("{PRELOAD}="));
            variable.push(libraries);
            command.arg("env").arg(variable);
        }
        command.arg(program).args(&self.args);
        Ok(command)
    }

    /// What is loaded into the program before its own libraries.
    fn preloaded(&self) -> Option<&OsString> {
        self.env.iter().rev().find(|(name, _)| name == PRELOAD)?.1.as_ref()
    }
}

/// Whether a child of ours, by its id, has ended. Whoever waits for it still finds it.
pub fn has_ended(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // An error says that somebody has waited for it already.
    pid.is_none_or(|pid| !matches!(waitid(WaitId::Pid(pid), look), Ok(None)))
}

fn signal_name(signal: Signal) -> &'static str {
    match signal {
        Signal::INT => "INT",
        Signal::QUIT => "QUIT",
        Signal::TERM => "TERM",
        _ => "KILL",
    }
}

/// `setpriv` of util-linux; busybox has a lesser one of the same name. None outside Linux, where
/// children end when they are dropped but not when we are killed.
fn setpriv() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            let path = in_path("setpriv")?;
            let version = Command::new(&path).arg("--version").output().ok()?;
            String::from_utf8_lossy(&version.stdout).contains("util-linux").then_some(path)
        })
        .as_deref()
}

/// The kernel sends the death signal when the *thread* that started a child ends, and tests run
/// in threads that soon do. So one thread, which lasts as long as the process, starts them all.
fn spawn_on_lasting_thread(command: Command) -> std::io::Result<Child> {
    type Order = (Command, mpsc::SyncSender<std::io::Result<Child>>);
    static SPAWNER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in inbox {
                // Whoever asked waits for the answer below, so somebody is there to take it.
                let _ = answer.send(command.spawn());
            }
        });
        orders
    });
    let (answer, started) = mpsc::sync_channel(1);
    let gone = || std::io::Error::other("the thread that starts processes is gone");
    SPAWNER.send((command, answer)).map_err(|_| gone())?;
    started.recv().map_err(|_| gone())?
}

/// A running child: ends with us, also when we are killed; its output goes to a log file.
///
/// Dropping it sends SIGTERM, waits for the grace of its [`Launch`], then kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
    log_start_bytes: u64,
    grace: Duration,
}

impl Process {
    /// The process id. Stays the same after the process ended, but means nothing then.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The exit status if the process has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        // An error would mean that it is not our child, which std rules out.
        self.child.try_wait().ok().flatten()
    }

    /// Whether the process still runs (a stopped one does).
    pub fn is_running(&mut self) -> bool {
        self.status().is_none()
    }

    /// Asks the process to end.
    pub fn sigterm(&mut self) {
        self.signal(Signal::TERM);
    }

    /// Freezes the process, as a long pause of its machine would.
    pub fn sigstop(&mut self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen process go on.
    pub fn sigcont(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Kills the process and waits until it is gone: no handler, no clean-up.
    pub fn kill9(&mut self) {
        self.signal(Signal::KILL);
        // Fails only for a child that was waited for already, which is gone as wanted.
        let _ = self.child.wait();
    }

    /// Sends any signal; nothing happens if the process has ended.
    pub(crate) fn signal(&mut self, signal: Signal) {
        // The id cannot belong to somebody else: it is ours until we waited for the child.
        if self.is_running() {
            let pid = Pid::from_child(&self.child);
            // The child may end between the look and the signal; it is then a zombie of ours.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits until the process ends by itself.
    ///
    /// # Errors
    /// When it still runs after `deadline`; the end of its log is in the error.
    pub fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        const TAIL_LINES: usize = 20;
        let what = format!("the end of {} (pid {})", self.name, self.pid());
        try_wait_for(&what, deadline, || self.status())
            .with_context(|| format!("its log ends:\n{}", self.log_tail(TAIL_LINES)))
    }

    /// Ends the process: SIGTERM, and SIGKILL if it still runs after the grace of its launch.
    pub fn stop(&mut self) -> ExitStatus {
        // A frozen process would keep the SIGTERM for later.
        self.sigterm();
        self.sigcont();
        self.ended_within(self.grace)
    }

    /// The status at the end, which comes by SIGKILL if it does not come in time.
    pub(crate) fn ended_within(&mut self, grace: Duration) -> ExitStatus {
        match try_wait_for("its end", grace, || self.status()) {
            Ok(status) => status,
            Err(_) => {
                self.kill9();
                self.status().unwrap_or_default()
            }
        }
    }

    /// Where the output goes.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// What this process has written so far; not what earlier ones wrote to the same file.
    pub fn log(&self) -> String {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.log)?;
            file.seek(SeekFrom::Start(self.log_start_bytes))?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            Ok(text)
        };
        match read() {
            Ok(text) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) => format!("(the log {} is unreadable: {error})", self.log.display()),
        }
    }

    /// The last `lines` lines of [`Process::log`].
    pub fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            self.stop();
        }
    }
}
