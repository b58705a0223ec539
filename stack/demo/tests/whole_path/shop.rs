//! Both programs with servers of their own, for tests that need the whole path. Several test programs share this file; each
//! says at its top which of its crate's programs has both (`PROGRAM`).

use std::time::Duration;

use demo::rights::{self, Secrets};
use reqwest::{Client, Method, RequestBuilder};
use runtime::fault_points::FOLDER_VARIABLE;
use serde_json::{Value, json};
use sqlx::PgPool;
use stack::{Launch, Process, Redis, RedisOptions, as_role, free_port, fresh_database, wait_for_async};
use tempfile::TempDir;

/// For whatever should happen at once, on a machine that is busy with other tests.
pub const DEADLINE: Duration = Duration::from_secs(60);
pub const ADMIN_TOKEN: &str = "the-operators-token";

/// Both programs with servers of their own, in which they may do no more than in earnest. Fields end in this order.
pub struct Shop {
    pub api: Process,
    pub workers: Process,
    pub launch: Launch,
    pub launch_workers: Launch,
    /// Where the public door is.
    pub base: String,
    pub operators: String,
    pub http: Client,
    pub pool: PgPool,
    pub redis: Redis,
    secrets: Secrets,
    pub folder: TempDir,
}

impl Shop {
    pub async fn open() -> Shop {
        Shop::open_with(&[]).await
    }

    /// A shop whose workers are told more.
    pub async fn open_with(more: &[(&str, &str)]) -> Shop {
        Shop::open_told(&[], more).await
    }

    /// A shop whose programs are told more: both of them, and the workers alone.
    pub async fn open_told(both: &[(&str, &str)], more: &[(&str, &str)]) -> Shop {
        let database_url = fresh_database();
        rights::prepare(&database_url).await.unwrap();
        Shop::open_at(&database_url, &database_url, both, more).await
    }

    /// A shop in a database that is prepared: where the programs find it, and where tests look into it.
    pub async fn open_at(programs_url: &str, database_url: &str, both: &[(&str, &str)], more: &[(&str, &str)]) -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::make(folder.path()).unwrap();
        let redis = start_redis(&secrets);
        let (port, metrics_port) = (free_port(), free_port());
        let program = |name: &str, user: &str| {
            Launch::new(crate::PROGRAM, folder.path().join(format!("{name}.log")))
                .only_env()
                .arg(name)
                .env("DATABASE_URL", as_role(programs_url, rights::APP))
                .env("REDIS_URL", redis.url_of(user, &secrets.redis_password(user).unwrap()))
                .env(FOLDER_VARIABLE, folder.path())
        };
        let tell = |launch: Launch, told: &[(&str, &str)]| {
            told.iter().fold(launch, |launch, (name, value)| launch.env(*name, *value))
        };
        let launch = program("serve-api", "api")
            .env("MIGRATE_ON_START", "false")
            .env("API_ADDR", format!("127.0.0.1:{port}"))
            .env("METRICS_ADDR", format!("127.0.0.1:{metrics_port}"))
            .env("AUTH_MODE", "off")
            // One shopper stands for many.
            .env("RATE_LIMIT_PER_USER", "off")
            .env("ADMIN_TOKEN", ADMIN_TOKEN);
        let launch = tell(launch, both);
        let launch_workers = program("serve-workers", "workers")
            .env("METRICS_ADDR", "127.0.0.1:0")
            .env("LANE_LEASE", "1s")
            // Every two seconds: nobody wants to wait a minute for a schedule.
            .env("POPULAR_REFRESH_CRON", "*/2 * * * * *");
        let launch_workers = tell(tell(launch_workers, both), more);
        let shop = Shop {
            api: launch.spawn().unwrap(),
            workers: launch_workers.spawn().unwrap(),
            launch,
            launch_workers,
            base: format!("http://127.0.0.1:{port}"),
            operators: format!("http://127.0.0.1:{metrics_port}"),
            http: Client::new(),
            pool: PgPool::connect_lazy(database_url).unwrap(),
            redis,
            secrets,
            folder,
        };
        shop.wait_until_ready().await;
        shop
    }

    /// The password of a user of Redis: `api` or `workers`.
    pub fn redis_password(&self, user: &str) -> String {
        self.secrets.redis_password(user).unwrap()
    }

    pub async fn wait_until_ready(&self) {
        wait_for_async("api to be ready", DEADLINE, || async {
            let answer = self.http.get(format!("{}/readyz", self.operators)).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// The status and the body of what a shopper asks.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.request(Method::GET, path)).await
    }

    /// The same for what a shopper sends.
    pub async fn send(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        answer(self.request(method, path).json(body)).await
    }

    /// What an operator asks.
    pub async fn admin_get(&self, path: &str) -> Value {
        let get = self.request(Method::GET, &format!("/api/admin{path}")).bearer_auth(ADMIN_TOKEN);
        let (status, body) = answer(get).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// What an operator sends, which must be done.
    pub async fn as_admin(&self, path: &str, body: &Value) -> Value {
        let post = self.request(Method::POST, &format!("/api/admin{path}")).bearer_auth(ADMIN_TOKEN).json(body);
        let (status, body) = answer(post).await;
        assert!((200..300).contains(&status), "{path}: {status} {body}");
        body
    }

    pub async fn coupon(&self, id: &str, total: i64) {
        let coupon = json!({"couponId": id, "name": id, "discountType": "FIXED", "discountValue": 1000,
                            "totalQuantity": total, "validDays": 30});
        self.as_admin("/coupons", &coupon).await;
    }

    pub fn claim(&self, coupon: &str, user: &str) -> RequestBuilder {
        self.request(Method::POST, &format!("/api/coupons/{coupon}/issue")).json(&json!({ "userId": user }))
    }

    /// The outcome of a command: its status, and the body.
    pub async fn decided(&self, command: RequestBuilder) -> (u16, Value) {
        answer(command.header("prefer", "wait=30")).await
    }
}

impl Drop for Shop {
    /// A refusal that a program makes up for would be seen by nobody else, and means that a right is missing.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // A Redis that the test has ended has nothing to say.
        let refused = self.redis.command(&["ACL", "LOG"]).unwrap_or_default();
        assert!(refused.is_empty(), "Redis refused what a program needs: {refused}");
        for log in [self.api.log(), self.workers.log()] {
            assert!(!log.contains("permission denied"), "Postgres refused what a program needs: {log}");
        }
    }
}

/// A Redis with the users of a shop.
pub fn start_redis(secrets: &Secrets) -> Redis {
    Redis::start(RedisOptions { users: Some(secrets.redis_users().unwrap()), ..RedisOptions::default() }).unwrap()
}

/// The status and the body of an answer; null where it has none.
pub async fn answer(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}
