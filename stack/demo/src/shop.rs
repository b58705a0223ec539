//! A whole shop on this machine: Postgres, Redis, the API, the workers, and perhaps the world outside, each a process of its
//! own.

mod outside;
mod run_folder;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rand::RngExt;
use stack::Stack;

use crate::admin::Admin;
use crate::load::Door;
use crate::programs::{Running, SERVE_API, SERVE_WORKERS, Start};

pub use outside::Outside;
use outside::World;
pub use run_folder::RunFolder;

/// The shop's database.
const DATABASE: &str = "shop";

const TOKEN_BYTES: usize = 24;

/// What the world outside is called.
const SANDBOX: &str = "sandbox";

/// So much of a log is told.
const LAST_LINES: usize = 20;

/// How often it is looked whether all parts are still there.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A shop that is open. It closes when it is dropped, in this order: the doors, the workers, the world outside, the services,
/// the folder.
#[derive(Debug)]
pub struct Shop {
    api: Running,
    workers: Vec<Running>,
    world: Option<World>,
    token: String,
    settings: Vec<(&'static str, String)>,
    /// Postgres and Redis.
    pub stack: Stack,
    folder: RunFolder,
}

impl Shop {
    /// Opens a shop, with its data below `data` if they shall be kept. `telling` hears what is being done.
    ///
    /// # Errors
    /// When something cannot be started; it says what, and what its log says.
    pub fn open(data: Option<PathBuf>, outside: Outside, telling: impl FnMut(&str)) -> Result<Shop> {
        Shop::open_with(data, outside, &[], telling)
    }

    /// The same with more settings of the API and the workers.
    ///
    /// # Errors
    /// As [`Shop::open`].
    pub fn open_with(
        data: Option<PathBuf>,
        outside: Outside,
        settings: &[(&'static str, String)],
        mut telling: impl FnMut(&str),
    ) -> Result<Shop> {
        let folder = RunFolder::open(data)?;
        telling("starting Postgres and Redis");
        let stack = Stack::start(Some(folder.path().to_owned()))?;
        if !has_database(&stack)? {
            stack.postgres.create_database(DATABASE)?;
        }
        let token = random_token();
        let world = World::open(outside, folder.path()).context("opening the world outside")?;
        telling("starting the API");
        let api = start_api(&stack, world.as_ref(), &token, settings, folder.path())?;
        telling("starting the workers");
        let workers = vec![start_workers(&stack, world.as_ref(), settings, folder.path(), 1)?];
        Ok(Shop { api, workers, world, token, settings: settings.to_vec(), stack, folder })
    }

    /// Where the API listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.api.port))
    }

    /// The API as clients reach it.
    pub fn door(&self) -> Door {
        Door::new(self.address())
    }

    /// The operator.
    pub fn admin(&self) -> Admin {
        Admin::new(self.door(), &self.token)
    }

    /// Where the page of the sandbox is, if there is one.
    pub fn sandbox_url(&self) -> Option<String> {
        self.world.as_ref().map(World::url)
    }

    /// The operator's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Where the metrics of the API and of each workers process are.
    pub fn metrics_addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let workers = self.workers.iter().map(|running| ("workers", running));
        let running = std::iter::once(("api", &self.api)).chain(workers);
        running.map(|(name, run)| (name, SocketAddr::from((Ipv4Addr::LOCALHOST, run.metrics_port)))).collect()
    }

    /// The address of the shop's database.
    pub fn database_url(&self) -> String {
        self.stack.postgres.url(DATABASE)
    }

    /// Where data and logs are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes it so many workers processes; those that are too many finish what they have in hand.
    ///
    /// # Errors
    /// When one cannot be started.
    pub fn set_workers(&mut self, count: usize) -> Result<()> {
        self.workers.truncate(count);
        while self.workers.len() < count {
            let (world, number) = (self.world.as_ref(), self.workers.len() + 1);
            self.workers.push(start_workers(&self.stack, world, &self.settings, self.folder.path(), number)?);
        }
        Ok(())
    }

    /// One more workers process, which tells an order system at `url` of orders, signed with `secret`, until it is dropped.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start_sender(&self, url: &str, secret: &str) -> Result<Running> {
        let variables = |_: u16, metrics_port: u16| {
            let mut all = workers_variables(&self.stack, metrics_port);
            all.extend([("ORDER_SYNC_URL", url.to_owned()), ("ORDER_SYNC_SECRET", secret.to_owned())]);
            all
        };
        let log = self.folder.path().join("sender.log");
        Start { program: SERVE_WORKERS, log: &log, variables: &variables }.run()
    }

    /// What the API and the workers have logged so far, by name.
    pub fn logs(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![("api", self.api.process.log())];
        all.extend(self.workers.iter().map(|workers| ("workers", workers.process.log())));
        all
    }

    /// Returns when a part of the shop ends that is not among these; its name, and its process' id.
    pub async fn until_one_ends(&self, ended: &[u32]) -> (&'static str, u32) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            looks.tick().await;
            let world = self.world.iter().map(|world| (SANDBOX, world.pid()));
            let is_new = |(_, pid): &(&str, u32)| !ended.contains(pid) && stack::has_ended(*pid);
            if let Some(one) = self.processes().into_iter().chain(world).find(is_new) {
                return one;
            }
        }
    }

    /// The end of the log of a part of the shop.
    pub fn last_words(&self, name: &str) -> String {
        match name {
            "postgres" => self.stack.postgres.log_tail(),
            "redis" => self.stack.redis.log_tail(),
            "api" => self.api.process.log_tail(LAST_LINES),
            SANDBOX => self.world.iter().map(|world| world.last_words(LAST_LINES)).collect(),
            _ => self.workers.iter().map(|workers| workers.process.log_tail(LAST_LINES)).collect(),
        }
    }

    /// The processes of the shop by name, for those who measure what each one costs.
    pub fn processes(&self) -> Vec<(&'static str, u32)> {
        let mut all = vec![
            ("postgres", self.stack.postgres.pid()),
            ("redis", self.stack.redis.pid()),
            ("api", self.api.process.pid()),
        ];
        all.extend(self.workers.iter().map(|workers| ("workers", workers.process.pid())));
        all
    }
}

fn has_database(stack: &Stack) -> Result<bool> {
    let sql = format!("select 1 from pg_database where datname = '{DATABASE}'");
    Ok(!stack.postgres.query("postgres", &sql).context("looking for the shop's database")?.is_empty())
}

fn random_token() -> String {
    let bytes: [u8; TOKEN_BYTES] = rand::rng().random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn services(stack: &Stack) -> [(&'static str, String); 2] {
    [("DATABASE_URL", stack.postgres.url(DATABASE)), ("REDIS_URL", stack.redis.url())]
}

/// More settings of the programs.
type Settings<'a> = &'a [(&'static str, String)];

fn start_api(
    stack: &Stack,
    world: Option<&World>,
    token: &str,
    settings: Settings<'_>,
    folder: &Path,
) -> Result<Running> {
    let variables = |port: u16, metrics_port: u16| {
        let mut all = vec![
            ("API_ADDR", format!("127.0.0.1:{port}")),
            ("METRICS_ADDR", format!("127.0.0.1:{metrics_port}")),
            ("AUTH_MODE", "off".to_owned()),
            ("ADMIN_TOKEN", token.to_owned()),
            // All shoppers come from one machine, and a replayed wholesaler orders many times in a second.
            ("RATE_LIMIT_PER_USER", "off".to_owned()),
        ];
        all.extend(services(stack));
        all.extend(world.map(World::variables_of_the_door).unwrap_or_default());
        all.extend_from_slice(settings);
        all
    };
    Start { program: SERVE_API, log: &folder.join("api.log"), variables: &variables }.run()
}

fn workers_variables(stack: &Stack, metrics_port: u16) -> Vec<(&'static str, String)> {
    let mut all = vec![("METRICS_ADDR", format!("127.0.0.1:{metrics_port}"))];
    all.extend(services(stack));
    all
}

fn start_workers(
    stack: &Stack,
    world: Option<&World>,
    settings: Settings<'_>,
    folder: &Path,
    number: usize,
) -> Result<Running> {
    let variables = |_: u16, metrics_port: u16| {
        let mut all = workers_variables(stack, metrics_port);
        all.extend(world.map(World::variables).unwrap_or_default());
        all.extend_from_slice(settings);
        all
    };
    let log = folder.join(format!("workers-{number}.log"));
    Start { program: SERVE_WORKERS, log: &log, variables: &variables }.run()
}
