//! A private Redis.

mod cluster;
mod command;
mod sentinel;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::home::Home;
use crate::ports::free_port;
use crate::process::{Launch, Process};
use crate::start::{Attempt, start};
use crate::tools::{Found, Tool, find_or_install};
use crate::url;

pub use cluster::RedisCluster;
pub use sentinel::RedisSentinels;

const SOCKET: &str = "redis.sock";
/// On SIGTERM Redis writes out what is left of its append-only file.
const STOP_MAX_S: u64 = 30;
/// Somebody else was quicker to take the port, or the killed predecessor is not quite gone.
const PASSING: [&str; 1] = ["Address already in use"];

/// How to start Redis.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// Where everything of it lives. `None`: a temporary folder, removed on drop. A folder given
    /// is made if needed, kept, and found again by the next start.
    pub data_dir: Option<PathBuf>,
    /// Whether every write is on disk before it is answered (it is, unless said otherwise).
    pub append_only: bool,
    /// More arguments, which win over ours: `["--maxmemory", "64mb"]`.
    pub extra: Vec<String>,
    /// Users with rights of their own. `None`: everybody may do everything without a password.
    pub users: Option<RedisUsers>,
}

/// Users with rights of their own, as a Redis ACL file has them.
#[derive(Clone, Debug)]
pub struct RedisUsers {
    /// The file, which must stay there for as long as the server is started again.
    pub acl_file: PathBuf,
    /// The user that may do everything, as which [`Redis::command`] and [`Redis::url`] come.
    pub operator: String,
    /// The operator's password.
    pub password: String,
}

impl Default for RedisOptions {
    fn default() -> Self {
        RedisOptions { data_dir: None, append_only: true, extra: Vec::new(), users: None }
    }
}

/// A running Redis of our own, 7 or later: unix socket and a free loopback port. Ends on drop,
/// and with our process whatever ends that.
#[derive(Debug)]
pub struct Redis {
    // Before the folders, so that it ends before they go.
    server: Option<Process>,
    found: Found,
    append_only: bool,
    extra: Vec<String>,
    users: Option<RedisUsers>,
    env: Vec<(&'static str, String)>,
    port: u16,
    home: Home,
    /// Only when the home's path is too long for a socket.
    socket_home: Option<Home>,
}

/// What a server must be told of to be let in by others with the same users.
fn arguments_of_replica(users: Option<&RedisUsers>) -> Vec<String> {
    let login = login(users).map(|(user, password)| ["--masteruser", user, "--masterauth", password]);
    login.into_iter().flatten().map(str::to_owned).collect()
}

/// The address of a loopback port, for one user with a password.
fn tcp_url(port: u16, login: Option<(&str, &str)>) -> String {
    let login = login.map(|(user, password)| format!("{}:{}@", url::escape(user), url::escape(password)));
    format!("redis://{}127.0.0.1:{port}", login.unwrap_or_default())
}

impl Redis {
    /// Starts a Redis; installs one first if the machine has none.
    ///
    /// # Errors
    /// When there is none and it cannot be installed, when the folder is in use by another run,
    /// or when the server does not start; the end of its log is in the error.
    pub fn start(options: RedisOptions) -> Result<Redis> {
        let found = find_or_install(Tool::Redis)?;
        let home = Home::open(options.data_dir.as_deref(), "redis")?;
        let socket_home = if home.has_room_for_socket(SOCKET) { None } else { Some(Home::temporary("redis")?) };
        let mut redis = Redis {
            server: None,
            found,
            append_only: options.append_only,
            extra: options.extra,
            users: options.users,
            env: Vec::new(),
            port: free_port(),
            home,
            socket_home,
        };
        redis.launch(true)?;
        Ok(redis)
    }

    fn launch(&mut self, any_port: bool) -> Result<()> {
        let socket = self.socket();
        let mut launch = Launch::new(self.found.server(), self.home.path().join("redis.log"))
            .dir(self.home.path())
            .grace(Duration::from_secs(STOP_MAX_S));
        if let Some((name, value)) = self.found.env() {
            launch = launch.env(name, value);
        }
        for (name, value) in &self.env {
            launch = launch.env(*name, value);
        }
        let mut acl = Vec::new();
        if let Some(users) = &self.users {
            acl.extend([OsString::from("--aclfile"), users.acl_file.clone().into_os_string()]);
        }
        let append_only = if self.append_only { "yes" } else { "no" };
        let (port, extra, users) = (&mut self.port, &self.extra, &self.users);
        let server = start("Redis", &PASSING, |attempt| {
            if any_port && attempt > 0 {
                *port = free_port();
            }
            let (ready_at, users) = (socket.clone(), users.clone());
            let process = launch
                .clone()
                .args(["--bind", "127.0.0.1", "--protected-mode", "yes"])
                .args(["--port", &port.to_string()])
                .args(["--unixsocketperm", "700", "--unixsocket"])
                .arg(&socket)
                .args(["--daemonize", "no", "--dir", "."])
                .args(["--appendonly", append_only, "--appendfsync", "always"])
                .args(["--no-appendfsync-on-rewrite", "no", "--save", ""])
                // A rush must not set off a rewrite of the file every few seconds.
                .args(["--auto-aof-rewrite-min-size", "1gb"])
                .args(["--maxmemory-policy", "noeviction"])
                .args(&acl)
                .args(extra)
                .spawn()?;
            Ok(Attempt { process, ready: Box::new(move || command::is_ready(&ready_at, login(users.as_ref()))) })
        })?;
        self.server = Some(server);
        Ok(())
    }

    fn socket(&self) -> PathBuf {
        let home = self.socket_home.as_ref().unwrap_or(&self.home);
        home.path().join(SOCKET)
    }

    /// The address over the unix socket, for whoever may do everything.
    pub fn url(&self) -> String {
        match &self.users {
            Some(users) => self.url_of(&users.operator, &users.password),
            None => format!("redis+unix://{}", url::escape_path(&self.socket())),
        }
    }

    /// The address over the unix socket for one user.
    pub fn url_of(&self, user: &str, password: &str) -> String {
        let (user, password) = (url::escape(user), url::escape(password));
        format!("redis+unix://{}?user={user}&pass={password}", url::escape_path(&self.socket()))
    }

    /// The address over loopback TCP, for what must pass a proxy; for whoever needs no password.
    pub fn tcp_url(&self) -> String {
        tcp_url(self.port, None)
    }

    /// The loopback port; the same after [`Redis::start_again`].
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server, or of the last one when it is stopped: 0 if there was none.
    pub fn pid(&self) -> u32 {
        self.server.as_ref().map_or(0, Process::pid)
    }

    /// Sends one command and gives its answer as text: the elements of a list line by line, an
    /// empty text for nil.
    ///
    /// # Errors
    /// When Redis answers with an error, or does not answer.
    pub fn command(&self, words: &[&str]) -> Result<String> {
        command::send(&self.socket(), login(self.users.as_ref()), words)
    }

    /// [`Redis::command`] as another user.
    ///
    /// # Errors
    /// As there, and when the user is not let in.
    pub fn command_as(&self, user: &str, password: &str, words: &[&str]) -> Result<String> {
        command::send(&self.socket(), Some((user, password)), words)
    }

    /// Kills the server as a crash would, and keeps its files.
    pub fn kill9(&mut self) {
        if let Some(server) = &mut self.server {
            server.kill9();
        }
    }

    /// Stops the server in good order and keeps its files. Nothing happens if it does not run.
    pub fn stop(&mut self) {
        if let Some(server) = &mut self.server {
            server.stop();
        }
    }

    /// Freezes the server, as a long pause of its machine would, until [`Redis::sigcont`].
    pub fn sigstop(&mut self) {
        if let Some(server) = &mut self.server {
            server.signal(Signal::STOP);
        }
    }

    /// Lets a frozen server go on.
    pub fn sigcont(&mut self) {
        if let Some(server) = &mut self.server {
            server.signal(Signal::CONT);
        }
    }

    /// Starts the server again on the same port with the same files, after a stop or a crash.
    ///
    /// # Errors
    /// When it runs, or does not start.
    pub fn start_again(&mut self) -> Result<()> {
        if let Some(server) = &mut self.server
            && server.is_running()
        {
            bail!("Redis (pid {}) still runs", server.pid());
        }
        self.launch(false).context("starting Redis again")
    }

    /// Whether the server runs; a frozen one does.
    pub fn is_running(&mut self) -> bool {
        self.server.as_mut().is_some_and(Process::is_running)
    }

    /// Whether every write is on disk before it is answered, from the next start on.
    pub fn set_append_only(&mut self, append_only: bool) {
        self.append_only = append_only;
    }

    /// What the server's environment has besides, from the next start on.
    pub fn set_env(&mut self, env: impl IntoIterator<Item = (&'static str, String)>) {
        self.env = env.into_iter().collect();
    }

    /// The folder with its files, for tests that lose or damage them while it is stopped.
    pub fn dir(&self) -> &Path {
        self.home.path()
    }

    /// The last lines of the server's log.
    pub fn log_tail(&self) -> String {
        const TAIL_LINES: usize = 40;
        self.server.as_ref().map(|server| server.log_tail(TAIL_LINES)).unwrap_or_default()
    }
}

fn login(users: Option<&RedisUsers>) -> Option<(&str, &str)> {
    users.map(|users| (users.operator.as_str(), users.password.as_str()))
}

impl Drop for Redis {
    fn drop(&mut self) {
        // What is removed next need not be written out first.
        if self.home.is_temporary() {
            self.kill9();
        } else {
            self.stop();
        }
    }
}
