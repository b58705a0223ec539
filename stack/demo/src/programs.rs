//! The shop's two programs and the outside world, carried inside this one: each runs as a process of its own, as it would in
//! earnest, and one build has everything.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ::runtime::{lifecycle, telemetry};
use anyhow::{Context, Result, bail};
use clap::Subcommand;
use stack::{Launch, Process, try_wait_for};

/// The name by which this program is asked to be the API.
pub const SERVE_API: &str = "serve-api";
/// The name by which this program is asked to be the workers.
pub const SERVE_WORKERS: &str = "serve-workers";
/// The name by which this program is asked to be the outside world.
pub const SERVE_SANDBOX: &str = "serve-sandbox";

/// Migrations and the first connections; a slow disk makes them long.
const READY_MAX_SECONDS: u64 = 60;

/// Somebody else may be quicker to take a port that was free a moment ago.
const STARTS_MAX: usize = 5;

/// What the programs say when their port is taken.
const TAKEN: [&str; 2] = ["already taken", "Address already in use"];

/// Variables that must not come to the programs by accident. Others do on purpose: `LANE_BATCH_MAX=500 cargo demo`
/// is how a sale is tried with other settings.
const NOT_HANDED_ON: [&str; 3] = ["MIGRATE_ON_START", "OTEL_EXPORTER_OTLP_ENDPOINT", "QUEUE_DURABILITY"];

/// Being one of the programs.
#[derive(Debug, Clone, Subcommand)]
pub enum Program {
    /// Be the API
    #[command(name = SERVE_API, hide = true)]
    Api(Box<api::ApiConfig>),
    /// Be the workers
    #[command(name = SERVE_WORKERS, hide = true)]
    Workers(Box<workers::WorkersConfig>),
    /// Be the outside world
    #[command(name = SERVE_SANDBOX, hide = true)]
    Sandbox(Box<sandbox::SandboxConfig>),
}

impl Program {
    /// Runs until SIGTERM, with threads as the program itself would have them.
    ///
    /// # Errors
    /// Those of the program.
    pub fn run(self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting a runtime")?;
        runtime.block_on(async {
            match self {
                Program::Api(config) => {
                    lifecycle::install_tls_provider();
                    telemetry::init(&config.telemetry)?;
                    api::run(*config).await
                }
                Program::Workers(config) => workers::run(*config).await,
                Program::Sandbox(config) => sandbox::run(*config).await,
            }
        })
    }
}

/// A program that shall run: its name, and variables that depend on the ports that it is given.
pub(crate) struct Start<'a> {
    /// [`SERVE_API`], [`SERVE_WORKERS`] or [`SERVE_SANDBOX`].
    pub program: &'static str,
    /// Where its log goes.
    pub log: &'a Path,
    /// Variables with their values, from two free ports: for the public door, and for metrics. At the second it is asked
    /// whether it is ready.
    pub variables: &'a dyn Fn(u16, u16) -> Vec<(&'static str, String)>,
}

/// A program that runs, and its ports.
#[derive(Debug)]
pub(crate) struct Running {
    pub process: Process,
    pub port: u16,
    pub metrics_port: u16,
}

impl Start<'_> {
    /// Starts this very program as another one, and waits until it says that it is ready.
    ///
    /// # Errors
    /// When it ends before, or is not ready in time; the end of its log is in the error.
    pub fn run(&self) -> Result<Running> {
        let own = own_program()?;
        for _ in 0..STARTS_MAX {
            let (port, metrics_port) = (stack::free_port(), stack::free_port());
            let mut launch = Launch::new(&own, self.log).arg(self.program);
            for name in NOT_HANDED_ON {
                launch = launch.without_env(name);
            }
            for (name, value) in (self.variables)(port, metrics_port) {
                launch = launch.env(name, value);
            }
            let mut process = launch.spawn()?;
            if is_ready(self.program, &mut process, metrics_port)? {
                return Ok(Running { process, port, metrics_port });
            }
        }
        bail!("{} found its port taken {STARTS_MAX} times", self.program)
    }
}

/// This program's file, as it was when we started: whoever builds it again in the meantime must not change what runs.
fn own_program() -> Result<PathBuf> {
    let path = std::env::current_exe().context("finding this program")?;
    // The kernel keeps a replaced file reachable for as long as somebody runs it.
    Ok(if path.is_file() { path } else { PathBuf::from(format!("/proc/{}/exe", std::process::id())) })
}

/// Waits until it is ready; false if it ended because its port was taken.
fn is_ready(name: &str, process: &mut Process, metrics_port: u16) -> Result<bool> {
    const TAIL_LINES: usize = 20;
    let what = format!("{name} to be ready");
    let ready = try_wait_for(&what, Duration::from_secs(READY_MAX_SECONDS), || match process.status() {
        Some(status) => Some(Err(status)),
        None => answers_ready(metrics_port).then_some(Ok(())),
    });
    match ready {
        Ok(Ok(())) => Ok(true),
        Ok(Err(_)) if TAKEN.iter().any(|taken| process.log().contains(taken)) => Ok(false),
        Ok(Err(status)) => bail!("{name} ended ({status}); its log ends:\n{}", process.log_tail(TAIL_LINES)),
        Err(late) => Err(late.context(format!("the log of {name} ends:\n{}", process.log_tail(TAIL_LINES)))),
    }
}

/// Whether `/readyz` answers 200; asked without a client, because nothing else runs yet that one would need.
fn answers_ready(port: u16) -> bool {
    use std::io::{Read, Write};
    const ANSWER_MAX_SECONDS: u64 = 5;
    let ask = || -> std::io::Result<bool> {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(ANSWER_MAX_SECONDS)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer.starts_with(b"HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}
