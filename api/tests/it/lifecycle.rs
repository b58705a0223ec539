//! The beginning, the end, and what every answer has in common.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stack::wait_for_async;

use crate::kit::{ADMIN_TOKEN, DEADLINE, Plan, Shop, send};
use crate::status::events;

#[tokio::test]
async fn sigterm_answers_whoever_waits_with_the_current_document() {
    let mut shop = Shop::open().await;
    let id = shop.claim("C1", "user1").await;
    let mut stream = shop.get(&format!("/api/requests/{id}/events")).send().await.unwrap();
    assert_eq!(events(&stream.chunk().await.unwrap().unwrap()).len(), 1);
    let claim = shop.post("/api/coupons/C1/issue", &json!({"userId": "user2"})).header("prefer", "wait=30");
    let claiming = tokio::spawn(send(claim));
    let asking = tokio::spawn(send(shop.get(&format!("/api/requests/{id}?wait=30"))));
    wait_for_async("all three to wait", DEADLINE, || async {
        (shop.metric("droplane_waiters").await >= 3.0).then_some(())
    })
    .await;

    shop.api.sigterm();
    let claimed = claiming.await.unwrap();
    assert_eq!((claimed.status, &claimed.body["status"]), (202, &"QUEUED".into()));
    let asked = asking.await.unwrap();
    assert_eq!((asked.status, &asked.body["status"]), (200, &"QUEUED".into()));
    let last = events(&tokio::time::timeout(DEADLINE, stream.bytes()).await.unwrap().unwrap());
    assert_eq!((last.len(), &last[0]["status"]), (1, &"QUEUED".into()));
    assert!(shop.wait_for_exit().success(), "{}", shop.api.log_tail(20));

    // What was accepted is still there.
    shop.restart_api().await;
    let id = claimed.body["requestId"].as_str().unwrap();
    assert_eq!(send(shop.get(&format!("/api/requests/{id}"))).await.body["status"], "QUEUED");
}

#[tokio::test]
async fn whoever_sends_while_the_door_closes_is_answered_and_told_so() {
    let mut shop = Shop::open().await;
    let ask = async || shop.get("/api/products").send().await.unwrap();
    assert!(!ask().await.headers().contains_key("connection"));
    let operators = format!("{}/readyz", shop.operators);
    shop.api.sigterm();
    wait_for_async("the end to be known", DEADLINE, || async {
        (reqwest::get(&operators).await.ok()?.status() == 503).then_some(())
    })
    .await;
    let last = shop.get("/api/products").send().await.unwrap();
    assert_eq!((last.status(), &last.headers()["connection"]), (StatusCode::OK, &"close".parse().unwrap()));
    assert!(shop.wait_for_exit().success(), "{}", shop.api.log_tail(20));
}

#[tokio::test]
async fn migrations_through_a_pooler_of_transactions_are_refused() {
    let mut shop = Plan::default().env("DATABASE_POOLER", "transaction").env("MIGRATE_ON_START", "true").start();
    assert!(!shop.wait_for_exit().success());
    assert!(shop.api.log().contains("DATABASE_POOLER=transaction needs MIGRATE_ON_START=false"), "{}", shop.api.log());
}

#[tokio::test]
async fn every_route_that_is_measured_is_there() {
    // Nobody is there, but then the route is.
    let shop = Plan::default().env("DEMO_TOKENS_URL", "http://127.0.0.1:9/tokens").open().await;
    let metrics = shop.http.get(format!("{}/metrics", shop.operators)).send().await.unwrap().text().await.unwrap();
    let routes: Vec<(String, String)> = metrics
        .lines()
        .filter(|line| line.starts_with("droplane_http_requests_total{") && line.contains("status=\"2xx\""))
        .map(|line| {
            let label = |name: &str| {
                let value = line.split(&format!("{name}=\"")).nth(1).unwrap();
                value.split('"').next().unwrap().to_owned()
            };
            (label("method"), label("route"))
        })
        .filter(|(method, _)| method != "ANY")
        .collect();
    assert!(routes.len() > 20, "{routes:?}");
    for (method, route) in &routes {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let path = route.replace("{lane}", "product:P1").replace("{folder}/{file}", "shop/shop.js");
        let path = path.replace("{file}", "start.js").replace(['{', '}'], "");
        let answer = send(shop.request(method, &path).json(&json!({}))).await;
        assert!(!["X001", "X002"].contains(&answer.body["code"].as_str().unwrap_or_default()), "{route}: {answer:?}");
    }
    for status in ["2xx", "4xx", "5xx"] {
        let series = format!("droplane_http_requests_total{{method=\"ANY\",route=\"unmatched\",status=\"{status}\"}}");
        assert_eq!(shop.metric(&series).await, 0.0, "every route is measured under its own name");
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_as_a_problem() {
    let shop = Shop::open().await;
    let rows = [
        (Method::GET, "/nothing", 404, "X001"),
        (Method::GET, "/metrics", 404, "X001"),
        (Method::GET, "/api/nothing", 404, "X001"),
        (Method::GET, "/api/products/P1/nothing", 404, "X001"),
        (Method::DELETE, "/api/orders", 405, "X002"),
        (Method::PUT, "/api/coupons/C1/issue", 405, "X002"),
        (Method::GET, "/api/products/P1", 404, "P001"),
        (Method::GET, "/api/products/P1/stock", 404, "P001"),
        (Method::GET, "/api/products/P%201", 400, "V001"),
        (Method::GET, "/api/products?limit=0", 400, "V001"),
        (Method::GET, "/api/products?limit=101", 400, "V001"),
        (Method::GET, "/api/coupons?cursor=two%20words", 400, "V001"),
        (Method::GET, "/api/coupons?limit=1&limit=2", 400, "V001"),
        (Method::GET, "/api/products?q=%00", 400, "V001"),
        (Method::GET, "/api/users/balance/history?userId=user1&cursor=9999999999999999999", 400, "V001"),
        (Method::GET, "/api/users/balance", 400, "V001"),
        (Method::GET, "/api/users/balance?userId=-", 400, "V001"),
    ];
    for (method, path, status, code) in rows {
        let answer = send(shop.request(method, path)).await;
        assert_eq!(answer.problem(), (status, code), "{path}");
        assert_eq!(answer.header("allow").is_empty(), status != 405, "{path}: {answer:?}");
    }
    let metrics = shop.http.get(format!("{}/metrics", shop.operators)).send().await.unwrap();
    assert_eq!(metrics.status(), StatusCode::OK);
}

#[tokio::test]
async fn ids_and_languages() {
    let shop = Shop::open().await;
    // A cursor has one meaning, however it is spelled.
    for cursor in ["019a3c5e-7f00-7abc-8def-000000001180", "urn:uuid:019a3c5e-7f00-7abc-8def-000000001180"] {
        let answer = send(shop.get(&format!("/api/orders?userId=user1&cursor={cursor}"))).await;
        assert_eq!(answer.status, 200, "{cursor}: {answer:?}");
    }
    let rows = [("chosen-by-1.client", true), ("two words", false), ("", false)];
    for (id, kept) in rows {
        let answer = send(shop.get("/healthz").header("x-request-id", id)).await;
        assert_eq!(answer.header("x-request-id") == id, kept, "{id:?}");
    }
    let rows = [("", "ko"), ("en", "en"), ("ko,en;q=0.9", "ko"), ("fr,en;q=0.1", "en")];
    for (accepted, language) in rows {
        let answer = send(shop.get("/api/products/P1").header("accept-language", accepted)).await;
        assert_eq!(answer.header("content-language"), language, "{accepted:?}");
        assert_eq!(answer.body["message"].as_str().unwrap().is_ascii(), language == "en", "{accepted:?}");
    }
}

#[tokio::test]
async fn what_cannot_work_is_told_at_the_start() {
    let shop = Shop::open().await;
    let (base, operators) = (shop.base.replace("http://", ""), shop.operators.replace("http://", ""));
    let rows = [
        (Plan::default().env("API_ADDR", base), "already taken"),
        (Plan::default().env("METRICS_ADDR", operators), "already taken"),
        (Plan::default().env("API_ADDR", "0.0.0.0:0"), "AUTH_MODE=off"),
        (Plan::default().env("AUTH_MODE", "jwt"), "JWT_SECRET"),
        (Plan::default().env("AUTH_MODE", "jwt").env("JWT_JWKS_URL", "http://keys.example/"), "JWT_JWKS_URL"),
        (Plan::default().env("DATABASE_URL", "nonsense"), "DATABASE_URL"),
        (Plan::default().env("DATABASE_URL", "mysql://shop@127.0.0.1/shop"), "DATABASE_URL"),
        (Plan::default().env("REDIS_URL", "nonsense"), "REDIS_URL"),
        (Plan::default().env("COUPON_GROUPS", "65"), "--coupon-groups"),
    ];
    for (plan, told) in rows {
        let mut refused = plan.start();
        assert!(!refused.wait_for_exit().success(), "{told}");
        let log = refused.api.log();
        assert!(log.contains(told), "{told}: {log}");
        assert!(!log.contains(ADMIN_TOKEN), "{log}");
    }
}

#[tokio::test]
async fn migrations_can_be_applied_apart() {
    let shop = Plan::default().env("MIGRATE_ON_START", "false").start();
    let not_ready = wait_for_async("an answer", DEADLINE, || async {
        let answer = shop.get("/readyz").send().await.ok()?;
        answer.json::<Value>().await.ok()
    })
    .await;
    assert!(not_ready["checks"][0]["detail"].as_str().unwrap().contains("`api migrate`"), "{not_ready}");
    assert_eq!(send(shop.get("/api/products")).await.problem(), (503, "R005"));

    let mut migrating = shop.migrate();
    assert!(migrating.wait(DEADLINE).unwrap().success(), "{}", migrating.log());
    shop.wait_until_ready().await;
    assert_eq!(send(shop.get("/api/products")).await.status, 200);
}

#[tokio::test]
async fn rights_are_granted_with_the_migrations() {
    let shop = Shop::open().await;
    let mut migrating = shop.migrate_with(&["--grant-to", "nobody here"]);
    assert!(!migrating.wait(DEADLINE).unwrap().success());
    assert!(migrating.log().contains("granting rights to the role nobody here failed"), "{}", migrating.log());

    // A name that must be quoted, twice.
    sqlx::query("create role \"who \"\"runs\"\"\"").execute(&shop.pool).await.unwrap();
    let mut migrating = shop.migrate_with(&["--grant-to", "who \"runs\""]);
    assert!(migrating.wait(DEADLINE).unwrap().success(), "{}", migrating.log());
    let may = "select has_table_privilege($1, 'orders', 'insert'), has_table_privilege($1, 'orders', 'delete')";
    let may: (bool, bool) = sqlx::query_as(may).bind("who \"runs\"").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(may, (true, false));
}

#[tokio::test]
async fn a_database_made_by_another_text_is_refused() {
    let mut shop = Shop::open().await;
    sqlx::query("update _sqlx_migrations set checksum = 'another'").execute(&shop.pool).await.unwrap();
    assert!(shop.api.stop().success());
    let mut migrating = shop.migrate();
    assert!(!migrating.wait(DEADLINE).unwrap().success());
    assert!(migrating.log().contains("was changed after it had been applied"), "{}", migrating.log());
    shop.start_api();
    assert!(!shop.wait_for_exit().success());
    assert!(shop.api.log().contains("was changed after it had been applied"), "{}", shop.api.log());
}

#[tokio::test]
async fn faults_are_logged_with_their_cause_and_requests_with_their_id() {
    let mut shop = Plan::default().own_postgres().open().await;
    send(shop.get("/api/products").header("x-request-id", "fine-1")).await;
    shop.postgres.as_mut().unwrap().stop(stack::Shutdown::Immediate);
    let answer = send(shop.get("/api/products").header("x-request-id", "broken-1")).await;
    assert_eq!(answer.status, 503);
    assert!(!format!("{answer:?}").contains("pool"), "the cause is not for the client: {answer:?}");
    shop.wait_for_log("broken-1");
    let log = shop.api.log();
    let line = |id: &str| log.lines().find(|line| line.contains(id)).unwrap().to_owned();
    assert!(line("fine-1").contains("DEBUG access: GET /api/products 200"), "{}", line("fine-1"));
    assert!(line("broken-1").contains("WARN access: GET /api/products 503: "), "{}", line("broken-1"));
    let _: Value = answer.body;
}
