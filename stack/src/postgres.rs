//! A private Postgres.

mod cluster;
pub(crate) mod query;
mod shared;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::account::{self, Account};
use crate::home::Home;
use crate::ports::free_port;
use crate::process::{Launch, Process};
use crate::start::{Attempt, start};
use crate::tools::{Found, Tool, find_or_install};
use crate::url;

pub use query::Row;
pub use shared::{as_role, fresh_database};

/// The superuser of every server started here; it needs no password.
pub(crate) const USER: &str = "droplane";

/// A fast shutdown writes out all changed pages first.
const STOP_MAX_S: u64 = 60;

/// What a start of Postgres complains of that passes by itself: a port that somebody else was
/// quicker to take, and processes of a killed predecessor that are just noticing its death.
const PASSING: [&str; 3] =
    ["Address already in use", "pre-existing shared memory block", "lock file \"postmaster.pid\" already exists"];

/// How to start Postgres.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    /// Where everything of it lives. `None`: a temporary folder, removed on drop. A folder given
    /// is made if needed, kept, and found again by the next start.
    pub data_dir: Option<PathBuf>,
    /// More settings by name and value, which win over ours: `("max_connections", "20")`.
    pub settings: Vec<(String, String)>,
}

/// How to stop Postgres.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Sessions are cut, all is written out, and the next start is quick.
    Fast,
    /// As a crash: nothing is written out, and the next start recovers from the log.
    Immediate,
}

/// A running Postgres of our own, 15 or later: unix socket and a free loopback port, superuser
/// `droplane` without password. Ends on drop, and with our process whatever ends that.
#[derive(Debug)]
pub struct Postgres {
    // Before the folders, so that it ends before they go.
    server: Option<Process>,
    found: Found,
    account: Option<Account>,
    settings: Vec<(String, String)>,
    env: Vec<(&'static str, String)>,
    port: u16,
    home: Home,
    /// Only when the home's path is too long for a socket.
    socket_home: Option<Home>,
}

impl Postgres {
    /// Starts a Postgres; installs one first if the machine has none.
    ///
    /// # Errors
    /// When there is none and it cannot be installed, when the folder is in use by another run,
    /// or when the server does not start; the end of its log is in the error.
    pub fn start(options: PostgresOptions) -> Result<Postgres> {
        let found = find_or_install(Tool::Postgres)?;
        let account = account::instead_of_root()?;
        let home = Home::open(options.data_dir.as_deref(), "pg")?;
        cluster::make(&found, &home, account)?;
        let socket_home = if home.has_room_for_socket(&socket_name(u16::MAX)) {
            None
        } else {
            let short = Home::temporary("pg")?;
            if let Some(account) = account {
                account.take(short.path())?;
            }
            Some(short)
        };
        let mut postgres = Postgres {
            server: None,
            found,
            account,
            settings: options.settings,
            env: Vec::new(),
            port: free_port(),
            home,
            socket_home,
        };
        postgres.launch(true)?;
        Ok(postgres)
    }

    /// The one server that tests of this process share; started at first use, without waiting
    /// for the disk at commits. It ends with the process.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn shared() -> &'static Postgres {
        shared::server()
    }

    fn launch(&mut self, any_port: bool) -> Result<()> {
        let sockets = self.sockets().to_owned();
        cluster::clear_leftovers(self.home.path(), &sockets)?;
        let data = self.home.path().join("data");
        let mut launch = Launch::new(self.found.server(), self.home.path().join("postgres.log"))
            .dir(self.home.path())
            .account(self.account)
            .may_pass_folders(cluster::is_out_of_reach(&self.found, &data, self.account))
            // Not KILL: shared memory would stay behind.
            .at_our_death(Signal::QUIT)
            // Its complaints are read above, so they must come in English.
            .env("LC_ALL", "C")
            .arg("-D")
            .arg(&data);
        if let Some((name, value)) = self.found.env() {
            launch = launch.env(name, value);
        }
        for (name, value) in &self.env {
            launch = launch.env(*name, value);
        }
        let port = &mut self.port;
        let settings = &self.settings;
        let server = start("Postgres", &PASSING, |attempt| {
            if any_port && attempt > 0 {
                *port = free_port();
            }
            let arguments = cluster::arguments(*port, &sockets, settings);
            let socket = sockets.join(socket_name(*port));
            Ok(Attempt {
                process: launch.clone().args(arguments).spawn()?,
                ready: Box::new(move || query::is_ready(&socket, USER)),
            })
        })?;
        self.server = Some(server);
        Ok(())
    }

    /// What the server's environment has besides, from the next start on.
    pub fn set_env(&mut self, env: impl IntoIterator<Item = (&'static str, String)>) {
        self.env = env.into_iter().collect();
    }

    pub(crate) fn sockets(&self) -> &Path {
        self.socket_home.as_ref().unwrap_or(&self.home).path()
    }

    /// The address of a database over the unix socket, as sqlx and libpq understand it.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres:///{}?host={}&port={}&user={USER}",
            url::escape(database),
            url::escape_path(self.sockets()),
            self.port
        )
    }

    /// The address of a database over loopback TCP, for what must pass a proxy.
    pub fn tcp_url(&self, database: &str) -> String {
        let database = url::escape(database);
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// The loopback port; the same after [`Postgres::start_again`].
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server, or of the last one when it is stopped: 0 if there was none.
    pub fn pid(&self) -> u32 {
        self.server.as_ref().map_or(0, Process::pid)
    }

    /// Makes an empty database.
    ///
    /// # Errors
    /// When there is one of this name, or the server is stopped.
    pub fn create_database(&self, name: &str) -> Result<()> {
        // Nobody is ever connected to template0, so copying it never has to wait.
        self.create_database_from(name, "template0")
    }

    /// Makes a database as a copy of another, which is quicker than applying migrations again.
    ///
    /// # Errors
    /// When there is one of this name, the other is not there or somebody is connected to it, or
    /// the server is stopped.
    pub fn create_database_from(&self, name: &str, template: &str) -> Result<()> {
        // Copying files instead of logging every page takes a fraction of the time.
        let sql = format!("create database {} template {} strategy file_copy", quoted(name), quoted(template));
        self.query("postgres", &sql).map(drop)
    }

    /// Runs statements in a database and gives the rows of all of them as text.
    ///
    /// # Errors
    /// When a statement fails (its SQLSTATE is in the message), or the server is stopped.
    pub fn query(&self, database: &str, sql: &str) -> Result<Vec<Row>> {
        let socket = self.sockets().join(socket_name(self.port));
        query::query(&socket, USER, database, sql)
    }

    /// Stops the server and keeps its data. Nothing happens if it does not run.
    pub fn stop(&mut self, how: Shutdown) {
        if let Some(server) = &mut self.server {
            server.signal(match how {
                Shutdown::Fast => Signal::INT,
                Shutdown::Immediate => Signal::QUIT,
            });
            server.ended_within(Duration::from_secs(STOP_MAX_S));
        }
    }

    /// Kills the server's first process as a crash would. The others notice and end by themselves; until they have,
    /// [`Postgres::start_again`] fails.
    pub fn kill9(&mut self) {
        if let Some(server) = &mut self.server {
            server.kill9();
        }
    }

    /// Starts the server again on the same port with the same data, after a stop or a crash.
    ///
    /// # Errors
    /// When it runs, or does not start.
    pub fn start_again(&mut self) -> Result<()> {
        if let Some(server) = &mut self.server
            && server.is_running()
        {
            bail!("Postgres (pid {}) still runs", server.pid());
        }
        self.launch(false).context("starting Postgres again")
    }

    /// Whether the server runs.
    pub fn is_running(&mut self) -> bool {
        self.server.as_mut().is_some_and(Process::is_running)
    }

    /// What the server has written to its log since it was started.
    pub fn log(&self) -> String {
        self.server.as_ref().map(Process::log).unwrap_or_default()
    }

    /// The last lines of the server's log.
    pub fn log_tail(&self) -> String {
        const TAIL_LINES: usize = 40;
        self.server.as_ref().map(|server| server.log_tail(TAIL_LINES)).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // What is removed next need not be written out first.
        self.stop(if self.home.is_temporary() { Shutdown::Immediate } else { Shutdown::Fast });
    }
}

pub(crate) fn socket_name(port: u16) -> String {
    format!(".s.PGSQL.{port}")
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
