//! The whole path with both real programs, over HTTP like any client: `api` killed between append and answer, and a Redis
//! that loses everything.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../../../workers/tests/support/model.rs"]
mod model;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{ClaimCoupon, Command, RequestId};
use reqwest::{Client, RequestBuilder};
use runtime::fault_points::{FOLDER_VARIABLE, Point};
use serde_json::{Value, json};
use sqlx::PgPool;
use stack::{Launch, Process, Redis, RedisOptions, free_port, fresh_database, wait_for, wait_for_async};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(60);
const ADMIN_TOKEN: &str = "the operators' token";
/// How often `api` is killed.
const KILLS: usize = 10;
/// Clients at once.
const CLIENTS: usize = 8;
/// Fewer coupons than clients, so that the order of arrival shows.
const COUPONS: i64 = 50;

/// Both programs with servers of their own. Fields end in this order.
struct Shop {
    api: Process,
    _workers: Process,
    launch: Launch,
    base: String,
    operators: String,
    http: Client,
    pool: PgPool,
    redis: Redis,
    folder: TempDir,
}

impl Shop {
    async fn open() -> Shop {
        let (redis, folder) = (Redis::start(RedisOptions::default()).unwrap(), tempfile::tempdir().unwrap());
        let database_url = fresh_database();
        let (port, metrics_port) = (free_port(), free_port());
        let program = |name: &str| {
            Launch::new(env!("CARGO_BIN_EXE_demo"), folder.path().join(format!("{name}.log")))
                .only_env()
                .arg(name)
                .env("DATABASE_URL", &database_url)
                .env("REDIS_URL", redis.url())
                .env(FOLDER_VARIABLE, folder.path())
        };
        let launch = program("serve-api")
            .env("API_ADDR", format!("127.0.0.1:{port}"))
            .env("METRICS_ADDR", format!("127.0.0.1:{metrics_port}"))
            .env("AUTH_MODE", "off")
            .env("ADMIN_TOKEN", ADMIN_TOKEN);
        let workers = program("serve-workers").env("METRICS_ADDR", "127.0.0.1:0").env("LANE_LEASE", "1s");
        let shop = Shop {
            api: launch.spawn().unwrap(),
            _workers: workers.spawn().unwrap(),
            launch,
            base: format!("http://127.0.0.1:{port}"),
            operators: format!("http://127.0.0.1:{metrics_port}"),
            http: Client::new(),
            pool: PgPool::connect_lazy(&database_url).unwrap(),
            redis,
            folder,
        };
        shop.wait_until_ready().await;
        shop
    }

    async fn wait_until_ready(&self) {
        wait_for_async("api to be ready", DEADLINE, || async {
            let answer = self.http.get(format!("{}/readyz", self.operators)).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    async fn as_admin(&self, path: &str, body: &Value) {
        let post = self.http.post(format!("{}/api/admin{path}", self.base)).bearer_auth(ADMIN_TOKEN).json(body);
        let answer = post.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
    }

    async fn coupon(&self, id: &str, total: i64) {
        let coupon = json!({"couponId": id, "name": id, "discountType": "FIXED", "discountValue": 1000,
                            "totalQuantity": total, "validDays": 30});
        self.as_admin("/coupons", &coupon).await;
    }

    fn claim(&self, coupon: &str, user: &str) -> RequestBuilder {
        self.http.post(format!("{}/api/coupons/{coupon}/issue", self.base)).json(&json!({ "userId": user }))
    }

    /// The outcome of a claim: its status, and the body.
    async fn decided(&self, claim: RequestBuilder) -> (u16, Value) {
        answer(claim.header("prefer", "wait=30")).await
    }

    async fn document(&self, id: &str) -> (u16, Value) {
        answer(self.http.get(format!("{}/api/requests/{id}", self.base))).await
    }

    /// The outcomes of all that was accepted are the model's, every promise was kept, and nothing is left in line.
    async fn check(&self, before: &model::Before, accepted: &BTreeMap<RequestId, Command>) {
        model::check(&self.pool, before, accepted).await;
        let report = audit::audit(&self.pool).await.unwrap();
        assert!(report.ok, "{report:#?}");
        let left = || self.redis.command(&["EXISTS", "{coupon}:line", "{coupon}:leases", "{coupon}:records"]).unwrap();
        wait_for("the line to be empty", DEADLINE, || (left() == "0").then_some(()));
    }
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

fn command(user: &str, coupon: &str) -> Command {
    Command::ClaimCoupon(ClaimCoupon { user_id: user.parse().unwrap(), coupon_id: coupon.parse().unwrap() })
}

fn id_of(document: &Value) -> &str {
    document["requestId"].as_str().unwrap_or_else(|| panic!("no request in {document}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn api_killed_between_append_and_answer() {
    let mut shop = Shop::open().await;
    shop.coupon("C1", COUPONS).await;
    let mut accepted = BTreeMap::new();
    for round in 0..KILLS {
        let (half, armed) = (shop.folder.path().join("arming"), shop.folder.path().join(Point::AfterAppend.as_str()));
        std::fs::write(&half, "KILL").unwrap();
        std::fs::rename(half, armed).unwrap();
        let users: Vec<String> = (0..CLIENTS).map(|client| format!("user{round}-{client}")).collect();
        let claim =
            |shop: &Shop, user: &String| shop.claim("C1", user).header("idempotency-key", format!("{user}-once"));
        let sent = futures::future::join_all(users.iter().map(|user| claim(&shop, user).send())).await;
        wait_for("api to be killed", DEADLINE, || (!shop.api.is_running()).then_some(()));
        assert!(sent.iter().any(Result::is_err), "somebody got no answer");
        shop.api = shop.launch.spawn().unwrap();
        shop.wait_until_ready().await;
        for user in users {
            let (status, document) = answer(claim(&shop, &user)).await;
            // Once the coupon is gone, a claim that never came to the line is told so before it.
            if status == 409 {
                continue;
            }
            assert_eq!(status, 202, "{document}");
            let again = answer(claim(&shop, &user)).await.1;
            assert_eq!(id_of(&again), id_of(&document), "one request per key");
            let id = id_of(&document).parse().unwrap();
            accepted.insert(RequestId::from_uuid(id), command(&user, "C1"));
        }
    }
    for id in accepted.keys() {
        let url = format!("{}/api/requests/{id}?wait=30", shop.base);
        let (status, document) = answer(shop.http.get(url)).await;
        assert!(status == 200 && document["decidedAt"].is_string(), "{document}");
    }
    let winners: i64 = sqlx::query_scalar("select count(*) from user_coupons").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(winners, COUPONS, "all are gone");
    let before = model::Before { coupons: [("C1".to_owned(), COUPONS)].into(), ..model::Before::default() };
    shop.check(&before, &accepted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_lost_everything() {
    let shop = Shop::open().await;
    shop.coupon("RARE", 1).await;
    shop.coupon("HELD", 10).await;
    let first = || shop.claim("RARE", "winner").header("idempotency-key", "mine");
    let (status, won) = shop.decided(first()).await;
    assert_eq!(status, 201, "{won}");
    shop.as_admin("/lanes/coupon:HELD/pause", &json!({})).await;
    let waiting = || shop.claim("HELD", "patient").header("idempotency-key", "later");
    let (status, document) = answer(waiting()).await;
    assert_eq!((status, &document["status"]), (202, &"QUEUED".into()));
    let winner: String =
        sqlx::query_scalar("select request_id::text from requests").fetch_one(&shop.pool).await.unwrap();
    let known = shop.document(&winner).await;
    assert_eq!((known.0, &known.1["status"]), (200, &"SUCCEEDED".into()));

    shop.redis.command(&["FLUSHALL"]).unwrap();

    assert_eq!(shop.document(&winner).await, known, "what was decided stays known and unchanged");
    let (status, lost) = shop.document(id_of(&document)).await;
    assert_eq!((status, &lost["code"]), (404, &"R001".into()), "what was waiting is unknown");

    // The next claim is decided, which closes the gate again: the winner's key is known to Postgres alone.
    let (status, refused) = shop.decided(shop.claim("RARE", "late")).await;
    assert_eq!((status, &refused["code"]), (409, &"C001".into()));
    assert_eq!(shop.decided(first()).await, (201, won), "the same key, the same outcome");
    let (status, refused) = shop.decided(shop.claim("RARE", "winner")).await;
    assert_eq!((status, &refused["code"]), (409, &"C004".into()), "without the key it is another request");

    // Still paused, because Postgres remembers; decided once, whichever request brings it.
    let (status, again) = answer(waiting()).await;
    assert_eq!((status, &again["status"]), (202, &"QUEUED".into()));
    assert_ne!(id_of(&again), id_of(&document));
    let tickets = [&document, &again].map(|document| document["ticket"].as_u64().unwrap());
    assert!(tickets[0] < tickets[1], "tickets went back: {tickets:?}");
    shop.as_admin("/lanes/coupon:HELD/resume", &json!({})).await;
    assert_eq!(shop.decided(waiting()).await.0, 201);
    let held: Vec<(String, String)> =
        sqlx::query_as("select coupon_id, user_id from user_coupons order by 1").fetch_all(&shop.pool).await.unwrap();
    let meant = [("HELD", "patient"), ("RARE", "winner")].map(|(coupon, user)| (coupon.to_owned(), user.to_owned()));
    assert_eq!(held, meant);
    assert!(audit::audit(&shop.pool).await.unwrap().ok);
}
