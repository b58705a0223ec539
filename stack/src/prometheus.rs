//! A private Prometheus, and the tool that checks what it is told.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::home::Home;
use crate::ports::free_port;
use crate::process::{Launch, Process};
use crate::start::{Attempt, start};
use crate::tools::{Found, Tool, find_or_install};

/// On SIGTERM it writes out what it has in memory.
const STOP_MAX_S: u64 = 30;
/// An answer to the question whether it is ready comes at once, or not at all.
const READY_ANSWER_MAX_S: u64 = 5;
/// Somebody else was quicker to take the port.
const PASSING: [&str; 1] = ["address already in use"];

/// The programs of Prometheus.
#[derive(Clone, Debug)]
pub struct PrometheusTools(Found);

impl PrometheusTools {
    /// Looks for them; installs them if the machine has none.
    ///
    /// # Errors
    /// When they are not there and cannot be installed; the error names every way tried.
    pub fn find_or_install() -> Result<PrometheusTools> {
        find_or_install(Tool::Prometheus).map(PrometheusTools)
    }

    /// `promtool`, which checks files of rules and what a program exports.
    pub fn promtool(&self) -> Command {
        let mut command = Command::new(self.0.program("promtool"));
        command.envs(self.0.env());
        command
    }

    /// Starts a server with this configuration. What it stores is gone when it is dropped.
    ///
    /// # Errors
    /// When it does not start; the end of its log, which says what is wrong with the configuration, is in the error.
    pub fn start(&self, configuration: &Path) -> Result<Prometheus> {
        let home = Home::temporary("prometheus").context("making a folder for Prometheus")?;
        let mut launch = Launch::new(self.0.server(), home.path().join("prometheus.log"))
            .dir(home.path())
            .grace(Duration::from_secs(STOP_MAX_S))
            .arg("--config.file")
            .arg(configuration)
            .arg("--storage.tsdb.path")
            .arg(home.path().join("data"));
        if let Some((name, value)) = self.0.env() {
            launch = launch.env(name, value);
        }
        let mut port = 0;
        let server = start("Prometheus", &PASSING, |_| {
            port = free_port();
            let process = launch.clone().arg("--web.listen-address").arg(format!("127.0.0.1:{port}")).spawn()?;
            Ok(Attempt { process, ready: Box::new(move || is_ready(port)) })
        })?;
        Ok(Prometheus { _server: server, port, _home: home })
    }
}

/// A running Prometheus of our own at a free loopback port. Ends on drop, and with our process whatever ends that.
#[derive(Debug)]
pub struct Prometheus {
    // Before the folder, so that it ends before that goes.
    _server: Process,
    port: u16,
    _home: Home,
}

impl Prometheus {
    /// Where it answers questions.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// Whether it says that it is ready; asked without a client, because nothing else here needs one.
fn is_ready(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(READY_ANSWER_MAX_S)))?;
        stream.write_all(b"GET /-/ready HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer.starts_with(b"HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}
