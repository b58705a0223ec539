//! Charges whose worker was stopped, or could not decide them, while the world went on.

use reqwest::Method;
use runtime::fault_points::Point;
use sandbox::{Mode, Options, Sandbox, Target};
use serde_json::json;
use stack::{wait_for, wait_for_async};

use crate::diagram_4::{
    AMOUNT, ask_again_now, balance, charge, check_audit, check_charged_once, document, id_of, open,
};
use crate::shop::{DEADLINE, Shop, answer};

/// Arms a point at which the worker stops, and waits until it is there.
async fn stopped_at(shop: &Shop, point: Point) -> String {
    std::fs::write(shop.folder.path().join(point.as_str()), "STOP").unwrap();
    let (status, request) = charge(shop, "key", 1).await;
    assert_eq!(status, 202, "{request}");
    let taken = shop.folder.path().join(format!("{}.taken", point.as_str()));
    wait_for("the worker to stop", DEADLINE, || taken.exists().then_some(()));
    id_of(&request)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_wakes_after_redis_forgot_its_charge_charges_nobody() {
    let gateway = Sandbox::start(Options::default()).await.unwrap();
    let mut shop = open(&gateway).await;
    stopped_at(&shop, Point::BeforeTransaction).await;
    shop.redis.command(&["FLUSHALL"]).unwrap();
    let mut other = shop.launch_workers.spawn().unwrap();
    // The same shopper again, whose ticket is far above the one that was lost.
    let body = json!({"userId": "user1", "amount": AMOUNT});
    let again = shop.request(Method::POST, "/api/users/balance/charge").json(&body).header("prefer", "wait=30");
    assert_eq!(answer(again).await.0, 200);
    shop.workers.sigcont();
    wait_for("the zombie to be refused", DEADLINE, || shop.workers.log().contains("was dropped").then_some(()));
    check_charged_once(&shop, &gateway).await;
    other.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_contradicts_an_operator_is_heard() {
    let gateway = Sandbox::start(Options::default()).await.unwrap();
    let mut shop = open(&gateway).await;
    let id = stopped_at(&shop, Point::AfterGateway).await;
    let mut other = shop.launch_workers.spawn().unwrap();
    sqlx::query("update charges set attempts = 1").execute(&shop.pool).await.unwrap();
    let verdict = json!({"outcome": "FAILED", "note": "a mistake"});
    shop.as_admin(&format!("/charges/{id}/resolve"), &verdict).await;
    ask_again_now(&shop).await;
    assert_eq!(document(&shop, &id).await["status"], "FAILED");
    shop.workers.sigcont();
    let alert = wait_for_async("an alert", DEADLINE, || async {
        shop.admin_get("/alerts?status=open").await["alerts"].get(0).cloned()
    })
    .await;
    assert_eq!((&alert["kind"], &alert["details"]["chargeId"]), (&"CHARGE_CONTRADICTED".into(), &(*id).into()));
    assert_eq!((gateway.arrived().ledger.len(), balance(&shop).await), (1, 0.into()), "the operator's word stands");
    check_audit(&shop).await;
    other.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_charge_that_could_not_be_decided_is_remembered() {
    let gateway = Sandbox::start(Options::default()).await.unwrap();
    let shop = open(&gateway).await;
    let (status, _) = charge(&shop, "key", 30).await;
    assert_eq!(status, 200);
    // As if it had been set aside before it began.
    for change in [
        "delete from charges",
        "delete from ledger",
        "update users set balance = 0",
        "update requests set status = 'FAILED', outcome = '{\"code\": \"X003\"}'",
    ] {
        sqlx::query(change).execute(&shop.pool).await.unwrap();
    }
    gateway.forget();
    shop.redis.command(&["FLUSHALL"]).unwrap();
    let (status, refused) = charge(&shop, "key", 30).await;
    assert_eq!((status, &refused["code"]), (500, &"X003".into()), "{refused}");
    assert!(gateway.arrived().payments.is_empty(), "nobody was asked for money");
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_ends_in_time_while_the_gateway_hangs() {
    let gateway = Sandbox::start(Options::default()).await.unwrap();
    let mut shop = open(&gateway).await;
    shop.workers.stop();
    let patient = shop.launch_workers.clone().env("PAYMENT_GATEWAY_TIMEOUT", "60s");
    shop.workers = patient.spawn().unwrap();
    gateway.set_fault(Target::Gateway, Mode::TakeAndHang.times(1)).unwrap();
    let (status, request) = charge(&shop, "key", 1).await;
    assert_eq!(status, 202, "{request}");
    wait_for("the gateway to be asked", DEADLINE, || (!gateway.arrived().ledger.is_empty()).then_some(()));
    shop.workers.sigterm();
    let ended = shop.workers.wait(std::time::Duration::from_secs(10)).unwrap();
    assert!(ended.success(), "{ended}: {}", shop.workers.log_tail(20));
    shop.workers = shop.launch_workers.spawn().unwrap();
    let id = id_of(&request);
    let settled = wait_for_async("the charge to be settled", DEADLINE, || async {
        let document = document(&shop, &id).await;
        document["decidedAt"].is_string().then_some(document)
    })
    .await;
    assert_eq!(settled["status"], "SUCCEEDED", "{settled}");
    check_charged_once(&shop, &gateway).await;
}
