//! Each switch bites, and lets go.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use sandbox::{Mode, Target, Totals};
use serde_json::json;

use crate::kit::{Kit, answer};

const METHOD: &str = "pm_card_visa";

#[tokio::test]
async fn a_gateway_that_fails_takes_nothing_and_keeps_nothing() {
    let kit = Kit::start().await;
    kit.sandbox.set_fault(Target::Gateway, Mode::Fail { status: 503 }.times(2)).unwrap();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(kit.pay("charge1", 5_000, METHOD).await.status);
    }
    assert_eq!(statuses, [503, 503, 200]);
    assert_eq!(kit.taken("charge1"), 1);
    let answers: Vec<_> = kit.sandbox.arrived().payments.iter().map(|payment| payment.answer).collect();
    assert_eq!(answers, [Some(503), Some(503), Some(200)]);
}

#[tokio::test]
async fn money_that_was_taken_is_told_of_when_asked_again() {
    let modes = [Mode::TakeAndHang, Mode::TakeAndFail { status: 500 }, Mode::TakeAndCut];
    for (mode, key) in modes.into_iter().zip(["hang", "fail", "cut"]) {
        let kit = Kit::start().await;
        kit.sandbox.set_fault(Target::Gateway, mode.times(2)).unwrap();
        for _ in 0..2 {
            let first = tokio::spawn(kit.payment(key, 5_000, METHOD).send());
            kit.wait_until("the money to be taken", |arrived| arrived.ledger.len() == 1).await;
            match mode {
                Mode::TakeAndHang => {
                    let hangs = tokio::time::timeout(Duration::from_millis(200), first).await;
                    assert!(hangs.is_err(), "{hangs:?}");
                }
                Mode::TakeAndFail { .. } => assert_eq!(first.await.unwrap().unwrap().status(), 500),
                _ => {
                    let cut = first.await.unwrap().expect_err("no answer");
                    assert!(!cut.is_timeout() && !cut.is_connect(), "{cut:?}");
                }
            }
        }
        kit.wait_until("both to arrive", |arrived| arrived.payments.len() == 2).await;
        let again = kit.pay(key, 5_000, METHOD).await;
        assert_eq!((again.status, again.is_replayed, &again.body["status"]), (200, true, &json!("succeeded")));
        assert_eq!(kit.taken(key), 1, "{mode:?}");
    }
}

#[tokio::test]
async fn a_slow_gateway_pays_also_those_who_hang_up() {
    const SLOW_MS: u64 = 1_000;
    let kit = Kit::start().await;
    kit.sandbox.set_fault(Target::Gateway, Mode::Slow { ms: SLOW_MS }.times(2)).unwrap();
    let began = Instant::now();
    assert_eq!(kit.pay("patient", 5_000, METHOD).await.status, 200);
    assert!(began.elapsed() >= Duration::from_millis(SLOW_MS));

    let hasty = tokio::spawn(kit.payment("hasty", 5_000, METHOD).send());
    kit.wait_until("the hasty one to arrive", |arrived| arrived.payments.len() == 2).await;
    hasty.abort();
    assert_eq!(kit.pay("hasty", 5_000, METHOD).await.status, 409, "it is still being paid");
    kit.wait_until("the money to be taken", |arrived| arrived.ledger.len() == 2).await;
    assert!(kit.pay("hasty", 5_000, METHOD).await.is_replayed);
    assert_eq!(kit.taken("hasty"), 1);
}

#[tokio::test]
async fn receivers_fail_hang_and_take_their_time() {
    let kit = Kit::start().await;
    for (target, path) in [(Target::Orders, "/orders"), (Target::Alerts, "/alerts")] {
        let post = || kit.http.post(kit.url(path)).body("{}").send();
        kit.sandbox.set_fault(target, Mode::Fail { status: 418 }.times(1)).unwrap();
        assert_eq!(
            [post().await.unwrap().status(), post().await.unwrap().status()],
            [StatusCode::IM_A_TEAPOT, StatusCode::OK]
        );
        kit.sandbox.set_fault(target, Mode::Slow { ms: 300 }).unwrap();
        let began = Instant::now();
        assert_eq!(post().await.unwrap().status(), StatusCode::OK);
        assert!(began.elapsed() >= Duration::from_millis(300));
        kit.sandbox.set_fault(target, Mode::Hang).unwrap();
        let hung = tokio::spawn(kit.http.post(kit.url(path)).body("{}").send());
        let came = |totals: Totals| if target == Target::Orders { totals.orders } else { totals.alerts };
        kit.wait_until("it to arrive", |arrived| came(arrived.totals) == 4).await;
        assert!(!hung.is_finished());
        hung.abort();
        kit.sandbox.set_fault(target, Mode::Ok).unwrap();
        assert_eq!(post().await.unwrap().status(), StatusCode::OK);
    }
    let arrived = kit.sandbox.arrived();
    let expected = [Some(418), Some(200), Some(200), None, Some(200)];
    assert_eq!(arrived.orders.iter().map(|order| order.answer).collect::<Vec<_>>(), expected);
    assert_eq!(arrived.alerts.iter().map(|alert| alert.answer).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn switches_are_set_and_shown_over_http() {
    let kit = Kit::start().await;
    let put = async |target: &str, body: &'static str| {
        answer(kit.http.put(kit.url(&format!("/faults/{target}"))).body(body).send().await.unwrap()).await
    };
    let set = put("gateway", r#"{"mode":"fail","status":500,"times":3}"#).await;
    let expected = json!({"gateway": {"mode": "fail", "status": 500, "times": 3}, "orders": {"mode": "ok"},
                          "humans": {"mode": "ok"}, "mail": {"mode": "ok"}, "alerts": {"mode": "ok"}});
    assert_eq!((set.status, &set.body), (200, &expected));
    assert_eq!(kit.get("/faults").await.body, expected);
    assert_eq!(kit.sandbox.faults().gateway, Mode::Fail { status: 500 }.times(3));
    kit.pay("charge1", 1, METHOD).await;
    assert_eq!(kit.get("/faults").await.body["gateway"]["times"], 2, "how often it still bites");

    for (target, body, status) in [
        ("weather", r#"{"mode":"ok"}"#, 404),
        ("orders", r#"{"mode":"take_and_cut"}"#, 400),
        ("orders", r#"{"mode":"fail","status":99}"#, 400),
        ("orders", r#"{"mode":"hang","times":0}"#, 400),
        ("orders", r#"{"mode":"slow"}"#, 400),
        ("orders", "", 400),
    ] {
        let refused = put(target, body).await;
        assert_eq!(refused.status, status, "{target} {body}");
        assert!(refused.body["error"].is_string(), "it says why");
    }
    assert_eq!(kit.get("/faults").await.body["orders"]["mode"], "ok", "what is refused changes nothing");
}

#[tokio::test]
async fn answers_may_be_odd() {
    let kit = Kit::start().await;
    // One that follows no redirect, so that it is seen.
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for (target, path) in [(Target::Orders, "/orders"), (Target::Alerts, "/alerts"), (Target::Gateway, "")] {
        let post = || match target {
            Target::Gateway => kit.payment_of(&http, "odd", 5_000, METHOD).send(),
            _ => http.post(kit.url(path)).body("{}").send(),
        };
        let set = |mode| kit.sandbox.set_fault(target, mode).unwrap();
        set(Mode::Refuse);
        let refused = post().await.expect_err("no answer");
        assert!(!refused.is_timeout() && !refused.is_connect(), "{refused:?}");
        set(Mode::Redirect);
        let redirect = post().await.unwrap();
        assert_eq!(redirect.status(), StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(redirect.headers()["location"], "/elsewhere");
        set(Mode::Fail { status: 429 });
        let busy = post().await.unwrap();
        assert_eq!(busy.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(busy.headers()["retry-after"], "60");
        set(Mode::Flood);
        let mut flood = post().await.unwrap();
        assert_eq!(flood.status(), StatusCode::OK);
        assert!(!flood.chunk().await.unwrap().unwrap().is_empty());
        drop(flood);
        set(Mode::Drip);
        let mut dripping = post().await.unwrap();
        assert_eq!(dripping.status(), StatusCode::OK);
        assert_eq!(dripping.chunk().await.unwrap().unwrap().len(), 1);
        set(Mode::Ok);
        assert_eq!(post().await.unwrap().status(), StatusCode::OK);
    }
    let totals = kit.sandbox.arrived().totals;
    assert_eq!((totals.followed, kit.taken("odd")), (0, 1));
    assert!((1..100_000_000).contains(&totals.flooded), "{totals:?}");

    // Whoever does what a careful client does not is noted.
    kit.sandbox.set_fault(Target::Orders, Mode::Redirect.times(1)).unwrap();
    assert_eq!(kit.http.post(kit.url("/orders")).body("{}").send().await.unwrap().status(), StatusCode::OK);
    kit.sandbox.set_fault(Target::Orders, Mode::Flood.times(1)).unwrap();
    let flood = kit.http.post(kit.url("/orders")).body("{}").send().await.unwrap();
    assert_eq!(flood.bytes().await.unwrap().len(), 100_000_000);
    let totals = kit.sandbox.arrived().totals;
    assert_eq!((totals.followed, totals.flooded), (1, 100_000_000));
}
