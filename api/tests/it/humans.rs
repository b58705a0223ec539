//! Claims that must prove that a person sent them; the sandbox plays the verifier.

use reqwest::Method;
use sandbox::{Mode, Sandbox, Target};
use serde_json::{Value, json};
use stack::Shutdown;

use crate::kit::{Answer, Plan, Shop, send};
use crate::worker::{Worker, archive, yes};

async fn verifier() -> Sandbox {
    Sandbox::start(sandbox::Options::default()).await.unwrap()
}

fn with(verifier: &Sandbox) -> Plan {
    let plan = Plan::default().env("HUMAN_CHECK_URL", format!("{}/siteverify", verifier.url()));
    plan.env("HUMAN_CHECK_SECRET", "the shop's secret")
}

/// A campaign for persons.
async fn campaign(shop: &Shop) {
    let coupon = json!({"couponId": "C1", "name": "one", "discountType": "FIXED", "discountValue": 1,
                        "totalQuantity": 1_000, "humanCheck": true});
    assert_eq!(shop.admin_post("/api/admin/coupons", &coupon).await["humanCheck"], true);
}

async fn claim(shop: &Shop, user: &str, headers: &[(&str, &str)]) -> Answer {
    let request = shop.post("/api/coupons/C1/issue", &json!({"userId": user}));
    send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

fn asked(verifier: &Sandbox) -> Vec<String> {
    verifier.arrived().humans.into_iter().map(|check| check.token).collect()
}

#[tokio::test]
async fn only_a_person_stands_in_line() {
    let verifier = verifier().await;
    let shop = with(&verifier).open().await;
    campaign(&shop).await;
    let long = format!("human{}", "x".repeat(8 * 1024));
    let rows: [(&[(&str, &str)], &str); 6] = [
        (&[], "HUMAN_TOKEN_MISSING"),
        (&[("human-token", "")], "HUMAN_TOKEN_REFUSED"),
        (&[("human-token", "robot")], "HUMAN_TOKEN_REFUSED"),
        (&[("human-token", "human1"), ("human-token", "human2")], "HUMAN_TOKEN_REFUSED"),
        (&[("human-token", "사람")], "HUMAN_TOKEN_REFUSED"),
        (&[("human-token", &long)], "HUMAN_TOKEN_REFUSED"),
    ];
    for (headers, reason) in rows {
        let refused = claim(&shop, "user1", headers).await;
        assert_eq!((refused.problem(), &refused.body["reason"]), ((403, "A002"), &reason.into()), "{headers:?}");
    }
    assert_eq!(asked(&verifier), ["robot"], "what can be no proof is not shown to anybody");
    assert!(Worker::of(&shop, "coupon").claim_now().await.is_none(), "nothing stands in line");
    let series = "droplane_refused_total{group=\"coupon\",reason=\"not_human\"}";
    assert_eq!(shop.metric(series).await, 6.0);

    assert_eq!(claim(&shop, "user1", &[("human-token", "human1")]).await.status, 202);
    let came = verifier.arrived().humans.pop().unwrap();
    assert_eq!((&*came.token, &*came.remote_ip, came.success), ("human1", "127.0.0.1", Some(true)));
    assert_eq!(claim(&shop, "user2", &[("human-token", "human1")]).await.problem(), (403, "A002"), "good once");
    // Others pay nothing, whatever they bring.
    let other = shop.post("/api/coupons/C2/issue", &json!({"userId": "user1"})).header("human-token", "robot");
    assert_eq!(send(other).await.status, 202);
    assert_eq!(asked(&verifier).len(), 3);
}

#[tokio::test]
async fn a_repeat_needs_no_new_proof() {
    let verifier = verifier().await;
    let shop = with(&verifier).open().await;
    campaign(&shop).await;
    let worker = Worker::of(&shop, "coupon");
    let key = ("idempotency-key", "k");
    let first = claim(&shop, "user1", &[key, ("human-token", "human1")]).await;
    assert_eq!(first.status, 202, "{first:?}");
    let id = &first.body["requestId"];
    // In line, with the proof that is used up, with none, with one that is none.
    for headers in [&[key, ("human-token", "human1")][..], &[key], &[key, ("human-token", "robot")]] {
        let again = claim(&shop, "user1", headers).await;
        assert_eq!((again.status, &again.body["requestId"]), (202, id), "{headers:?}");
    }
    assert_eq!(claim(&shop, "user2", &[key]).await.problem(), (403, "A002"), "a key is its shopper's");
    // Decided; then Redis forgets the key, and Postgres knows it.
    let stored = shop.redis.command(&["KEYS", "{coupon}:key:*"]).unwrap();
    archive(&shop.pool, &worker.decide(yes).await).await;
    let decided = claim(&shop, "user1", &[key, ("prefer", "wait=5")]).await;
    assert_eq!(decided.status, 201, "{decided:?}");
    let digest = stored.trim_start_matches("{coupon}:key:");
    sqlx::query("update requests set idempotency_key = decode($1, 'hex'), body_hash = decode($1, 'hex')")
        .bind(digest)
        .execute(&shop.pool)
        .await
        .unwrap();
    shop.redis.command(&["DEL", &stored]).unwrap();
    assert_eq!(claim(&shop, "user1", &[key]).await.status, 202, "the line finds what was decided");
    assert_eq!(asked(&verifier), ["human1"]);
}

#[tokio::test]
async fn nobody_gets_in_because_the_verifier_is_away() {
    let verifier = verifier().await;
    let shop = with(&verifier).open().await;
    campaign(&shop).await;
    let key = ("idempotency-key", "k");
    assert_eq!(claim(&shop, "user1", &[key, ("human-token", "human1")]).await.status, 202);
    for fault in [Mode::Fail { status: 500 }, Mode::Fail { status: 404 }, Mode::Hang] {
        verifier.set_fault(Target::Humans, fault).unwrap();
        let refused = claim(&shop, "user2", &[("human-token", "human2")]).await;
        assert_eq!((refused.problem(), refused.header("retry-after")), ((503, "R005"), "1"), "{fault:?}");
        assert_eq!(claim(&shop, "user2", &[]).await.problem(), (403, "A002"), "none is none, whoever is away");
        assert_eq!(claim(&shop, "user1", &[key]).await.status, 202, "who is in line already is told so");
    }
    verifier.set_fault(Target::Humans, Mode::Ok).unwrap();
    assert_eq!(claim(&shop, "user2", &[("human-token", "human2")]).await.status, 202);
    let url = verifier.url();
    drop(verifier);
    assert_eq!(claim(&shop, "user3", &[("human-token", "human3")]).await.problem(), (503, "R005"));
    let series = "droplane_refused_total{group=\"coupon\",reason=\"verifier_away\"}";
    assert_eq!(shop.metric(series).await, 4.0);
    shop.wait_for_log("asking HUMAN_CHECK_URL");
    let log = shop.api.log();
    assert!(!log.contains("the shop's secret") && !log.contains("human3") && !log.contains(&url), "{log}");
}

#[tokio::test]
async fn a_verifier_that_sends_us_elsewhere_or_talks_without_end_is_not_believed() {
    let answers = [
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n".to_owned(),
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: 30000\r\n\r\n{}",
            r#"{"success":true}"#.to_owned() + &" ".repeat(29_984)
        ),
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntrue".to_owned(),
    ];
    for answer in answers {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let said = answer.clone();
        tokio::spawn(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut question = [0; 4_096];
                let _ = stream.read(&mut question).await;
                let _ = stream.write_all(said.as_bytes()).await;
            }
        });
        let shop = Plan::default().env("HUMAN_CHECK_URL", url).env("HUMAN_CHECK_SECRET", "key").open().await;
        campaign(&shop).await;
        let refused = claim(&shop, "user1", &[("human-token", "human1")]).await;
        assert_eq!(refused.problem(), (503, "R005"), "{answer:.60}");
    }
}

#[tokio::test]
async fn operators_demand_it_where_somebody_can_be_asked() {
    let nobody = Shop::open().await;
    let coupon =
        json!({"couponId": "C1", "name": "one", "discountType": "FIXED", "discountValue": 1, "totalQuantity": 9});
    nobody.admin_post("/api/admin/coupons", &coupon).await;
    let edit =
        async |shop: &Shop, body: Value| send(shop.as_admin(Method::PATCH, "/api/admin/coupons/C1").json(&body)).await;
    let refused = edit(&nobody, json!({"humanCheck": true})).await;
    assert_eq!((refused.problem(), &refused.body["errors"][0]["field"]), ((400, "V001"), &"humanCheck".into()));
    // Another `api` of the shop knows a verifier: here it is demanded, and nobody can be asked.
    sqlx::query("update coupons set human_check = true").execute(&nobody.pool).await.unwrap();
    edit(&nobody, json!({"maxPerAddress": 5})).await;
    assert_eq!(claim(&nobody, "user1", &[("human-token", "human1")]).await.problem(), (503, "R005"));
    assert_eq!(edit(&nobody, json!({"humanCheck": false})).await.body["humanCheck"], false);
    assert_eq!(claim(&nobody, "user1", &[]).await.status, 202);

    let verifier = verifier().await;
    let mut shop = with(&verifier).own_postgres().open().await;
    campaign(&shop).await;
    let listed = send(shop.get("/api/coupons")).await;
    assert_eq!(listed.body["coupons"][0]["humanCheck"], true, "front ends must know");
    shop.postgres.as_mut().unwrap().stop(Shutdown::Immediate);
    assert_eq!(claim(&shop, "user1", &[]).await.problem(), (403, "A002"), "also with Postgres away");
    assert_eq!(claim(&shop, "user1", &[("human-token", "human1")]).await.status, 202);
}

#[tokio::test]
async fn a_verifier_that_cannot_be_asked_safely_is_refused_at_the_start() {
    let rows = [
        (
            Plan::default().env("HUMAN_CHECK_URL", "http://human.example/").env("HUMAN_CHECK_SECRET", "key"),
            "HUMAN_CHECK_URL",
        ),
        (Plan::default().env("HUMAN_CHECK_URL", "https://human.example/"), "HUMAN_CHECK_SECRET"),
        (Plan::default().env("HUMAN_CHECK_SECRET", "hunter2"), "HUMAN_CHECK_URL"),
    ];
    for (plan, told) in rows {
        let mut refused = plan.start();
        assert!(!refused.wait_for_exit().success(), "{told}");
        let log = refused.api.log();
        assert!(log.contains(told) && !log.contains("hunter2"), "{told}: {log}");
    }
}
