//! Secrets that can be recognized, in programs for whom everything fails: no log, answer or metric has one of them.

use demo::rights::{APP, prepare};
use reqwest::{Client, Method};
use serde_json::json;
use stack::{Launch, as_role, free_port, fresh_database, wait_for, wait_for_async};

use crate::mail_server::MailServer;
use crate::receiver::{Answer, Receiver};
use crate::shop::{DEADLINE, Shop, answer};

/// What must not be seen: each secret has this in it, as it is written.
const MARK: &str = "hunter2";

/// The same in base64, at each of the three places where it can begin: without the characters that neighbours decide.
const MARKS_IN_BASE64: [&str; 3] = ["aHVudGVyM", "h1bnRlcj", "odW50ZXIy"];

const ADMIN_TOKEN: &str = "operators-hunter2-token";

/// `hunter2hunter2hunter2hunter2` as Standard Webhooks writes a key.
const SYNC_SECRET: &str = "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg==";

/// What was seen, and where.
#[derive(Default)]
struct Seen {
    texts: Vec<(String, String)>,
    /// Secrets that the test did not choose.
    made_up: Vec<String>,
}

impl Seen {
    fn add(&mut self, place: &str, text: String) {
        self.texts.push((place.to_owned(), text));
    }

    async fn ask_all(&mut self, client: &Client, bases: &[String]) {
        for base in bases {
            for path in ASKED {
                self.ask(client, &format!("{base}{path}")).await;
            }
        }
    }

    async fn ask(&mut self, client: &Client, url: &str) {
        let Ok(answer) = client.get(url).bearer_auth(ADMIN_TOKEN).send().await else { return };
        let headers = format!("{:?}", answer.headers());
        let body = answer.text().await.unwrap_or_default();
        self.add(url, headers + &body);
    }

    fn check(&self) {
        let made_up = self.made_up.iter().map(String::as_str);
        let marks: Vec<&str> = [MARK].into_iter().chain(MARKS_IN_BASE64).chain(made_up).collect();
        for (place, text) in &self.texts {
            for mark in &marks {
                let at = text.find(*mark);
                let around = at.map(|at| text[..at].lines().next_back().unwrap_or_default());
                assert!(at.is_none(), "{place} shows a secret after {around:?}");
            }
        }
    }
}

#[test]
fn a_mark_is_found_wherever_it_begins() {
    use base64::Engine as _;
    for (before, mark) in ["", "x", "xy"].iter().zip(MARKS_IN_BASE64) {
        let text = base64::engine::general_purpose::STANDARD.encode(format!("{before}{MARK}{before}"));
        assert!(text.contains(mark), "{text} has no {mark}");
    }
}

/// What operators and probes can ask for.
const ASKED: [&str; 16] = [
    "/readyz",
    "/healthz",
    "/openapi.json",
    "/web/settings",
    "/api/products",
    "/api/coupons",
    "/api/admin/products",
    "/api/admin/lanes",
    "/api/admin/alerts?status=open",
    "/api/admin/charges?status=pending",
    "/api/admin/sync-failures?status=open",
    "/api/admin/requests?userId=user1",
    "/api/admin/audit",
    "/api/admin/audit-log",
    "/api/admin/nothing",
    "/metrics",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_told_when_everything_fails() {
    let (gateway, orders, alerts) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let humans = Receiver::start().await;
    humans.otherwise(Answer::Status(200, r#"{"success":false,"error-codes":["invalid-input-secret"]}"#));
    gateway.otherwise(Answer::Status(401, r#"{"error":{"type":"invalid_request_error","message":"No such key"}}"#));
    orders.otherwise(Answer::Status(500, "no"));
    alerts.otherwise(Answer::Status(500, "no"));
    let mails = MailServer::start().await;
    mails.let_nobody_in(true);
    let database = fresh_database();
    prepare(&database).await.unwrap();
    let database_url = format!("{}&password=database-{MARK}", as_role(&database, APP));
    let jwt_secret = format!("a-key-of-tokens-{MARK}-{MARK}-{MARK}");
    let metrics = free_port();
    let metrics_addr = format!("127.0.0.1:{metrics}");
    let alerts_url = format!("{}/hooks/{MARK}", alerts.url);
    let smtp_url = mails.url.replace("smtp://", &format!("smtp://shop:mail-{MARK}@"));
    let (gateway_secret, both_log) = (format!("sk_test_{MARK}"), "debug");
    let (humans_url, humans_secret) = (format!("{}/{MARK}", humans.url), format!("humans-{MARK}"));
    let both = [
        ("DATABASE_URL", &*database_url),
        ("RUST_LOG", both_log),
        ("AUTH_MODE", "jwt"),
        ("JWT_SECRET", &jwt_secret),
        ("ADMIN_TOKEN", ADMIN_TOKEN),
        ("PAYMENT_GATEWAY_SECRET", &gateway_secret),
        ("HUMAN_CHECK_URL", &humans_url),
        ("HUMAN_CHECK_SECRET", &humans_secret),
    ];
    let workers = [
        ("METRICS_ADDR", &*metrics_addr),
        ("PAYMENT_GATEWAY_URL", &gateway.url),
        ("ORDER_SYNC_URL", &orders.url),
        ("ORDER_SYNC_SECRET", SYNC_SECRET),
        ("ORDER_SYNC_RETRY_DELAYS", "100ms"),
        ("ALERT_WEBHOOK_URL", &alerts_url),
        ("ALERT_EMAIL", "operator@example.com"),
        ("SMTP_URL", &smtp_url),
    ];
    let mut shop = Shop::open_told(&both, &workers).await;
    let client = Client::new();
    let made_up = ["api", "workers"].map(|user| shop.redis_password(user));
    let mut seen = Seen { made_up: made_up.to_vec(), ..Seen::default() };
    let admin = async |path: &str, body: serde_json::Value| {
        let request = shop.request(Method::POST, &format!("/api/admin{path}")).bearer_auth(ADMIN_TOKEN).json(&body);
        let (status, body) = answer(request).await;
        assert_eq!(status, 201, "{path}: {body}");
    };
    admin("/products", json!({"productId": "P1", "name": "p", "price": 1, "stock": 9})).await;
    admin("/users", json!({"userId": "user1", "balance": 9})).await;
    let coupon = json!({"couponId": "C1", "name": "c", "discountType": "FIXED", "discountValue": 1,
                        "totalQuantity": 9, "humanCheck": true});
    admin("/coupons", coupon).await;
    let token = token_of("user1", &jwt_secret);
    let claim = async |shop: &Shop| {
        let request = shop.request(Method::POST, "/api/coupons/C1/issue").bearer_auth(&token).json(&json!({}));
        answer(request.header("human-token", "human")).await
    };
    let claimed = claim(&shop).await;
    assert_eq!(claimed.0, 503, "{claimed:?}");
    seen.add("a claim that nobody can check", claimed.1.to_string());
    let send = async |path: &str, body: serde_json::Value| {
        answer(shop.request(Method::POST, path).bearer_auth(&token).json(&body).header("prefer", "wait=10")).await
    };
    let placed = send("/api/orders", json!({"items": [{"productId": "P1", "quantity": 1}]})).await;
    assert_eq!(placed.0, 201, "{placed:?}");
    let charged = send("/api/users/balance/charge", json!({"amount": 500})).await;
    seen.add("charge", format!("{charged:?}"));
    // Whoever shows a secret as a token, an id or a key gets it not back.
    for guess in [ADMIN_TOKEN.to_owned() + "x", jwt_secret.clone(), format!("{token}{MARK}")] {
        let (status, refused) = answer(shop.request(Method::GET, "/api/cart").bearer_auth(guess)).await;
        assert_eq!(status, 401);
        seen.add("a wrong token", refused.to_string());
    }
    wait_for_async("everybody outside to have failed", DEADLINE, || async {
        let others = [&gateway, &orders, &alerts, &humans].map(|one| one.received().len());
        let asked = [&others[..], &[mails.turned_away()]].concat();
        asked.iter().all(|times| *times > 0).then_some(())
    })
    .await;
    let bases = [shop.base.clone(), shop.operators.clone(), format!("http://{metrics_addr}")];
    seen.ask_all(&client, &bases).await;
    // Now Redis goes, too; then it is there, and does not know the programs any more.
    shop.redis.kill9();
    let refused = claim(&shop).await;
    assert_eq!(refused.0, 503, "{refused:?}");
    seen.add("a claim without Redis", refused.1.to_string());
    tell_of_redis(&shop);
    seen.ask_all(&client, &bases).await;
    shop.redis.start_again().unwrap();
    for user in ["api", "workers"] {
        shop.redis.command(&["ACL", "SETUSER", user, "resetpass", ">another"]).unwrap();
        shop.redis.command(&["CLIENT", "KILL", "USER", user]).unwrap();
    }
    let unknown = claim(&shop).await;
    assert_eq!(unknown.0, 503, "{unknown:?}");
    seen.add("a claim with a wrong password of Redis", unknown.1.to_string());
    wait_for("api to tell that Redis does not know it", DEADLINE, || {
        shop.api.log().contains("AuthenticationFailed").then_some(())
    });
    seen.ask_all(&client, &bases).await;
    shop.redis.kill9();
    // And the database.
    let name = database.trim_start_matches("postgres:///").split('?').next().unwrap().to_owned();
    let close = format!("alter database \"{name}\" with allow_connections false");
    sqlx::raw_sql(sqlx::AssertSqlSafe(close)).execute(&shop.pool).await.unwrap();
    let end = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1";
    sqlx::query(end).bind(&name).execute(&shop.pool).await.unwrap();
    wait_for_async("the door to say that it is not ready", DEADLINE, || async {
        let answer = client.get(format!("{}/readyz", shop.operators)).send().await.ok()?;
        (answer.status() == 503).then_some(())
    })
    .await;
    seen.ask_all(&client, &bases).await;
    assert!(seen.texts.iter().any(|(_, text)| text.contains("R005")), "what needs the database failed");
    let logs = [("the log of api", shop.api.log()), ("the log of the workers", shop.workers.log())];
    for (place, log) in logs {
        assert!(log.contains("DEBUG") && log.contains("WARN"), "{place} tells of what failed");
        seen.add(place, log);
    }
    assert!(seen.texts.len() > 120, "only {} places were looked at", seen.texts.len());
    seen.check();
}

/// Waits until both programs have logged that Redis is not there.
fn tell_of_redis(shop: &Shop) {
    for (name, program) in [("api", &shop.api), ("workers", &shop.workers)] {
        wait_for(&format!("{name} to miss Redis"), DEADLINE, || {
            let log = program.log();
            let mut told = log.lines().filter(|line| line.contains("Redis"));
            told.any(|line| line.contains("refused")).then_some(())
        });
    }
}

fn token_of(user: &str, secret: &str) -> String {
    use base64::Engine as _;
    use hmac::{Hmac, KeyInit, Mac};
    let part = |json: serde_json::Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json.to_string());
    let end = std::time::SystemTime::now() + std::time::Duration::from_secs(600);
    let end = end.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let signed = format!("{}.{}", part(json!({"alg": "HS256", "typ": "JWT"})), part(json!({"sub": user, "exp": end})));
    let mut mac: Hmac<sha2::Sha256> = Hmac::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{signed}.{signature}")
}

/// Settings with a secret in them that cannot work: which program, which variable, and what it is.
const WRONG: [(&str, &str, &str); 9] = [
    ("serve-api", "DATABASE_URL", "postgres//user:hunter2@host/shop"),
    ("serve-api", "DATABASE_URL", "postgres://user:hunter2@[host/shop"),
    ("serve-api", "REDIS_URL", "http://user:hunter2@host"),
    ("serve-api", "JWT_SECRET", "hunter2"),
    ("serve-workers", "DATABASE_URL", "postgres://user:hunter2@host:port/shop"),
    ("serve-workers", "REDIS_URL", "redis://user:hunter2@host:port"),
    ("serve-workers", "ORDER_SYNC_SECRET", "hunter2"),
    ("serve-workers", "ALERT_WEBHOOK_URL", "ftp://host/hunter2"),
    ("serve-workers", "SMTP_URL", "http://user:hunter2@host"),
];

#[test]
fn a_refused_setting_does_not_tell_its_secret() {
    for (program, variable, wrong) in WRONG {
        let folder = tempfile::tempdir().unwrap();
        let launch = Launch::new(crate::PROGRAM, folder.path().join("log")).only_env().arg(program);
        let launch = launch
            .env("DATABASE_URL", "postgres://127.0.0.1:9/shop")
            .env("REDIS_URL", "redis://127.0.0.1:9")
            .env("JWT_SECRET", "a secret that is long enough for HS256")
            .env("ORDER_SYNC_URL", "http://127.0.0.1:9")
            .env("ORDER_SYNC_SECRET", SYNC_SECRET)
            .env("ALERT_EMAIL", "operator@example.com")
            .env("API_ADDR", "127.0.0.1:0")
            .env("METRICS_ADDR", "127.0.0.1:0");
        let mut running = launch.env(variable, wrong).spawn().unwrap();
        let status = running.wait(DEADLINE).unwrap_or_else(|_| panic!("{variable}={wrong} was accepted"));
        let log = running.log();
        assert!(!status.success(), "{variable}={wrong}: {log}");
        assert!(!log.contains(MARK), "{variable}={wrong} is told: {log}");
        assert!(!log.is_empty(), "why is told");
    }
}
