//! A shop of its own for a test: `api` as a process, a private Redis, a fresh database.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use sqlx::PgPool;
use stack::{Launch, Postgres, PostgresOptions, Process, Redis, RedisOptions, free_port, fresh_database};
use stack::{wait_for, wait_for_async};
use tempfile::TempDir;

/// For whatever should happen at once, on a machine that is busy with other tests.
pub const DEADLINE: Duration = Duration::from_secs(25);
/// What `api` promises after SIGTERM.
pub const EXIT_DEADLINE: Duration = Duration::from_secs(10);

pub const ADMIN_TOKEN: &str = "the operators' token";

/// A shop before it opens.
#[derive(Default)]
pub struct Plan {
    pub env: Vec<(&'static str, String)>,
    pub own_postgres: bool,
    pub redis: RedisOptions,
}

impl Plan {
    pub fn env(mut self, name: &'static str, value: impl Into<String>) -> Plan {
        self.env.push((name, value.into()));
        self
    }

    /// Postgres will be stopped, so it must not be the one that other tests use.
    pub fn own_postgres(mut self) -> Plan {
        self.own_postgres = true;
        self
    }

    /// Starts everything, but does not wait for `api` to be ready.
    pub fn start(self) -> Shop {
        let postgres = self.own_postgres.then(|| Postgres::start(PostgresOptions::default()).unwrap());
        let database_url = postgres.as_ref().map_or_else(fresh_database, |own| own.url("postgres"));
        let redis = Redis::start(self.redis).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (port, metrics_port) = (free_port(), free_port());
        let mut launch = Launch::new(env!("CARGO_BIN_EXE_api"), dir.path().join("api.log"))
            .only_env()
            .env("DATABASE_URL", &database_url)
            .env("REDIS_URL", redis.url())
            .env("API_ADDR", format!("127.0.0.1:{port}"))
            .env("METRICS_ADDR", format!("127.0.0.1:{metrics_port}"))
            .env("AUTH_MODE", "off")
            .env("ADMIN_TOKEN", ADMIN_TOKEN)
            .env("RUST_LOG", "info,access=debug");
        for (name, value) in self.env {
            launch = launch.env(name, value);
        }
        let api = launch.spawn().unwrap();
        let pool = PgPool::connect_lazy(&database_url).unwrap();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Shop {
            api,
            base: format!("http://127.0.0.1:{port}"),
            operators: format!("http://127.0.0.1:{metrics_port}"),
            pool,
            http,
            launch,
            redis,
            postgres,
            database_url,
            dir,
        }
    }

    /// Starts everything and waits until `api` is ready.
    pub async fn open(self) -> Shop {
        let shop = self.start();
        shop.wait_until_ready().await;
        shop
    }
}

/// A running shop; everything in it ends with it.
pub struct Shop {
    // First, so that it ends before what it needs.
    pub api: Process,
    pub base: String,
    pub operators: String,
    pub pool: PgPool,
    pub http: reqwest::Client,
    launch: Launch,
    pub redis: Redis,
    pub postgres: Option<Postgres>,
    database_url: String,
    dir: TempDir,
}

impl Shop {
    pub async fn open() -> Shop {
        Plan::default().open().await
    }

    pub async fn wait_until_ready(&self) {
        wait_for_async("api to be ready", DEADLINE, || async {
            let answer = self.http.get(format!("{}/readyz", self.operators)).send().await.ok()?;
            (answer.status() == StatusCode::OK).then_some(())
        })
        .await;
    }

    /// The answer of the public `/readyz` once it says that something is wrong; answers are shared for a moment.
    pub async fn wait_until_not_ready(&self) -> Answer {
        wait_for_async("api to be not ready", DEADLINE, || async {
            let answer = send(self.get("/readyz")).await;
            (answer.status == 503).then_some(answer)
        })
        .await
    }

    /// Starts `api` again on the same ports.
    pub fn start_api(&mut self) {
        self.api.stop();
        self.api = self.launch.spawn().unwrap();
    }

    /// Starts `api` again and waits until it is ready.
    pub async fn restart_api(&mut self) {
        self.start_api();
        self.wait_until_ready().await;
    }

    /// One more `api` of this shop, when it is ready; and its address.
    pub async fn one_more_api(&self) -> (Process, String) {
        let (port, metrics_port) = (free_port(), free_port());
        let launch = self.launch.clone().env("API_ADDR", format!("127.0.0.1:{port}"));
        let api = launch.env("METRICS_ADDR", format!("127.0.0.1:{metrics_port}")).spawn().unwrap();
        let ready = format!("http://127.0.0.1:{metrics_port}/readyz");
        wait_for_async("one more api to be ready", DEADLINE, || async {
            let answer = self.http.get(&ready).send().await.ok()?;
            (answer.status() == StatusCode::OK).then_some(())
        })
        .await;
        (api, format!("http://127.0.0.1:{port}"))
    }

    /// Starts `api migrate`, which knows the database and nothing else.
    pub fn migrate(&self) -> Process {
        self.migrate_with(&[])
    }

    /// The same with more arguments.
    pub fn migrate_with(&self, arguments: &[&str]) -> Process {
        let log = self.dir.path().join("migrate.log");
        let launch = Launch::new(env!("CARGO_BIN_EXE_api"), log).only_env();
        launch.env("DATABASE_URL", &self.database_url).arg("migrate").args(arguments).spawn().unwrap()
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, path).json(body)
    }

    pub fn as_admin(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(ADMIN_TOKEN)
    }

    /// An operator's POST that must succeed.
    pub async fn admin_post(&self, path: &str, body: &Value) -> Value {
        let answer = send(self.as_admin(Method::POST, path).json(body)).await;
        assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
        answer.body
    }

    /// Puts a claim in line and gives its request id.
    pub async fn claim(&self, coupon: &str, user: &str) -> String {
        let answer =
            send(self.post(&format!("/api/coupons/{coupon}/issue"), &serde_json::json!({"userId": user}))).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.body["requestId"].as_str().unwrap().to_owned()
    }

    pub fn wait_for_exit(&mut self) -> std::process::ExitStatus {
        self.api.wait(EXIT_DEADLINE).unwrap()
    }

    pub fn wait_for_log(&self, part: &str) {
        wait_for(part, DEADLINE, || self.api.log().contains(part).then_some(()));
    }

    /// A series of `/metrics`, 0 when it is not there.
    pub async fn metric(&self, series: &str) -> f64 {
        let text = self.http.get(format!("{}/metrics", self.operators)).send().await.unwrap().text().await.unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        value.unwrap_or(0.0)
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    /// Null when it is no JSON.
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The status and the code of a problem, which must be well formed.
    pub fn problem(&self) -> (u16, &str) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let body = &self.body;
        assert_eq!(body["status"], self.status, "{self:?}");
        assert_eq!(body["message"], body["detail"], "{self:?}");
        for member in ["type", "title", "error", "message"] {
            assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {self:?}");
        }
        (self.status, body["code"].as_str().unwrap())
    }
}

/// Sends a request and reads the answer; fails if it does not come in time.
pub async fn send(request: RequestBuilder) -> Answer {
    let answering = async {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let bytes = answer.bytes().await.unwrap();
        Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or_default() }
    };
    let answer = tokio::time::timeout(DEADLINE, answering).await.expect("an answer in time");
    assert!(!answer.header("x-request-id").is_empty(), "every answer has an id: {answer:?}");
    answer
}
