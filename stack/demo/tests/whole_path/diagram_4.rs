//! Diagram 4: money from a card onto the balance. The gateway is the sandbox's, which takes money as Stripe does.

use common::{Group, RequestId};
use reqwest::Method;
use runtime::fault_points::Point;
use sandbox::{Mode, Options, Sandbox, Target};
use serde_json::{Value, json};
use stack::{wait_for, wait_for_async};

use crate::shop::{DEADLINE, Shop, answer};

pub const AMOUNT: i64 = 50_000;

pub async fn open(gateway: &Sandbox) -> Shop {
    Shop::open_with(&[
        ("PAYMENT_GATEWAY_URL", &gateway.url()),
        ("PAYMENT_GATEWAY_SECRET", "sk_test_any"),
        ("PAYMENT_GATEWAY_TIMEOUT", "2s"),
    ])
    .await
}

/// Charges with a key, and answers what a shopper hears who waits so long for it.
pub async fn charge(shop: &Shop, key: &str, wait_seconds: u32) -> (u16, Value) {
    let request = shop.request(Method::POST, "/api/users/balance/charge");
    let request = request.json(&json!({"userId": "user1", "amount": AMOUNT}));
    answer(request.header("idempotency-key", key).header("prefer", format!("wait={wait_seconds}"))).await
}

pub async fn balance(shop: &Shop) -> Value {
    shop.get("/api/users/balance?userId=user1").await.1["balance"].clone()
}

pub fn id_of(request: &Value) -> String {
    request["requestId"].as_str().unwrap_or_else(|| panic!("no request: {request}")).to_owned()
}

pub async fn document(shop: &Shop, id: &str) -> Value {
    let (status, document) = shop.get(&format!("/api/requests/{id}?wait=10")).await;
    assert_eq!(status, 200, "{document}");
    document
}

async fn wait_until_settled(shop: &Shop, id: &str) -> Value {
    wait_for_async("the charge to be settled", DEADLINE, || async {
        let document = document(shop, id).await;
        document["decidedAt"].is_string().then_some(document)
    })
    .await
}

/// As if the time had come to ask the gateway again.
pub async fn ask_again_now(shop: &Shop) {
    let hastened = sqlx::query(
        "update charges set next_attempt_at = now(), claimed_until = null where status = 'PENDING' and repeat_of is null",
    );
    let hastened = hastened.execute(&shop.pool).await.unwrap().rows_affected();
    assert!(hastened > 0, "nothing is pending");
}

/// The money of one charge, and nothing else: taken once, credited once, and every promise holds.
pub async fn check_charged_once(shop: &Shop, gateway: &Sandbox) {
    assert_eq!(gateway.arrived().ledger.len(), 1, "the card was charged once");
    assert_eq!(balance(shop).await, AMOUNT);
    let history = shop.get("/api/users/balance/history?userId=user1").await.1;
    assert_eq!(history["entries"].as_array().unwrap().len(), 1, "{history}");
    assert_eq!((&history["entries"][0]["type"], &history["entries"][0]["amount"]), (&"CHARGE".into(), &AMOUNT.into()));
    check_audit(shop).await;
}

pub async fn check_audit(shop: &Shop) {
    let report = shop.admin_get("/audit").await;
    assert_eq!(report["ok"], true, "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn diagram_4_charge_balance() {
    let gateway = Sandbox::start(Options::default()).await.unwrap();
    let shop = open(&gateway).await;
    assert_eq!(balance(&shop).await, 0);

    // It waits for the outcome by itself.
    let body = json!({"userId": "user1", "amount": 10_000});
    let (status, first) = shop.send(Method::POST, "/api/users/balance/charge", &body).await;
    let id = first["chargeId"].clone();
    let meant = json!({"chargeId": id, "previousBalance": 0, "chargedAmount": 10_000, "currentBalance": 10_000});
    assert_eq!((status, &first), (200, &meant));
    let (status, second) = charge(&shop, "second", 30).await;
    assert_eq!((status, &second["previousBalance"], &second["currentBalance"]), (200, &10_000.into(), &60_000.into()));
    assert_eq!(charge(&shop, "second", 30).await, (200, second), "a repeat is the same charge");

    // The request of a charge bears its id.
    let document = document(&shop, id.as_str().unwrap()).await;
    assert_eq!((&document["kind"], &document["status"]), (&"BALANCE_CHARGE".into(), &"SUCCEEDED".into()));
    assert_eq!(document["result"], meant);
    assert!(document["ticket"].is_u64(), "{document}");

    // A card that is refused.
    let body = json!({"userId": "user1", "amount": 1, "paymentMethod": "pm_card_visa_chargeDeclinedInsufficientFunds"});
    let (status, refused) = shop.send(Method::POST, "/api/users/balance/charge", &body).await;
    assert_eq!((status, &refused["code"], &refused["reason"]), (402, &"PAY002".into(), &"insufficient_funds".into()));

    let history = shop.get("/api/users/balance/history?userId=user1").await.1;
    let entries: Vec<_> = history["entries"].as_array().unwrap().iter().map(|e| (&e["type"], &e["amount"])).collect();
    assert_eq!(entries, [(&"CHARGE".into(), &AMOUNT.into()), (&"CHARGE".into(), &10_000.into())]);
    assert_eq!(history["entries"][1]["referenceId"], id);
    let taken: Vec<_> = gateway.arrived().ledger.iter().map(|taken| taken.amount).collect();
    assert_eq!(taken, [10_000, AMOUNT]);
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_around_the_gateway_charges_once() {
    for point in Point::OF_A_CHARGE {
        let gateway = Sandbox::start(Options::default()).await.unwrap();
        let mut shop = open(&gateway).await;
        std::fs::write(shop.folder.path().join(point.as_str()), "KILL").unwrap();
        let (status, request) = charge(&shop, "key", 1).await;
        assert_eq!(status, 202, "{point:?}: {request}");
        wait_for("the worker to die", DEADLINE, || shop.workers.status());
        shop.workers = shop.launch_workers.spawn().unwrap();
        let settled = wait_until_settled(&shop, &id_of(&request)).await;
        assert_eq!(settled["status"], "SUCCEEDED", "{point:?}: {settled}");
        check_charged_once(&shop, &gateway).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_takes_the_money_and_says_nothing_clear_is_asked_again() {
    let faults = [Mode::TakeAndHang, Mode::TakeAndCut, Mode::TakeAndFail { status: 500 }, Mode::Fail { status: 503 }];
    for fault in faults {
        let gateway = Sandbox::start(Options::default()).await.unwrap();
        let shop = open(&gateway).await;
        gateway.set_fault(Target::Gateway, fault.times(1)).unwrap();
        let (status, request) = charge(&shop, "key", 1).await;
        assert_eq!(status, 202, "{fault:?}: {request}");
        let id = id_of(&request);
        let pending = wait_for_async("the charge to be pending", DEADLINE, || async {
            let charges = shop.admin_get("/charges").await["charges"].clone();
            charges[0]["lastError"].is_string().then(|| charges[0].clone())
        })
        .await;
        assert_eq!((&pending["chargeId"], &pending["status"]), (&(*id).into(), &"PENDING".into()), "{fault:?}");
        let known = shop.get(&format!("/api/requests/{id}")).await.1;
        assert_eq!(known["status"], "PROCESSING", "{fault:?}: {known}");
        assert_eq!(balance(&shop).await, 0);

        ask_again_now(&shop).await;
        // The one who waits is told by the worker that settled it.
        let settled = document(&shop, &id).await;
        assert_eq!(settled["status"], "SUCCEEDED", "{fault:?}: {settled}");
        check_charged_once(&shop, &gateway).await;
        assert_eq!(shop.admin_get("/charges").await["charges"], json!([]));
        assert_eq!(shop.admin_get(&format!("/requests/{id}")).await["status"], "SUCCEEDED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_that_redis_forgot_is_not_made_twice() {
    let gateway = Sandbox::start(Options::default()).await.unwrap();
    let shop = open(&gateway).await;
    // Settled before Redis forgets.
    let (status, first) = charge(&shop, "settled", 30).await;
    assert_eq!(status, 200, "{first}");
    shop.redis.command(&["FLUSHALL"]).unwrap();
    let (status, repeated) = charge(&shop, "settled", 30).await;
    assert_eq!((status, &repeated), (200, &first), "the repeat hears of the first charge");
    check_charged_once(&shop, &gateway).await;

    // Pending while Redis forgets.
    gateway.set_fault(Target::Gateway, Mode::TakeAndHang.times(1)).unwrap();
    let (status, request) = charge(&shop, "pending", 1).await;
    assert_eq!(status, 202, "{request}");
    wait_for_async("the gateway to be given up", DEADLINE, || async {
        let charges = shop.admin_get("/charges").await["charges"].clone();
        charges[0]["lastError"].is_string().then_some(())
    })
    .await;
    shop.redis.command(&["FLUSHALL"]).unwrap();
    let (status, again) = charge(&shop, "pending", 1).await;
    assert_eq!(status, 202, "{again}");
    let (first, again) = (id_of(&request), id_of(&again));
    assert_ne!(first, again, "Redis knows nothing of the first one");
    assert_eq!(document(&shop, &first).await["status"], "PROCESSING");
    ask_again_now(&shop).await;
    let (first, again) = (wait_until_settled(&shop, &first).await, wait_until_settled(&shop, &again).await);
    assert_eq!((&first["status"], &first["result"]), (&"SUCCEEDED".into(), &again["result"]));
    assert_eq!((gateway.arrived().ledger.len(), balance(&shop).await), (2, (2 * AMOUNT).into()));
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_day_an_operator_finds_out() {
    let gateway = Sandbox::start(Options::default()).await.unwrap();
    let shop = open(&gateway).await;
    gateway.set_fault(Target::Gateway, Mode::Hang).unwrap();
    for (key, outcome) in [("one", "SUCCEEDED"), ("other", "FAILED")] {
        let (status, request) = charge(&shop, key, 1).await;
        assert_eq!(status, 202, "{request}");
        let id = id_of(&request);
        wait_for_async("the gateway to be given up", DEADLINE, || async {
            shop.admin_get("/charges").await["charges"][0]["lastError"].is_string().then_some(())
        })
        .await;
        sqlx::query("update charges set began_at = now() - interval '23 hours 1 minute' where status = 'PENDING'")
            .execute(&shop.pool)
            .await
            .unwrap();
        ask_again_now(&shop).await;
        let alert = wait_for_async("an alert", DEADLINE, || async {
            let alerts = shop.admin_get("/alerts?status=open").await["alerts"].clone();
            alerts.get(0).cloned()
        })
        .await;
        assert_eq!((&alert["kind"], &alert["details"]["chargeId"]), (&"CHARGE_UNSETTLED".into(), &(*id).into()));
        let given_up = shop.admin_get("/charges").await["charges"][0].clone();
        assert!(given_up["givenUpAt"].is_string() && given_up["nextAttemptAt"].is_null(), "{given_up}");

        let verdict = json!({"outcome": outcome, "note": "as the gateway's own list says"});
        let resolved = shop.as_admin(&format!("/charges/{id}/resolve"), &verdict).await;
        assert_eq!((&resolved["status"], &resolved["verdictBy"]), (&outcome.into(), &"admin".into()), "{resolved}");
        assert_eq!(document(&shop, &id).await["status"], outcome);
        assert_eq!(balance(&shop).await, AMOUNT, "{outcome}");
        assert_eq!(shop.admin_get("/alerts?status=open").await["alerts"], json!([]));
    }
    let (status, refused) = charge(&shop, "other", 1).await;
    assert_eq!((status, &refused["reason"]), (402, &"found_to_have_failed".into()), "{refused}");
    let log = shop.admin_get("/audit-log").await;
    assert_eq!(log["entries"][0]["action"], "charge.resolve", "{log}");
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_and_charges_of_one_shopper_never_deadlock() {
    const EACH: usize = 60;
    let gateway = Sandbox::start(Options::default()).await.unwrap();
    let shop = open(&gateway).await;
    shop.as_admin("/products", &json!({"productId": "P1", "name": "cup", "price": 1_000, "stock": 1_000_000})).await;
    shop.as_admin("/users", &json!({"userId": "user1", "balance": 1_000_000})).await;
    let order = json!({"userId": "user1", "items": [{"productId": "P1", "quantity": 1}]});
    let body = json!({"userId": "user1", "amount": 10});
    let orders = (0..EACH).map(|_| shop.decided(shop.request(Method::POST, "/api/orders").json(&order)));
    let charges = (0..EACH).map(|_| shop.decided(shop.request(Method::POST, "/api/users/balance/charge").json(&body)));
    let (ordered, charged) = tokio::join!(futures::future::join_all(orders), futures::future::join_all(charges));
    assert!(ordered.iter().all(|(status, _)| *status == 201), "{ordered:?}");
    assert!(charged.iter().all(|(status, _)| *status == 200), "{charged:?}");
    assert_eq!(balance(&shop).await, 1_000_000 - 1_000 * EACH + 10 * EACH);
    let deadlocks: i64 =
        sqlx::query_scalar("select deadlocks from pg_stat_database where datname = current_database()")
            .fetch_one(&shop.pool)
            .await
            .unwrap();
    assert_eq!(deadlocks, 0);
    check_audit(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_hangs_holds_up_no_order() {
    const CHARGES: usize = 80;
    let gateway = Sandbox::start(Options::default()).await.unwrap();
    let shop = open(&gateway).await;
    shop.as_admin("/products", &json!({"productId": "P1", "name": "cup", "price": 1_000, "stock": 1_000_000})).await;
    shop.as_admin("/users", &json!({"userId": "user1", "balance": 1_000_000})).await;
    gateway.set_fault(Target::Gateway, Mode::Hang).unwrap();
    let charges = (0..CHARGES).map(|number| {
        let body = json!({"userId": format!("payer{number}"), "amount": 10});
        answer(shop.request(Method::POST, "/api/users/balance/charge").json(&body).header("prefer", "wait=1"))
    });
    let charged = futures::future::join_all(charges).await;
    assert!(charged.iter().all(|(status, _)| *status == 202), "{charged:?}");
    let order = json!({"userId": "user1", "items": [{"productId": "P1", "quantity": 1}]});
    let (status, placed) = shop.decided(shop.request(Method::POST, "/api/orders").json(&order)).await;
    assert_eq!(status, 201, "{placed}");
    let id: RequestId = RequestId::parse(&id_of(&charged[0].1)).unwrap();
    assert_eq!(id.group(), Some(Group::CHARGE));
    // The lane is free for the shopper's next charge, though the first one is not settled.
    gateway.set_fault(Target::Gateway, Mode::Ok).unwrap();
    let body = json!({"userId": "payer0", "amount": 7});
    let (status, paid) = shop.decided(shop.request(Method::POST, "/api/users/balance/charge").json(&body)).await;
    assert_eq!((status, &paid["currentBalance"]), (200, &7.into()), "{paid}");
}
