//! The payment gateway when all is well, and when the client is at fault.

use sandbox::{Mode, Target};
use serde_json::json;

use crate::kit::{Kit, answer};

#[tokio::test]
async fn a_card_is_charged_and_the_intent_can_be_read() {
    let kit = Kit::start().await;
    let paid = kit.pay("charge1", 5_000, "pm_card_visa").await;
    assert_eq!((paid.status, paid.is_replayed), (200, false));
    let id = paid.body["id"].as_str().unwrap();
    assert!(id.starts_with("pi_"), "{id}");
    for (member, value) in [
        ("object", json!("payment_intent")),
        ("amount", json!(5_000)),
        ("amount_received", json!(5_000)),
        ("currency", json!("krw")),
        ("status", json!("succeeded")),
        ("payment_method", json!("pm_card_visa")),
        ("payment_method_types", json!(["card"])),
        ("metadata", json!({"chargeId": "charge1"})),
    ] {
        assert_eq!(paid.body[member], value, "{member}");
    }
    let get = kit.http.get(kit.url(&format!("/v1/payment_intents/{id}"))).bearer_auth("sk_test");
    assert_eq!(answer(get.send().await.unwrap()).await.body, paid.body);

    let arrived = kit.sandbox.arrived();
    let [taken] = &arrived.ledger[..] else { panic!("{arrived:?}") };
    assert_eq!((taken.intent.as_str(), taken.amount, taken.charge_id.as_deref()), (id, 5_000, Some("charge1")));
    let [payment] = &arrived.payments[..] else { panic!("{arrived:?}") };
    assert_eq!((payment.answer, payment.replayed, payment.amount), (Some(200), false, 5_000));
}

#[tokio::test]
async fn the_same_key_gets_the_same_answer_and_charges_once() {
    let kit = Kit::start().await;
    let first = kit.pay("charge1", 5_000, "pm_card_visa").await;
    for _ in 0..3 {
        let again = kit.pay("charge1", 5_000, "pm_card_visa").await;
        assert_eq!((again.status, again.is_replayed, &again.body), (200, true, &first.body));
    }
    assert_eq!(kit.taken("charge1"), 1);
    let replayed: Vec<_> = kit.sandbox.arrived().payments.iter().map(|payment| payment.replayed).collect();
    assert_eq!(replayed, [false, true, true, true]);

    // The key stands for the question, in whatever order it is written.
    let shuffled = "payment_method=pm_card_visa&confirm=true&currency=krw&metadata%5BchargeId%5D=charge1\
                    &payment_method_types%5B%5D=card&amount=5000";
    let again = kit.payment("charge1", 0, "").body(shuffled).send().await.unwrap();
    assert!(answer(again).await.is_replayed);

    // What arrived can be forgotten; that the key was used cannot.
    kit.sandbox.forget();
    assert!(kit.pay("charge1", 5_000, "pm_card_visa").await.is_replayed);
    assert_eq!(kit.taken("charge1"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_come_at_once_one_of_them_pays() {
    let kit = Kit::start().await;
    let sent: Vec<_> = (0..32).map(|_| tokio::spawn(kit.payment("charge1", 5_000, "pm_card_visa").send())).collect();
    let mut first = 0;
    for response in sent {
        let told = answer(response.await.unwrap().unwrap()).await;
        assert!([200, 409].contains(&told.status), "{told:?}");
        first += usize::from(told.status == 200 && !told.is_replayed);
    }
    assert_eq!((first, kit.taken("charge1")), (1, 1));
}

#[tokio::test]
async fn a_key_with_another_question_is_refused() {
    let kit = Kit::start().await;
    kit.pay("charge1", 5_000, "pm_card_visa").await;
    let other = kit.pay("charge1", 6_000, "pm_card_visa").await;
    assert_eq!((other.status, &other.body["error"]["type"]), (400, &json!("idempotency_error")));
    assert_eq!(kit.taken("charge1"), 1);
}

#[tokio::test]
async fn a_key_in_flight_is_refused_until_its_client_hangs_up() {
    let kit = Kit::start().await;
    kit.sandbox.set_fault(Target::Gateway, Mode::Hang.times(1)).unwrap();
    let first = tokio::spawn(kit.payment("charge1", 5_000, "pm_card_visa").send());
    kit.wait_until("the first to arrive", |arrived| arrived.payments.len() == 1).await;
    let second = kit.pay("charge1", 5_000, "pm_card_visa").await;
    assert_eq!((second.status, &second.body["error"]["code"]), (409, &json!("idempotency_key_in_use")));
    assert_eq!(second.body["error"]["type"], "invalid_request_error");

    first.abort();
    let free = || async { Some(kit.pay("charge1", 5_000, "pm_card_visa").await).filter(|paid| paid.status == 200) };
    let paid = stack::wait_for_async("the key to be free again", crate::kit::DEADLINE, free).await;
    assert!(!paid.is_replayed, "nothing had been done");
    assert_eq!(kit.taken("charge1"), 1);
}

#[tokio::test]
async fn cards_are_declined_as_they_are_named_and_declined_again() {
    let kit = Kit::start().await;
    let rows = [
        ("pm_card_chargeDeclined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
    ];
    for (method, reason) in rows {
        for is_replayed in [false, true] {
            let declined = kit.pay(method, 5_000, method).await;
            assert_eq!((declined.status, declined.is_replayed), (402, is_replayed));
            let error = &declined.body["error"];
            assert_eq!((&error["type"], &error["code"]), (&json!("card_error"), &json!("card_declined")));
            assert_eq!(error["decline_code"], reason);
            assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
        }
    }
    assert!(kit.sandbox.arrived().ledger.is_empty());
    assert_eq!(kit.pay("other", 5_000, "pm_card_mastercard").await.status, 200, "what is not named succeeds");
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_kept_under_no_key() {
    let kit = Kit::start().await;
    let unknown = kit.pay("charge1", 5_000, "card_visa").await;
    let error = &unknown.body["error"];
    assert_eq!((unknown.status, &error["code"]), (400, &json!("resource_missing")));
    assert_eq!((&error["type"], &error["param"]), (&json!("invalid_request_error"), &json!("payment_method")));
    for (form, parameter) in [
        ("currency=krw", "amount"),
        ("amount=0&currency=krw", "amount"),
        ("amount=1.5&currency=krw", "amount"),
        ("amount=1", "currency"),
        ("amount=1&currency=krw&confirm=true", "payment_method"),
    ] {
        let refused = answer(kit.payment("charge1", 0, "").body(form).send().await.unwrap()).await;
        assert_eq!((refused.status, &refused.body["error"]["param"]), (400, &json!(parameter)), "{form}");
    }
    let long = kit.pay(&"k".repeat(256), 1, "pm_card_visa").await;
    assert_eq!((long.status, &long.body["error"]["type"]), (400, &json!("idempotency_error")));
    assert_eq!(kit.pay("charge1", 5_000, "pm_card_visa").await.status, 200);
}

#[tokio::test]
async fn who_has_no_secret_is_not_let_in() {
    let kit = Kit::start().await;
    let post = kit.http.post(kit.url("/v1/payment_intents")).body("amount=1&currency=krw");
    assert_eq!(answer(post.send().await.unwrap()).await.status, 401);
    assert_eq!(kit.get("/v1/payment_intents/pi_1").await.status, 401);
    assert!(kit.sandbox.arrived().payments.is_empty());
    let unknown = kit.http.get(kit.url("/v1/payment_intents/pi_1")).bearer_auth("sk_test").send().await.unwrap();
    assert_eq!(answer(unknown).await.status, 404);
}

#[tokio::test]
async fn an_intent_that_is_not_confirmed_takes_nothing() {
    let kit = Kit::start().await;
    for (form, status) in [
        ("amount=1&currency=krw&payment_method=pm_card_chargeDeclined", "requires_confirmation"),
        ("amount=1&currency=KRW", "requires_payment_method"),
    ] {
        let made = answer(kit.payment(status, 0, "").body(form).send().await.unwrap()).await;
        assert_eq!((made.status, &made.body["status"]), (200, &json!(status)));
    }
    assert!(kit.sandbox.arrived().ledger.is_empty());
}
