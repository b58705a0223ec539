//! The outside world for development and tests, in one process: what the shop talks to, and what can go wrong there.
//!
//! Read aloud: the gateway takes money, the receivers hear of orders and alerts, the mail server keeps mails, the issuer
//! gives tokens, the verifier says who is a person. Each looks at its switch before it answers ([`Fault`]), and notes what came ([`Arrived`]).

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod arrived;
mod bounded;
mod config;
mod control;
mod faults;
mod gateway;
mod humans;
mod issuer;
mod limits;
mod mail;
mod odd;
mod page;
mod receivers;
mod serve;
mod webhook;
mod world;

use std::io::{self, IsTerminal};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use arrived::{Alert, Arrived, HumanCheck, Mail, Order, Payment, Taken, Totals};
pub use config::SandboxConfig;
pub use faults::{Fault, Faults, Mode, Target};
pub use webhook::{Signature, Verifier};

use arrived::Desk;
use faults::Switches;
use gateway::Gateway;
use humans::Humans;
use issuer::Issuer;
use limits::{ARRIVALS_MAX, BODY_MAX_BYTES};
use world::World;

/// The issuer that tokens name, unless said otherwise.
pub const ISSUER_DEFAULT: &str = "sandbox";
/// The audience that tokens name, unless said otherwise.
pub const AUDIENCE_DEFAULT: &str = "droplane";

/// How a sandbox shall be.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens for HTTP; by default a free port on loopback.
    pub address: SocketAddr,
    /// Where it listens for mails; by default a free port on loopback.
    pub smtp_address: SocketAddr,
    /// What signatures of orders are checked with; by default they are not.
    pub sync_secret: Verifier,
    /// The issuer that tokens name.
    pub issuer: String,
    /// The audience that tokens name.
    pub audience: String,
    /// Payments, orders, mails, alerts and questions about persons that are kept, of each kind; the oldest go first.
    pub arrivals_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Options {
            address: free,
            smtp_address: free,
            sync_secret: Verifier::default(),
            issuer: ISSUER_DEFAULT.to_owned(),
            audience: AUDIENCE_DEFAULT.to_owned(),
            arrivals_max: ARRIVALS_MAX,
        }
    }
}

impl TryFrom<SandboxConfig> for Options {
    type Error = anyhow::Error;

    fn try_from(config: SandboxConfig) -> anyhow::Result<Options> {
        Ok(Options {
            address: config.sandbox_addr,
            smtp_address: config.sandbox_smtp_addr,
            sync_secret: config.sync_secret()?,
            issuer: config.sandbox_issuer,
            audience: config.sandbox_audience,
            ..Options::default()
        })
    }
}

/// An outside world that is there until it is dropped, in the runtime that it was started in.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    smtp_address: SocketAddr,
    world: Arc<World>,
    _until: DropGuard,
}

impl Sandbox {
    /// Starts one. It listens when this returns.
    ///
    /// # Errors
    /// A sentence that names the variable when an address is taken or cannot be listened at.
    pub async fn start(options: Options) -> anyhow::Result<Sandbox> {
        let (listener, address) = listen("SANDBOX_ADDR", options.address).await?;
        let (smtp_listener, smtp_address) = listen("SANDBOX_SMTP_ADDR", options.smtp_address).await?;
        let until = CancellationToken::new();
        let world = Arc::new(World {
            switches: Switches::default(),
            desk: Desk::new(options.arrivals_max),
            gateway: Gateway::default(),
            humans: Humans::default(),
            verifier: options.sync_secret,
            issuer: Issuer::new(options.issuer, options.audience)?,
            until: until.clone(),
        });
        let routes = routes(Arc::clone(&world));
        tokio::spawn(serve::accept(listener, until.clone(), move |stream| serve::answer(stream, routes.clone())));
        let mails = Arc::clone(&world);
        let converse = move |stream| mail::converse(stream, Arc::clone(&mails));
        tokio::spawn(serve::accept(smtp_listener, until.clone(), converse));
        Ok(Sandbox { address, smtp_address, world, _until: until.drop_guard() })
    }

    /// The address of everything that speaks HTTP, without a slash at its end. It is also that of the payment gateway;
    /// orders go to `/orders` below it, alerts to `/alerts`, proofs of being human to `/siteverify`, and the keys of tokens are at
    /// `/.well-known/jwks.json`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address of the mail server.
    pub fn smtp_url(&self) -> String {
        format!("smtp://{}", self.smtp_address)
    }

    /// All switches as they are.
    pub fn faults(&self) -> Faults {
        self.world.switches.all()
    }

    /// Sets a switch: a [`Mode`] until it is set otherwise, or [`Mode::times`].
    ///
    /// # Errors
    /// A sentence when this part cannot behave like that.
    pub fn set_fault(&self, target: Target, fault: impl Into<Fault>) -> anyhow::Result<()> {
        self.world.switches.set(target, fault.into())
    }

    /// What arrived, as far as it is kept.
    pub fn arrived(&self) -> Arrived {
        self.world.desk.newest(usize::MAX)
    }

    /// How much arrived.
    pub fn arrived_totals(&self) -> Totals {
        self.world.desk.lists().totals()
    }

    /// Forgets what arrived, the ledger included; the gateway still knows its keys and intents.
    pub fn forget(&self) {
        self.world.desk.forget();
    }
}

fn routes(world: Arc<World>) -> Router {
    let all =
        [gateway::routes(), receivers::routes(), humans::routes(), odd::routes(), issuer::routes(), page::routes()];
    let all = all.into_iter().fold(control::routes(), Router::merge);
    all.layer(DefaultBodyLimit::max(BODY_MAX_BYTES)).with_state(world)
}

async fn listen(variable: &str, address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let taken = error.kind() == io::ErrorKind::AddrInUse;
        anyhow::Error::new(error).context(if taken {
            format!("{variable} {address} is already taken by another process; give this one an address of its own")
        } else {
            format!("cannot listen at {variable} {address}")
        })
    })?;
    let address = listener.local_addr().with_context(|| format!("reading the address of {variable}"))?;
    Ok((listener, address))
}

/// Whether a sandbox listens at the address of this configuration, so that platforms can find it out by running a command.
///
/// # Errors
/// When nobody does.
pub fn ask_health(config: &SandboxConfig) -> anyhow::Result<()> {
    let mut address = config.sandbox_addr;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    let connected = std::net::TcpStream::connect_timeout(&address, limits::HEALTH_CONNECT);
    connected.map(drop).with_context(|| format!("nobody listens at SANDBOX_ADDR {address}"))
}

/// Is the outside world until SIGTERM or SIGINT. Logging is started here.
///
/// # Errors
/// A sentence when an address is taken.
pub async fn run(config: SandboxConfig) -> anyhow::Result<()> {
    // An error says that the process logs already.
    let _ = tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).try_init();
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let sandbox = Sandbox::start(config.try_into()?).await?;
    if !sandbox.address.ip().is_loopback() {
        tracing::warn!("others than this machine may reach {}, and it gives a token to everybody", sandbox.url());
    }
    tracing::info!("the outside world is at {}, its mail server at {}", sandbox.url(), sandbox.smtp_url());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("the outside world ends");
    Ok(())
}
