//! The verifier of proofs of being human, as its clients see it.

use sandbox::{Mode, Target};
use serde_json::json;

use crate::kit::{Answer, Kit, answer};

async fn verify(kit: &Kit, form: &'static str) -> Answer {
    answer(kit.http.post(kit.url("/siteverify")).body(form).send().await.unwrap()).await
}

#[tokio::test]
async fn a_good_token_is_good_once() {
    let kit = Kit::start().await;
    let good = verify(&kit, "secret=s&response=human+1&remoteip=192.0.2.7").await;
    assert_eq!((good.status, &good.body["success"]), (200, &json!(true)), "{good:?}");
    let rows = [
        ("secret=s&response=human+1", "timeout-or-duplicate"),
        ("secret=s&response=robot", "invalid-input-response"),
        ("secret=s", "missing-input-response"),
        ("response=human2", "missing-input-secret"),
        ("", "missing-input-secret"),
        ("%ff=%00&&&=", "missing-input-secret"),
    ];
    for (form, code) in rows {
        let refused = verify(&kit, form).await;
        let told = (refused.status, &refused.body["success"], &refused.body["error-codes"]);
        assert_eq!(told, (200, &json!(false), &json!([code])), "{form}");
    }
    let unused = verify(&kit, "secret=s&response=human2").await;
    assert_eq!(unused.body["success"], true, "who brought no secret has used up nothing");
    let arrived = kit.get("/arrived?limit=100").await.body;
    let first = &arrived["humans"][0];
    assert_eq!([&first["token"], &first["remoteIp"]], [&json!("human 1"), &json!("192.0.2.7")], "{arrived}");
    assert_eq!(
        (&first["success"], &first["answer"], &arrived["totals"]["humans"]),
        (&json!(true), &json!(200), &json!(8))
    );
}

#[tokio::test]
async fn it_fails_as_it_is_told() {
    let kit = Kit::start().await;
    kit.sandbox.set_fault(Target::Humans, Mode::Fail { status: 503 }.times(1)).unwrap();
    assert_eq!(verify(&kit, "secret=s&response=human").await.status, 503);
    assert_eq!(verify(&kit, "secret=s&response=human").await.body["success"], true, "nothing was used up");
    assert!(kit.sandbox.set_fault(Target::Humans, Mode::TakeAndHang).is_err(), "there is no money here");
    let came = kit.sandbox.arrived().humans;
    assert_eq!(
        came.iter().map(|check| (check.answer, check.success)).collect::<Vec<_>>(),
        [(Some(503), None), (Some(200), Some(true))]
    );
}
