//! A private PgBouncer in transaction mode.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::account;
use crate::home::Home;
use crate::install::package_program;
use crate::ports::free_port;
use crate::postgres::{Postgres, Row, USER, query, socket_name};
use crate::process::{Launch, Process};
use crate::start::{Attempt, start};
use crate::url;

/// Somebody else was quicker to take the port.
const PASSING: [&str; 1] = ["Address already in use"];

const SETTINGS_FILE: &str = "pgbouncer.ini";

/// A running PgBouncer before a [`Postgres`]: a unix socket, which lends a session for one transaction at a time. Ends on
/// drop, and with our process whatever ends that.
#[derive(Debug)]
pub struct PgBouncer {
    // Before the folder, so that it ends before that goes.
    server: Process,
    launch: Launch,
    settings: String,
    port: u16,
    home: Home,
}

impl PgBouncer {
    /// Where the program is; it is installed if that is possible here.
    ///
    /// # Errors
    /// When it is not there and cannot be installed; it says why.
    pub fn program() -> Result<PathBuf> {
        package_program("pgbouncer", &["pgbouncer"])
    }

    /// Starts one that lets `roles` in beside the superuser, and has at most `sessions` sessions of each database for each
    /// of them. They go round, so that a caller seldom gets the one that it had before.
    ///
    /// # Errors
    /// When there is none, or it does not start; the end of its log is in the error.
    pub fn start(postgres: &Postgres, roles: &[&str], sessions: u32) -> Result<PgBouncer> {
        let program = PgBouncer::program()?;
        let account = account::instead_of_root()?;
        let home = Home::temporary("pgb")?;
        if let Some(account) = account {
            account.take(home.path())?;
        }
        let mut users = String::new();
        for role in roles.iter().chain([&USER]) {
            writeln!(users, "\"{role}\" \"\"").context("listing the users")?;
        }
        let users_file = home.path().join("users.txt");
        fs::write(&users_file, users).with_context(|| format!("writing {}", users_file.display()))?;
        let settings = format!(
            "[databases]\n* = host={} port={}\n\
             [pgbouncer]\npool_mode = transaction\ndefault_pool_size = {sessions}\nserver_round_robin = 1\n\
             unix_socket_dir = {}\nauth_type = trust\nauth_file = {}\nadmin_users = {USER}\n",
            postgres.sockets().display(),
            postgres.port(),
            home.path().display(),
            users_file.display(),
        );
        let mut port = free_port();
        let launch = Launch::new(program, home.path().join("pgbouncer.log"))
            .dir(home.path())
            .account(account)
            .arg(home.path().join(SETTINGS_FILE));
        let server = start("PgBouncer", &PASSING, |attempt| {
            if attempt > 0 {
                port = free_port();
            }
            begin(&launch, &home, &settings, port)
        })?;
        Ok(PgBouncer { server, launch, settings, port, home })
    }

    /// The address of a database behind it, as [`Postgres::url`].
    pub fn url(&self, database: &str) -> String {
        let (database, sockets) = (url::escape(database), url::escape_path(self.home.path()));
        format!("postgres:///{database}?host={sockets}&port={}&user={USER}", self.port)
    }

    /// What its console answers, such as to `show stats`.
    ///
    /// # Errors
    /// When it is stopped, or does not know the command.
    pub fn console(&self, command: &str) -> Result<Vec<Row>> {
        query::query(&self.home.path().join(socket_name(self.port)), USER, "pgbouncer", command)
    }

    /// Kills it: whoever is connected is cut off, and so are the sessions of Postgres.
    pub fn kill9(&mut self) {
        self.server.kill9();
    }

    /// Starts it again at the same address.
    ///
    /// # Errors
    /// When it runs, or does not start.
    pub fn start_again(&mut self) -> Result<()> {
        if self.server.is_running() {
            bail!("PgBouncer (pid {}) still runs", self.server.pid());
        }
        self.server = start("PgBouncer", &PASSING, |_| begin(&self.launch, &self.home, &self.settings, self.port))
            .context("starting PgBouncer again")?;
        Ok(())
    }
}

fn begin(launch: &Launch, home: &Home, settings: &str, port: u16) -> Result<Attempt> {
    let (file, socket) = (home.path().join(SETTINGS_FILE), home.path().join(socket_name(port)));
    fs::write(&file, format!("{settings}listen_port = {port}\n"))
        .with_context(|| format!("writing {}", file.display()))?;
    // What a killed one leaves, another one would take for a sign that it runs.
    if socket.exists() {
        fs::remove_file(&socket).with_context(|| format!("removing {}", socket.display()))?;
    }
    Ok(Attempt { process: launch.spawn()?, ready: Box::new(move || query::is_ready(&socket, USER)) })
}
