//! A real Prometheus with the shop's own rules looks at a real shop, in which some of everything happens and one order
//! never reaches the order system.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::{Client, Method};
use sandbox::{Mode, Options, Sandbox, Target};
use serde_json::{Value, json};
use stack::{Prometheus, PrometheusTools, free_port, try_wait_for_async, wait_for_async};

use crate::expressions::selectors;
use crate::files::{RULES, asked_by_panels, rules_path};
use crate::shop::{DEADLINE, Shop, answer};
use crate::tools;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The alert that one dead order raises.
const SYNC_DEAD: &str = "DroplaneSyncDead";

/// Orders that arrive, so that the one that does not is the exception.
const GOOD_ORDERS: usize = 12;

/// The first attempt and its three retries.
const ATTEMPTS: u32 = 4;

/// Panels that show nothing while nothing is wrong, and why. An alert's own expression is empty by its nature, unless it is
/// about to fire.
const EMPTY_WHEN_WELL: [(&str, &str); 5] = [
    ("promises: Failed answers by route", "no answer was a 5xx"),
    ("machinery: Batches given back", "no batch met a fault"),
    ("machinery: Script errors", "Redis answered every script"),
    ("machinery: Postgres errors", "Postgres answered every statement"),
    ("machinery: Failed runs", "every job did its work"),
];

/// What must be seen of the dead order, of its alert, whose first delivery failed, and of the processes.
const SEEN_AFTERWARDS: [&str; 9] = [
    "max_over_time(droplane_sync_backlog[5m]) > 0",
    "droplane_sync_backlog == 0",
    "droplane_alerts_open{alert=\"ORDER_SYNC_FAILED\"} == 1",
    "max_over_time(droplane_alerts_undelivered_seconds[5m]) > 1",
    "droplane_alerts_undelivered_seconds == 0",
    "max(droplane_process_cpu_seconds_total) > 0",
    "min(droplane_process_resident_memory_bytes) > 1e6",
    "max(droplane_process_open_fds) > 5 < min(droplane_process_max_fds)",
    "min(droplane_process_threads) > 1",
];

/// What must be seen once a group and a product are held, and Redis does not flush any more.
const SEEN_WHEN_WRONG: [&str; 5] = [
    "min by (group) (droplane_group_held{group=\"coupon\"}) == 1",
    "ALERTS{alertname=\"DroplaneGroupHeld\", group=\"coupon\", alertstate=\"firing\"}",
    "min(droplane_lanes_paused{group=\"order\"}) == 1 > max(droplane_group_held{group=\"order\"})",
    "max(droplane_redis_durable) == 0",
    "ALERTS{alertname=\"DroplaneRedisNotDurable\", alertstate=\"pending\"}",
];

/// A Prometheus that is asked.
struct Asked {
    _server: Prometheus,
    url: String,
    http: Client,
}

impl Asked {
    fn start(tools: &PrometheusTools, shop: &Shop, targets: [(&str, &str); 2]) -> Asked {
        let scraped =
            targets.map(|(job, address)| json!({"job_name": job, "static_configs": [{"targets": [address]}]}));
        // JSON is YAML. The rules are the shop's own; only the pace is another.
        let configuration = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": RULES.map(|name| rules_path(name).display().to_string()),
            "scrape_configs": scraped,
        });
        let path = shop.folder.path().join("prometheus.yml");
        std::fs::write(&path, configuration.to_string()).unwrap();
        let server = tools.start(&path).unwrap();
        Asked { url: server.url(), _server: server, http: Client::new() }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let (status, body) = answer(self.http.get(format!("{}{path}", self.url)).query(query)).await;
        assert_eq!((status, &body["status"]), (200, &"success".into()), "{query:?}: {body}");
        body["data"].clone()
    }

    /// The series that an expression gives now, those that are no number left out.
    async fn ask(&self, expression: &str) -> Vec<Value> {
        let data = self.get("/api/v1/query", &[("query", expression)]).await;
        let series = data["result"].as_array().unwrap_or_else(|| panic!("{expression}: {data}"));
        series.iter().filter(|series| series["value"][1] != "NaN").cloned().collect()
    }

    /// Waits until an expression gives something, and gives the last of it.
    async fn wait_for(&self, expression: &str) -> Value {
        wait_for_async(expression, DEADLINE, || async { self.ask(expression).await.pop() }).await
    }

    /// All rules with the expressions that they stand on.
    async fn rules(&self) -> Vec<Value> {
        let data = self.get("/api/v1/rules", &[]).await;
        let groups = data["groups"].as_array().expect("groups").iter();
        groups.flat_map(|group| group["rules"].as_array().expect("rules")).cloned().collect()
    }
}

/// A shop whose workers export their metrics at this address.
async fn open(world: &Sandbox, workers_metrics: &str) -> Shop {
    let url = world.url();
    let (orders, alerts) = (format!("{url}/orders"), format!("{url}/alerts"));
    let told: [(&str, &str); 8] = [
        ("METRICS_ADDR", workers_metrics),
        // A busy machine must not lose leases: nothing shall be wrong but what the test does.
        ("LANE_LEASE", "10s"),
        ("ORDER_SYNC_URL", &orders),
        ("ORDER_SYNC_SECRET", SECRET),
        ("ORDER_SYNC_RETRY_DELAYS", "1s,1s,1s"),
        ("ALERT_WEBHOOK_URL", &alerts),
        ("PAYMENT_GATEWAY_URL", &url),
        ("PAYMENT_GATEWAY_SECRET", "sk_test_any"),
    ];
    let shop = Shop::open_with(&told).await;
    shop.as_admin("/products", &json!({"productId": "P1", "name": "노트북", "price": 1_000, "stock": 50_000})).await;
    shop.as_admin("/users", &json!({"userId": "user1", "balance": 10_000_000})).await;
    shop
}

/// Some of everything that the shop counts, and nothing that is wrong. Each round is new to the shop.
async fn live(shop: &Shop, round: u32) {
    let coupon = format!("C{round}");
    shop.coupon(&coupon, 1).await;
    // A claim, its repeat, and one that comes too late.
    let claim = || shop.claim(&coupon, "user1").header("idempotency-key", format!("claim{round}"));
    assert_eq!(shop.decided(claim()).await.0, 201);
    assert_eq!(shop.decided(claim()).await.0, 201);
    assert_eq!(shop.decided(shop.claim(&coupon, "user2")).await.0, 409);
    // An order, and the same key for another one.
    for (quantity, status) in [(1, 201), (2, 422)] {
        let order = json!({"userId": "user1", "items": [{"productId": "P1", "quantity": quantity}]});
        let order = shop.request(Method::POST, "/api/orders").json(&order);
        assert_eq!(shop.decided(order.header("idempotency-key", format!("order{round}"))).await.0, status);
    }
    assert_eq!(order(shop, 100_000).await.1["code"], "P002");

    let declined = json!("pm_card_visa_chargeDeclinedInsufficientFunds");
    for (method, status) in [(Value::Null, 200), (declined, 402)] {
        let charge = json!({"userId": "user1", "amount": 5_000, "paymentMethod": method});
        assert_eq!(shop.send(Method::POST, "/api/users/balance/charge", &charge).await.0, status);
    }

    for days in [3, 7] {
        assert_eq!(shop.get(&format!("/api/products/popular?days={days}")).await.0, 200);
    }
    assert_eq!(shop.get("/api/nowhere").await.0, 404);
}

async fn order(shop: &Shop, quantity: u32) -> (u16, Value) {
    let order = json!({"userId": "user1", "items": [{"productId": "P1", "quantity": quantity}]});
    shop.decided(shop.request(Method::POST, "/api/orders").json(&order)).await
}

/// What is not as it should be: expressions without data, and those that have some though nothing is wrong.
async fn complaints(prometheus: &Asked) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut asked: BTreeSet<(String, String)> = asked_by_panels().into_iter().collect();
    for rule in prometheus.rules().await {
        let (name, expression) = (rule["name"].as_str().expect("a name"), rule["query"].as_str().expect("a query"));
        for selector in selectors(expression) {
            if prometheus.ask(selector).await.is_empty() {
                found.insert(format!("{name}: {selector} selects nothing"));
            }
        }
        if rule["type"] != "alerting" {
            asked.insert((name.to_owned(), expression.to_owned()));
        } else if prometheus.ask(expression).await.is_empty() == (name == SYNC_DEAD) {
            found.insert(format!("{name}: {expression}"));
        }
    }
    for (place, expression) in asked {
        let empty_when_well = EMPTY_WHEN_WELL.iter().any(|(panel, _)| *panel == place);
        let series = prometheus.ask(&expression).await;
        if series.is_empty() != empty_when_well {
            found.insert(format!("{place}: {expression} gives {series:?}"));
        }
        for selector in selectors(&expression) {
            if prometheus.ask(selector).await.is_empty() {
                found.insert(format!("{place}: {selector} selects nothing"));
            }
        }
    }
    found
}

async fn check_exported(tools: &PrometheusTools, address: &str) {
    let exported = Client::new().get(format!("http://{address}/metrics")).send().await.unwrap().text().await.unwrap();
    let mut promtool = tools.promtool();
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().unwrap();
    child.stdin.take().unwrap().write_all(exported.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && said.trim().is_empty(), "{address}:\n{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_expression_has_data_and_a_dead_sync_is_told() {
    let Some(tools) = tools() else {
        return;
    };
    let options = Options { sync_secret: SECRET.parse().unwrap(), ..Options::default() };
    let world = Sandbox::start(options).await.unwrap();
    let workers_metrics = format!("127.0.0.1:{}", free_port());
    let shop = open(&world, &workers_metrics).await;
    let api_metrics = shop.operators.trim_start_matches("http://").to_owned();
    let prometheus = Asked::start(&tools, &shop, [("api", &api_metrics), ("workers", &workers_metrics)]);
    // Rates need a look at the counters before anything is counted.
    wait_for_async("both programs to be looked at", DEADLINE, || async {
        (prometheus.ask("count_over_time(up[1m]) > 1 and up == 1").await.len() == 2).then_some(())
    })
    .await;

    for _ in 0..GOOD_ORDERS {
        assert_eq!(order(&shop, 1).await.0, 201);
    }
    wait_for_async("the good orders to be sent", DEADLINE, || async {
        (world.arrived().orders.len() == GOOD_ORDERS).then_some(())
    })
    .await;
    world.set_fault(Target::Orders, Mode::Fail { status: 500 }.times(ATTEMPTS)).unwrap();
    world.set_fault(Target::Alerts, Mode::Fail { status: 500 }.times(1)).unwrap();
    assert_eq!(order(&shop, 1).await.0, 201);

    let firing = format!("ALERTS{{alertname=\"{SYNC_DEAD}\", alertstate=\"firing\"}}");
    assert_eq!(prometheus.wait_for(&firing).await["metric"]["severity"], "warning");

    // Rates look back a minute, and some jobs take their time, so the shop is kept alive until all have come.
    let (rounds, last) = (AtomicU32::new(0), Mutex::new(BTreeSet::new()));
    let seen = try_wait_for_async("data", DEADLINE, || async {
        live(&shop, rounds.fetch_add(1, Ordering::Relaxed)).await;
        let found = complaints(&prometheus).await;
        let well = found.is_empty();
        *last.lock().unwrap() = found;
        well.then_some(())
    });
    let seen = seen.await;
    assert!(seen.is_ok(), "{:#?}", last.lock().unwrap());
    check_exported(&tools, &api_metrics).await;
    check_exported(&tools, &workers_metrics).await;

    for what in SEEN_AFTERWARDS {
        prometheus.wait_for(what).await;
    }
    shop.as_admin("/lanes/coupon:*/pause", &json!({})).await;
    shop.as_admin("/lanes/product:P1/pause", &json!({})).await;
    shop.redis.command(&["CONFIG", "SET", "appendfsync", "no"]).unwrap();
    for what in SEEN_WHEN_WRONG {
        prometheus.wait_for(what).await;
    }
}
