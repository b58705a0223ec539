//! A shop with its line, its database and real worker processes, for tests that play the door.

#![allow(clippy::allow_attributes, dead_code, reason = "each test binary uses a part")]

pub mod model;
pub mod rush;

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use common::{Command, Envelope, Group, Receipt, RequestId};
use lanes::{Append, Appended, IdempotencyKey, Lanes, LineLimits, Link, Status};
use runtime::{
    archive::PostgresArchive,
    fault_points::{FOLDER_VARIABLE, Point},
};
use sqlx::PgPool;
use stack::{Launch, Postgres, PostgresOptions, Process, Redis, RedisOptions, Shutdown, wait_for, wait_for_async};
use uuid::Uuid;

/// How long anything may take before a test gives up on it.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A private shop. Its servers end with it.
pub struct World {
    redis: Mutex<Redis>,
    /// Set when the test stops and starts the database; most tests share one server.
    postgres: Option<Mutex<Postgres>>,
    redis_url: String,
    pub database_url: String,
    pub pool: PgPool,
    pub link: Link,
    pub folder: tempfile::TempDir,
    workers_started: AtomicU32,
}

impl World {
    /// A shop on the database server that all tests of this process share.
    pub async fn new() -> Self {
        let url = blocking(stack::fresh_database).await;
        Self::build(None, url).await
    }

    /// A shop with a database server of its own, which the test may stop.
    pub async fn with_own_postgres() -> Self {
        let postgres = blocking(|| Postgres::start(PostgresOptions::default()).expect("Postgres starts")).await;
        postgres.create_database("shop").expect("a database");
        let url = postgres.url("shop");
        Self::build(Some(postgres), url).await
    }

    async fn build(postgres: Option<Postgres>, database_url: String) -> Self {
        let redis = blocking(|| Redis::start(RedisOptions::default()).expect("Redis starts")).await;
        // Tests every connection before it lends it, so that a test can ask right after the database came back.
        let pool =
            sqlx::postgres::PgPoolOptions::new().max_connections(8).connect_lazy(&database_url).expect("an address");
        runtime::postgres::migrate(&pool).await.expect("the schema");
        let groups = [Group::coupon(&"C1".parse().expect("an id"), 1), Group::ORDER, Group::CHARGE].map(lane_group);
        let archive = Arc::new(PostgresArchive::new(pool.clone()));
        let servers = lanes::Servers::new(&redis.url(), None).expect("a Redis address");
        let link = Link::new(servers, groups.to_vec(), limits(), archive, None, 0);
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            redis_url: redis.url(),
            redis: Mutex::new(redis),
            postgres: postgres.map(Mutex::new),
            database_url,
            pool,
            link,
            folder,
            workers_started: AtomicU32::new(0),
        }
    }

    /// Asks Redis.
    pub fn redis(&self, words: &[&str]) -> String {
        self.redis.lock().expect("not poisoned").command(words).expect("Redis answers")
    }

    /// Kills Redis as a crash would.
    pub fn kill_redis(&self) {
        self.redis.lock().expect("not poisoned").kill9();
    }

    /// Starts it again with what is on its disk.
    pub fn restart_redis(&self) {
        self.redis.lock().expect("not poisoned").start_again().expect("Redis starts again");
    }

    /// Stops Postgres without any care for its clients.
    pub fn stop_postgres(&self) {
        self.own_postgres().stop(Shutdown::Immediate);
    }

    /// Starts it again with what is on its disk.
    pub fn restart_postgres(&self) {
        self.own_postgres().start_again().expect("Postgres starts again");
    }

    fn own_postgres(&self) -> std::sync::MutexGuard<'_, Postgres> {
        self.postgres.as_ref().expect("a world with its own Postgres").lock().expect("not poisoned")
    }

    /// Starts a worker process with a lease of one second.
    pub fn start_worker(&self) -> Process {
        self.start_worker_with(&[])
    }

    /// Starts a worker process with more variables.
    pub fn start_worker_with(&self, more: &[(&str, &str)]) -> Process {
        let number = self.workers_started.fetch_add(1, Ordering::Relaxed);
        let log = self.folder.path().join(format!("worker-{number}.log"));
        let mut launch = Launch::new(env!("CARGO_BIN_EXE_workers"), log)
            .only_env()
            .env("DATABASE_URL", &self.database_url)
            .env("REDIS_URL", &self.redis_url)
            .env("METRICS_ADDR", "127.0.0.1:0")
            .env("LANE_LEASE", "1s")
            .env("RUST_LOG", "info,workers=debug,batch=debug")
            .env("RUST_BACKTRACE", "0")
            .env(FOLDER_VARIABLE, self.folder.path());
        for (name, value) in more {
            launch = launch.env(*name, *value);
        }
        launch.spawn().expect("the worker starts")
    }

    pub fn lanes(&self, group: Group) -> Lanes {
        lanes_of(&self.link, group)
    }

    /// Sends a command to the line as the API does.
    pub async fn submit(&self, command: Command, key: Option<IdempotencyKey>) -> (RequestId, Appended) {
        let (id, append) = to_append(&command, key);
        let replies = self.lanes(command.group(1)).append(&[append]).await.expect("the line is there");
        (id, replies.into_iter().next().expect("one reply"))
    }

    /// Waits for an outcome, as a shopper would.
    pub async fn outcome(&self, id: RequestId) -> Receipt {
        let lanes = self.lanes(id.group().expect("an id of ours"));
        wait_for_async(&format!("the outcome of {id}"), DEADLINE, || async {
            match lanes.status(id.as_uuid()).await {
                Ok(Status::Decided(receipt)) => Some(Receipt::decode(&receipt).expect("a receipt")),
                _ => None,
            }
        })
        .await
    }

    /// Waits until nobody stands in any line.
    pub async fn drained(&self) {
        for group in [COUPONS, Group::ORDER, Group::CHARGE] {
            let lanes = self.lanes(group);
            wait_for_async(&format!("group {group} to be empty"), DEADLINE, || async {
                lanes.depth(1).await.ok().filter(|depth| depth.waiting == 0)
            })
            .await;
        }
    }

    /// Makes the next batch that comes to this point do something: the name of a signal, or `panic`.
    pub fn arm(&self, point: Point, what: &str) {
        let taken = self.taken(point);
        if taken.exists() {
            std::fs::remove_file(&taken).expect("the mark can be removed");
        }
        // Moved into its place, so that nobody reads half of it.
        let half = self.folder.path().join("arming");
        std::fs::write(&half, what).expect("the folder is there");
        std::fs::rename(half, self.folder.path().join(point.as_str())).expect("the folder is there");
    }

    /// Waits until a batch has come to the armed point.
    pub fn wait_taken(&self, point: Point) {
        wait_for(&format!("a batch to come to {}", point.as_str()), DEADLINE, || {
            self.taken(point).exists().then_some(())
        });
    }

    fn taken(&self, point: Point) -> PathBuf {
        self.folder.path().join(format!("{}.taken", point.as_str()))
    }

    /// Products P0, P1, … with a stock and a price each.
    pub async fn products(&self, rows: &[(&str, i64, i64)]) {
        for (id, price, stock) in rows {
            sqlx::query("insert into products (product_id, name, price, stock, stocked) values ($1, 'Thing ' || $1, $2, $3, $3)")
                .bind(id)
                .bind(price)
                .bind(stock)
                .execute(&self.pool)
                .await
                .expect("a product");
        }
    }

    /// A coupon of 1,000 won off.
    pub async fn coupon(&self, id: &str, total: i64) {
        sqlx::query(
            "insert into coupons (coupon_id, name, discount_type, discount_value, total_quantity, valid_days)
             values ($1, 'Coupon ' || $1, 'FIXED', 1000, $2, 30)",
        )
        .bind(id)
        .bind(total)
        .execute(&self.pool)
        .await
        .expect("a coupon");
    }

    /// A shopper with an opening balance in the ledger.
    pub async fn user(&self, id: &str, balance: i64) {
        sqlx::query(
            "with opened as (insert into users (user_id, balance) values ($1, $2) returning user_id, balance)
             insert into ledger (user_id, kind, amount, balance_after, reference_id, created_at)
             select user_id, 'OPENING', balance, balance, gen_random_uuid(), now() from opened where balance > 0",
        )
        .bind(id)
        .bind(balance)
        .execute(&self.pool)
        .await
        .expect("a user");
    }

    /// Puts these rows into the shop.
    pub async fn store(&self, rows: &model::Before) {
        for (id, (price, stock)) in &rows.products {
            self.products(&[(id, *price, *stock)]).await;
        }
        for (id, balance) in &rows.users {
            self.user(id, *balance).await;
        }
        for (id, total) in &rows.coupons {
            self.coupon(id, *total).await;
        }
    }

    /// Every promise holds, and nothing is left in the line.
    pub async fn check_promises(&self) {
        let report = audit::audit(&self.pool).await.expect("the audit runs");
        let broken: Vec<_> = report.checks.iter().filter(|check| !check.ok).collect();
        assert!(report.ok, "the audit found {broken:#?}");
        self.check_nothing_left();
    }

    /// No lane, lease, batch or waiting command is left in Redis; only counters, gates, keys and outcomes are. What is cached
    /// beside the lines, whose keys begin with their group in braces, comes and goes by its schedule.
    pub fn check_nothing_left(&self) {
        let keys = self.redis(&["KEYS", "{*}:*"]);
        let kept = ["}:counter", "}:gate:", "}:key:", "}:outcomes:", "}:idle", "}:paused"];
        let left: Vec<_> = keys.lines().filter(|key| !kept.iter().any(|kind| key.contains(kind))).collect();
        assert!(left.is_empty(), "left in the line: {left:?}");
    }
}

/// A test that fails shows what the workers wrote.
impl Drop for World {
    #[expect(clippy::print_stderr, reason = "shown beside the failure")]
    fn drop(&mut self) {
        const SHOWN_LINES: usize = 60;
        if !std::thread::panicking() {
            return;
        }
        for number in 0..self.workers_started.load(Ordering::Relaxed) {
            let log =
                std::fs::read_to_string(self.folder.path().join(format!("worker-{number}.log"))).unwrap_or_default();
            // Batches that went well are many and say little.
            let lines: Vec<_> = log.lines().filter(|line| !line.contains(" DEBUG ")).collect();
            eprintln!("--- worker {number}\n{}", lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n"));
        }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("database_url", &self.database_url).finish_non_exhaustive()
    }
}

/// The group of coupons when they are not spread.
pub const COUPONS: Group = Group { kind: common::Kind::CouponIssue, spread: 0 };

fn limits() -> LineLimits {
    LineLimits::new(1_000_000)
}

/// The lanes of a group, as the API uses them.
pub fn lanes_of(link: &Link, group: Group) -> Lanes {
    Lanes::new(link.clone(), lane_group(group), limits())
}

fn lane_group(group: Group) -> lanes::Group {
    group.to_string().parse().expect("a name")
}

/// A command as the API appends it.
pub fn to_append(command: &Command, key: Option<IdempotencyKey>) -> (RequestId, Append) {
    let id = RequestId::new(Uuid::now_v7(), command.group(1));
    let lanes = common::lanes(command).iter().map(|lane| lane.parse().expect("a lane")).collect();
    let envelope = Envelope::new(command.clone(), None).encode();
    (id, Append { id: id.as_uuid(), lanes, key, gate: None, quota: None, envelope })
}

/// Starting a server blocks.
pub async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(f).await.expect("it does not panic")
}

/// The claim of a coupon.
pub fn claim(user: &str, coupon: &str) -> Command {
    let (user_id, coupon_id) = (user.parse().expect("an id"), coupon.parse().expect("an id"));
    Command::ClaimCoupon(common::ClaimCoupon { user_id, coupon_id })
}

/// An order without a coupon.
pub fn order(user: &str, items: &[(&str, i64)]) -> Command {
    let items = items.iter().map(|(product, quantity)| common::OrderItem {
        product_id: product.parse().expect("an id"),
        quantity: *quantity,
    });
    let order = common::PlaceOrder::new(user.parse().expect("an id"), items.collect(), None, None);
    Command::PlaceOrder(order.expect("a good order"))
}
