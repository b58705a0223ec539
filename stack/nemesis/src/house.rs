//! A whole shop that can be hurt: two of each program, their servers, and a wire before each of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Client, Method};
use runtime::fault_points::{FOLDER_VARIABLE, Point};
use sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use sqlx::PgPool;
use stack::{Launch, Postgres, PostgresOptions, Process, Redis, RedisOptions, free_port, try_wait_for_async};

use crate::load::{Balancer, Goods};
use crate::wire::Wire;

/// Of each program.
pub const COPIES: usize = 2;

/// The lease of a batch; time-outs derive from it.
pub const LEASE: Duration = Duration::from_secs(1);

/// For a program to be ready again on a machine that is busy.
const READY_MAX: Duration = Duration::from_secs(60);

const DATABASE: &str = "shop";
const ADMIN_TOKEN: &str = "the-operators-token";
const SYNC_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

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
    process: Process,
    /// Where it says that it is ready, and how it is doing.
    metrics: String,
}

/// The shop. Fields end in this order.
#[derive(Debug)]
pub struct House {
    apis: Vec<Copy>,
    workers: Vec<Copy>,
    /// Where the doors are.
    pub doors: Vec<String>,
    /// Before them.
    pub balancer: Arc<Balancer>,
    /// Between the programs and Redis: one for all `api`, one for all `workers`.
    pub to_redis: [Wire; 2],
    /// The same before Postgres.
    pub to_postgres: [Wire; 2],
    /// The world outside.
    pub world: Sandbox,
    /// Redis.
    pub redis: Redis,
    /// Postgres.
    pub postgres: Postgres,
    /// To look into Postgres past all wires.
    pub pool: PgPool,
    /// Whether Redis has lost its data since the shop opened.
    pub has_lost: Arc<AtomicBool>,
    http: Client,
    folder: PathBuf,
}

impl House {
    /// Opens it, with logs and data below `folder`. `program` is the file that can be both programs.
    ///
    /// # Errors
    /// When something cannot be started; it says what.
    pub async fn open(program: &Path, folder: &Path, more: &[(&str, String)]) -> Result<House> {
        let redis = Redis::start(RedisOptions { data_dir: Some(folder.join("redis")), ..RedisOptions::default() })?;
        let postgres =
            Postgres::start(PostgresOptions { data_dir: Some(folder.join("postgres")), ..PostgresOptions::default() })?;
        postgres.create_database(DATABASE)?;
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(4)
            .connect_lazy(&postgres.url(DATABASE))
            .context("the address of Postgres")?;
        runtime::postgres::migrate(&pool).await.context("migrating")?;
        let secret = SYNC_SECRET.parse().context("the sync secret")?;
        let world = Sandbox::start(Options { sync_secret: secret, ..Options::default() }).await?;
        let to_redis = [Wire::to(redis.port()).await?, Wire::to(redis.port()).await?];
        let to_postgres = [Wire::to(postgres.port()).await?, Wire::to(postgres.port()).await?];
        std::fs::create_dir_all(folder.join("points")).context("making a folder for fault points")?;

        let plan =
            Plan { program, folder, redis: &to_redis, postgres: &to_postgres, url: postgres.tcp_url(DATABASE), more };
        let mut doors = Vec::new();
        let mut apis = Vec::new();
        for number in 1..=COPIES {
            let port = free_port();
            doors.push(format!("http://127.0.0.1:{port}"));
            apis.push(plan.api(number, port)?);
        }
        let workers = (1..=COPIES).map(|number| plan.workers(number, &world)).collect::<Result<_>>()?;
        let http = Client::builder().timeout(Duration::from_secs(20)).build().context("making an HTTP client")?;
        let folder = folder.to_owned();
        let balancer = Arc::new(Balancer::new(&doors));
        let house = House {
            apis,
            workers,
            doors,
            balancer,
            to_redis,
            to_postgres,
            world,
            redis,
            postgres,
            pool,
            has_lost: Arc::default(),
            http,
            folder,
        };
        for program in [Program::Api, Program::Workers] {
            for number in 0..COPIES {
                house.ready(program, number).await?;
            }
        }
        Ok(house)
    }

    fn copies(&mut self, program: Program) -> &mut [Copy] {
        match program {
            Program::Api => &mut self.apis,
            Program::Workers => &mut self.workers,
        }
    }

    /// A copy's process.
    pub fn process(&mut self, program: Program, number: usize) -> &mut Process {
        &mut self.copies(program)[number].process
    }

    /// Starts a copy again after it ended, and waits until it is ready.
    ///
    /// # Errors
    /// When it still runs, or is not ready in time.
    pub async fn start_again(&mut self, program: Program, number: usize) -> Result<()> {
        let copy = &mut self.copies(program)[number];
        if copy.process.is_running() {
            bail!("{program:?} {number} never ended");
        }
        copy.process = copy.launch.spawn()?;
        self.ready(program, number).await
    }

    /// Waits until a copy says that it is ready.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn ready(&self, program: Program, number: usize) -> Result<()> {
        let copies = if program == Program::Api { &self.apis } else { &self.workers };
        let address = format!("{}/readyz", copies[number].metrics);
        try_wait_for_async(&format!("{program:?} {number} to be ready"), READY_MAX, || async {
            let answer = self.http.get(&address).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await
    }

    /// Waits until a copy says that it is no longer ready, or is gone.
    ///
    /// # Errors
    /// When it stays ready.
    pub async fn no_longer_ready(&self, program: Program, number: usize) -> Result<()> {
        let copies = if program == Program::Api { &self.apis } else { &self.workers };
        let address = format!("{}/readyz", copies[number].metrics);
        try_wait_for_async(&format!("{program:?} {number} to be no longer ready"), READY_MAX, || async {
            let is_ready = self.http.get(&address).send().await.is_ok_and(|answer| answer.status().is_success());
            (!is_ready).then_some(())
        })
        .await
    }

    /// The sum of all series of this name over all copies of a program; 0 for a copy that does not answer.
    pub async fn metric(&self, program: Program, name: &str) -> f64 {
        let copies = if program == Program::Api { &self.apis } else { &self.workers };
        let mut sum = 0.0;
        for copy in copies {
            let Ok(answer) = self.http.get(format!("{}/metrics", copy.metrics)).send().await else { continue };
            let text = answer.text().await.unwrap_or_default();
            let values = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
            sum += values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>();
        }
        sum
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
        let aside = self.folder.join("point");
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

    /// Creates goods and shoppers.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn stock(&self, goods: &Goods) -> Result<()> {
        for (id, total) in &goods.coupons {
            let coupon = json!({"couponId": id, "name": id, "discountType": "FIXED", "discountValue": 100,
                                "totalQuantity": total, "validDays": 30});
            self.admin(Method::POST, "/coupons", Some(&coupon)).await?;
        }
        for (id, price, stock) in &goods.products {
            let product = json!({"productId": id, "name": id, "price": price, "stock": stock});
            self.admin(Method::POST, "/products", Some(&product)).await?;
        }
        for (id, balance) in &goods.users {
            self.admin(Method::POST, "/users", Some(&json!({"userId": id, "balance": balance}))).await?;
        }
        Ok(())
    }

    /// The end of each program's log, by name.
    pub fn logs(&self) -> Vec<(String, String)> {
        const LINES: usize = 30;
        let name = |name: &str, number: usize| format!("{name}-{}", number + 1);
        let apis =
            self.apis.iter().enumerate().map(|(number, copy)| (name("api", number), copy.process.log_tail(LINES)));
        let workers = self.workers.iter().enumerate();
        apis.chain(workers.map(|(number, copy)| (name("workers", number), copy.process.log_tail(LINES)))).collect()
    }
}

/// How programs are started.
struct Plan<'a> {
    program: &'a Path,
    folder: &'a Path,
    redis: &'a [Wire; 2],
    postgres: &'a [Wire; 2],
    /// Postgres' own address, of which a wire takes the port's place.
    url: String,
    more: &'a [(&'a str, String)],
}

impl Plan<'_> {
    fn launch(&self, name: &str, number: usize, wire: usize, metrics_port: u16) -> Result<Launch> {
        let redis = format!("redis://{}", self.redis[wire].address);
        let (before, after) = self.url.rsplit_once(':').context("Postgres' port")?;
        let database = after.split_once('/').map_or("", |(_, database)| database);
        let postgres = format!("{before}:{}/{database}", self.postgres[wire].address.port());
        let mut launch = Launch::new(self.program, self.folder.join(format!("{name}-{number}.log")))
            .only_env()
            .arg(name)
            .env("DATABASE_URL", postgres)
            .env("REDIS_URL", redis)
            .env("METRICS_ADDR", format!("127.0.0.1:{metrics_port}"))
            .env("LANE_LEASE", format!("{}s", LEASE.as_secs()))
            .env("RUST_LOG", "info,workers=debug")
            .env(FOLDER_VARIABLE, self.folder.join("points"));
        for (name, value) in self.more {
            launch = launch.env(*name, value);
        }
        Ok(launch)
    }

    fn api(&self, number: usize, port: u16) -> Result<Copy> {
        let metrics_port = free_port();
        let launch = self
            .launch("serve-api", number, 0, metrics_port)?
            .env("API_ADDR", format!("127.0.0.1:{port}"))
            .env("AUTH_MODE", "off")
            .env("RATE_LIMIT_PER_USER", "off")
            .env("MIGRATE_ON_START", "false")
            .env("ADMIN_TOKEN", ADMIN_TOKEN);
        Copy::start(launch, metrics_port)
    }

    fn workers(&self, number: usize, world: &Sandbox) -> Result<Copy> {
        let metrics_port = free_port();
        let launch = self
            .launch("serve-workers", number, 1, metrics_port)?
            .env("ORDER_SYNC_URL", format!("{}/orders", world.url()))
            .env("ORDER_SYNC_SECRET", SYNC_SECRET)
            .env("ORDER_SYNC_TIMEOUT", "2s")
            .env("ORDER_SYNC_RETRY_DELAYS", "1s,1s,1s")
            .env("ALERT_WEBHOOK_URL", format!("{}/alerts", world.url()));
        Copy::start(launch, metrics_port)
    }
}

impl Copy {
    fn start(launch: Launch, metrics_port: u16) -> Result<Copy> {
        let process = launch.spawn()?;
        Ok(Copy { launch, process, metrics: format!("http://127.0.0.1:{metrics_port}") })
    }
}
