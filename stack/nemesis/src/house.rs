//! A whole shop that can be hurt: two of each program, their servers, and a wire between any two that talk. Several faults may
//! hurt it at once: each holds what it hits for no longer than a call.

mod launches;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use demo::rights::{self, Secrets};
use futures::future::try_join_all;
use reqwest::{Client, Method};
use runtime::fault_points::Point;
use sandbox::{Options, Sandbox};
use serde_json::Value;
use sqlx::PgPool;
use stack::{Launch, Postgres, PostgresOptions, Process, Redis, RedisOptions, free_port, try_wait_for_async};

use crate::disk::Disk;
use crate::load::Balancer;
use crate::losses::Losses;
use crate::wire::Wire;
use launches::Launches;

/// Of each program.
pub const COPIES: usize = 2;

/// The lease of a batch; time-outs derive from it.
pub const LEASE: Duration = Duration::from_secs(1);

/// For a program to be ready again on a machine that is busy.
const READY_MAX: Duration = Duration::from_secs(60);

/// For whoever is asked by HTTP.
const ANSWER_MAX: Duration = Duration::from_secs(20);

const DATABASE: &str = "shop";
const ADMIN_TOKEN: &str = "the-operators-token";
const SYNC_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Whatever arrives outside in a long run is kept: the promises are looked at in it.
const ARRIVALS_MAX: usize = 1_000_000;

/// What Postgres may write ahead where its disk is memory.
const WAL_MAX: (&str, &str) = ("max_wal_size", "256MB");

/// How a copy of a program is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The door.
    Api,
    /// Those who decide.
    Workers,
}

/// A copy of a program.
#[derive(Debug)]
struct Copy {
    launch: Launch,
    process: Mutex<Process>,
    /// Where it says that it is ready, and how it is doing.
    metrics: String,
}

/// Who talks to whom over a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Between {
    /// Shoppers and doors: a wire for each door.
    ShoppersAndDoors,
    /// Both programs and Redis: a wire for each copy, those of the doors first.
    ProgramsAndRedis,
    /// Both programs and Postgres: the same.
    ProgramsAndPostgres,
    /// Workers and the order system: a wire for each copy.
    WorkersAndOrders,
    /// Workers and the payment gateway: the same.
    WorkersAndGateway,
    /// Workers and the mail server: the same.
    WorkersAndMail,
    /// Workers and whoever hears of alerts: the same.
    WorkersAndAlerts,
}

/// All wires.
#[derive(Debug)]
struct Wires {
    doors: [Wire; COPIES],
    redis: [Wire; 2 * COPIES],
    postgres: [Wire; 2 * COPIES],
    orders: [Wire; COPIES],
    gateway: [Wire; COPIES],
    mail: [Wire; COPIES],
    alerts: [Wire; COPIES],
}

/// The shop. Fields end in this order.
#[derive(Debug)]
pub struct House {
    apis: Vec<Copy>,
    workers: Vec<Copy>,
    /// Where the doors are, past all wires.
    pub doors: Vec<String>,
    /// Before them.
    pub balancer: Arc<Balancer>,
    wires: Wires,
    /// The world outside.
    pub world: Sandbox,
    redis: Mutex<Redis>,
    postgres: Mutex<Postgres>,
    /// Where the servers' data are, if these are disks that can be filled.
    pub disks: Option<Disks>,
    /// To look into Postgres past all wires.
    pub pool: PgPool,
    /// When Redis lost its data.
    pub losses: Losses,
    http: Client,
    folder: PathBuf,
}

/// Disks that can be filled.
#[derive(Debug)]
pub struct Disks {
    /// Redis' own.
    pub redis: Disk,
    /// Postgres' own.
    pub postgres: Disk,
}

impl House {
    /// Opens it, with logs and data below `folder`. `program` is the file that can be both programs; where `on_disks`, data
    /// are on disks that can be filled, as far as the machine lets us have some.
    ///
    /// # Errors
    /// When something cannot be started; it says what.
    pub async fn open(program: &Path, folder: &Path, on_disks: bool, more: &[(&str, String)]) -> Result<House> {
        let homes = (folder.join("redis"), folder.join("postgres"));
        let mounted = || Ok(Disks { redis: Disk::mount(&homes.0)?, postgres: Disk::mount(&homes.1)? });
        let disks: Option<Result<Disks>> = on_disks.then(mounted);
        if let Some(Err(error)) = &disks {
            stack::tell_skipped(format_args!("no disk can be filled here: {error:#}"));
        }
        let disks = disks.and_then(Result::ok);
        let secrets = Secrets::make(folder)?;
        let users = Some(secrets.redis_users()?);
        let redis = Redis::start(RedisOptions { data_dir: Some(homes.0), users, ..RedisOptions::default() })?;
        let settings = disks.iter().map(|_| (WAL_MAX.0.to_owned(), WAL_MAX.1.to_owned())).collect();
        let postgres = Postgres::start(PostgresOptions { data_dir: Some(homes.1), settings })?;
        postgres.create_database(DATABASE)?;
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(8)
            .connect_lazy(&postgres.url(DATABASE))
            .context("the address of Postgres")?;
        rights::prepare(&postgres.url(DATABASE)).await?;
        let secret = SYNC_SECRET.parse().context("the sync secret")?;
        let world =
            Sandbox::start(Options { sync_secret: secret, arrivals_max: ARRIVALS_MAX, ..Options::default() }).await?;
        std::fs::create_dir_all(folder.join("points")).context("making a folder for fault points")?;

        let ports: [u16; COPIES] = std::array::from_fn(|_| free_port());
        let outside = port_of(&world.url())?;
        let wires = Wires {
            doors: [Wire::to(ports[0]).await?, Wire::to(ports[1]).await?],
            redis: wires_to(redis.port()).await?,
            postgres: wires_to(postgres.port()).await?,
            orders: wires_to(outside).await?,
            gateway: wires_to(outside).await?,
            mail: wires_to(port_of(&world.smtp_url())?).await?,
            alerts: wires_to(outside).await?,
        };
        let launches = Launches { program, folder, wires: &wires, secrets: &secrets, more };
        let apis = ports.iter().zip(0..).map(|(port, number)| launches.api(number, *port)).collect::<Result<_>>()?;
        let workers = (0..COPIES).map(|number| launches.workers(number)).collect::<Result<_>>()?;
        let http = Client::builder().timeout(ANSWER_MAX).build().context("making an HTTP client")?;
        let house = House {
            apis,
            workers,
            doors: ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect(),
            balancer: Arc::new(Balancer::new(wires.doors.iter().map(|wire| format!("http://{}", wire.address)))),
            wires,
            world,
            redis: Mutex::new(redis),
            postgres: Mutex::new(postgres),
            disks,
            pool,
            losses: Losses::default(),
            http,
            folder: folder.to_owned(),
        };
        for program in [Program::Api, Program::Workers] {
            for number in 0..COPIES {
                house.ready(program, number).await?;
            }
        }
        Ok(house)
    }

    fn copies(&self, program: Program) -> &[Copy] {
        match program {
            Program::Api => &self.apis,
            Program::Workers => &self.workers,
        }
    }

    /// A copy's process.
    pub fn process(&self, program: Program, number: usize) -> MutexGuard<'_, Process> {
        own(&self.copies(program)[number].process)
    }

    /// What all copies have written, one file each.
    pub fn logs(&self) -> Vec<PathBuf> {
        let copies = self.apis.iter().chain(&self.workers);
        copies.map(|copy| own(&copy.process).log_path().to_owned()).collect()
    }

    /// Redis.
    pub fn redis(&self) -> MutexGuard<'_, Redis> {
        own(&self.redis)
    }

    /// Postgres.
    pub fn postgres(&self) -> MutexGuard<'_, Postgres> {
        own(&self.postgres)
    }

    /// The wires between these.
    pub fn wires(&self, between: Between) -> &[Wire] {
        match between {
            Between::ShoppersAndDoors => &self.wires.doors,
            Between::ProgramsAndRedis => &self.wires.redis,
            Between::ProgramsAndPostgres => &self.wires.postgres,
            Between::WorkersAndOrders => &self.wires.orders,
            Between::WorkersAndGateway => &self.wires.gateway,
            Between::WorkersAndMail => &self.wires.mail,
            Between::WorkersAndAlerts => &self.wires.alerts,
        }
    }

    /// Starts a copy again after it ended, with more variables for this once, and waits until it is ready.
    ///
    /// # Errors
    /// When it still runs, or is not ready in time.
    pub async fn start_again(&self, program: Program, number: usize, more: &[(&str, String)]) -> Result<()> {
        let copy = &self.copies(program)[number];
        {
            let mut process = own(&copy.process);
            if process.is_running() {
                bail!("{program:?} {number} never ended");
            }
            let launch = more.iter().fold(copy.launch.clone(), |launch, (name, value)| launch.env(*name, value));
            *process = launch.spawn()?;
        }
        self.ready(program, number).await
    }

    /// What a copy answers to a question for its state; none: it does not.
    pub async fn ask_copy(&self, program: Program, number: usize, path: &str) -> Option<reqwest::Response> {
        let address = format!("{}{path}", self.copies(program)[number].metrics);
        self.http.get(address).send().await.ok()
    }

    /// What a copy has counted in the series of this name whose labels have this among them; 0 where it does not answer.
    pub async fn counted(&self, program: Program, number: usize, name: &str, label: &str) -> f64 {
        let Some(answer) = self.ask_copy(program, number, "/metrics").await else { return 0.0 };
        let text = answer.text().await.unwrap_or_default();
        let is_of =
            |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') && rest.contains(label));
        text.lines().filter(is_of).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// What all workers have counted of it. One that was started anew begins with 0.
    pub async fn counted_by_workers(&self, name: &str) -> f64 {
        let mut counted = 0.0;
        for number in 0..COPIES {
            counted += self.counted(Program::Workers, number, name, "").await;
        }
        counted
    }

    /// Whether a copy says that it is ready.
    pub async fn is_ready(&self, program: Program, number: usize) -> bool {
        let answer = self.ask_copy(program, number, "/readyz").await;
        answer.is_some_and(|answer| answer.status().is_success())
    }

    /// Waits until a copy says that it is ready.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn ready(&self, program: Program, number: usize) -> Result<()> {
        try_wait_for_async(&format!("{program:?} {number} to be ready"), READY_MAX, || async {
            self.is_ready(program, number).await.then_some(())
        })
        .await
    }

    /// Waits until a copy says that it is no longer ready, or is gone.
    ///
    /// # Errors
    /// When it stays ready.
    pub async fn no_longer_ready(&self, program: Program, number: usize) -> Result<()> {
        try_wait_for_async(&format!("{program:?} {number} to be no longer ready"), READY_MAX, || async {
            (!self.is_ready(program, number).await).then_some(())
        })
        .await
    }

    /// Arms a fault point in all copies: whoever comes by first does this, `KILL` or `STOP`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn arm(&self, point: Point, what: &str) -> Result<()> {
        let taken = self.taken(point);
        if taken.exists() {
            std::fs::remove_file(&taken).context("disarming a fault point")?;
        }
        // Written aside first: whoever comes by must not find half a word.
        let aside = self.folder.join(format!("{}.aside", point.as_str()));
        std::fs::write(&aside, what).context("arming a fault point")?;
        std::fs::rename(aside, self.folder.join("points").join(point.as_str())).context("arming a fault point")
    }

    /// Whether somebody came by an armed point.
    pub fn was_reached(&self, point: Point) -> bool {
        self.taken(point).exists()
    }

    fn taken(&self, point: Point) -> PathBuf {
        self.folder.join("points").join(format!("{}.taken", point.as_str()))
    }

    /// What a shopper sends, past all wires.
    ///
    /// # Errors
    /// When there is no answer, or none that can be read.
    pub async fn shopper(&self, path: &str, body: &Value) -> Result<(u16, Value)> {
        let sent = self.http.post(format!("{}{path}", self.doors[0])).json(body).send().await;
        let answer = sent.with_context(|| format!("asking {path}"))?;
        let status = answer.status().as_u16();
        Ok((status, answer.json().await.with_context(|| format!("reading the answer of {path}"))?))
    }

    /// What an operator does; it must be done.
    ///
    /// # Errors
    /// When it is not.
    pub async fn admin(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut request =
            self.http.request(method, format!("{}/api/admin{path}", self.doors[0])).bearer_auth(ADMIN_TOKEN);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.with_context(|| format!("asking {path}"))?;
        let status = answer.status();
        let body: Value = answer.json().await.with_context(|| format!("reading the answer of {path}"))?;
        if !status.is_success() {
            bail!("{path}: {status} {body}");
        }
        Ok(body)
    }

    /// How many commands stand in all lines.
    ///
    /// # Errors
    /// When nobody says.
    pub async fn waiting(&self) -> Result<u64> {
        let lanes = self.admin(Method::GET, "/lanes", None).await?;
        let groups = lanes["groups"].as_array().context("the lanes")?;
        Ok(groups.iter().filter_map(|group| group["depth"].as_u64()).sum())
    }
}

impl Copy {
    fn start(launch: Launch, metrics_port: u16) -> Result<Copy> {
        let process = Mutex::new(launch.spawn()?);
        Ok(Copy { launch, process, metrics: format!("http://127.0.0.1:{metrics_port}") })
    }
}

/// Whoever panicked while holding it has failed the run already.
fn own<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn wires_to<const N: usize>(port: u16) -> Result<[Wire; N]> {
    let wires = try_join_all((0..N).map(|_| Wire::to(port))).await?;
    Ok(wires.try_into().expect("as many as were asked for"))
}

fn port_of(url: &str) -> Result<u16> {
    url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).with_context(|| format!("{url} names no port"))
}
