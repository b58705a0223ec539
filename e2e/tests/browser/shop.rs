//! A whole shop with the world outside, for browsers to visit.

use std::time::Duration;

use reqwest::{Client, Method};
use sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use stack::{Launch, Process, Redis, RedisOptions, free_port, fresh_database, wait_for_async};
use tempfile::TempDir;

/// For whatever should happen at once, on a machine that is busy with other tests.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub const ADMIN_TOKEN: &str = "the-operators-token";

/// What orders are signed with.
const SYNC_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Both programs, their servers and the world outside. Fields end in this order.
pub struct Shop {
    _api: Process,
    _workers: Process,
    /// Where the storefront is.
    pub base: String,
    pub world: Sandbox,
    http: Client,
    _redis: Redis,
    _folder: TempDir,
}

impl Shop {
    /// A shop that believes whoever is named.
    pub async fn open() -> Shop {
        Shop::open_with(|_| vec![("AUTH_MODE", "off".to_owned())]).await
    }

    /// A shop that wants tokens, which the sandbox issues.
    pub async fn open_with_tokens() -> Shop {
        Shop::open_with(|sandbox| {
            vec![
                ("AUTH_MODE", "jwt".to_owned()),
                ("JWT_JWKS_URL", format!("{sandbox}/.well-known/jwks.json")),
                ("DEMO_TOKENS_URL", format!("{sandbox}/tokens")),
            ]
        })
        .await
    }

    async fn open_with(auth: impl FnOnce(&str) -> Vec<(&'static str, String)>) -> Shop {
        let secret = SYNC_SECRET.parse().expect("a secret of this form");
        let world = Sandbox::start(Options { sync_secret: secret, ..Options::default() }).await.expect("a sandbox");
        let (redis, folder) = (Redis::start(RedisOptions::default()).expect("Redis"), tempfile::tempdir().unwrap());
        let database_url = fresh_database();
        let (port, metrics_port) = (free_port(), free_port());
        let program = |name: &str| {
            Launch::new(env!("CARGO_BIN_EXE_e2e"), folder.path().join(format!("{name}.log")))
                .only_env()
                .arg(name)
                .env("DATABASE_URL", &database_url)
                .env("REDIS_URL", redis.url())
        };
        let mut api = program("serve-api")
            .env("API_ADDR", format!("127.0.0.1:{port}"))
            .env("METRICS_ADDR", format!("127.0.0.1:{metrics_port}"))
            .env("ADMIN_TOKEN", ADMIN_TOKEN);
        for (name, value) in auth(&world.url()) {
            api = api.env(name, value);
        }
        let workers = program("serve-workers")
            .env("METRICS_ADDR", "127.0.0.1:0")
            .env("LANE_LEASE", "1s")
            .env("POPULAR_REFRESH_CRON", "*/2 * * * * *")
            .env("PAYMENT_GATEWAY_URL", world.url())
            .env("PAYMENT_GATEWAY_SECRET", "sk_test_any")
            .env("ORDER_SYNC_URL", format!("{}/orders", world.url()))
            .env("ORDER_SYNC_SECRET", SYNC_SECRET)
            // Nobody wants to wait for an hour until an operator is alerted.
            .env("ORDER_SYNC_RETRY_DELAYS", "100ms,100ms,100ms")
            .env("ALERT_WEBHOOK_URL", format!("{}/alerts", world.url()))
            .env("SMTP_URL", world.smtp_url());
        let shop = Shop {
            _api: api.spawn().expect("api"),
            _workers: workers.spawn().expect("workers"),
            base: format!("http://127.0.0.1:{port}"),
            world,
            http: Client::new(),
            _redis: redis,
            _folder: folder,
        };
        let operators = format!("http://127.0.0.1:{metrics_port}/readyz");
        wait_for_async("api to be ready", DEADLINE, || async {
            let answer = shop.http.get(&operators).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        shop
    }

    /// What an operator does; it must be done.
    pub async fn admin(&self, path: &str, body: Value) -> Value {
        self.called(Method::POST, &format!("/api/admin{path}"), Some(body)).await
    }

    /// What the shop says to an operator.
    pub async fn admin_get(&self, path: &str) -> Value {
        self.called(Method::GET, &format!("/api/admin{path}"), None).await
    }

    /// What a shopper does with the outcome waited for, whatever it is.
    pub async fn shopper(&self, path: &str, body: Value) -> Value {
        self.sent(path, "wait=30", body).await
    }

    /// What a shopper does without waiting.
    pub async fn submit(&self, path: &str, body: Value) -> Value {
        self.sent(path, "respond-async", body).await
    }

    async fn sent(&self, path: &str, prefer: &str, body: Value) -> Value {
        let post = self.http.post(format!("{}/api{path}", self.base)).header("prefer", prefer).json(&body);
        post.send().await.expect("an answer").json().await.expect("a document")
    }

    /// What the shop says to a shopper.
    pub async fn get(&self, path: &str) -> Value {
        self.called(Method::GET, &format!("/api{path}"), None).await
    }

    async fn called(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(ADMIN_TOKEN);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        let body: Value = answer.json().await.expect("a document");
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    pub async fn product(&self, id: &str, name: &str, price: i64, stock: i64) {
        self.admin("/products", json!({"productId": id, "name": name, "price": price, "stock": stock})).await;
    }

    pub async fn user(&self, id: &str, balance: i64) {
        self.admin("/users", json!({"userId": id, "balance": balance})).await;
    }

    pub async fn coupon(&self, id: &str, name: &str, percent: i64, total: i64) {
        let coupon = json!({"couponId": id, "name": name, "discountType": "PERCENT", "discountValue": percent,
                            "totalQuantity": total, "validDays": 30});
        self.admin("/coupons", coupon).await;
    }
}
