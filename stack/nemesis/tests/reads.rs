//! What is asked of the doors while nothing comes from Postgres any more, and nobody says so.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use nemesis::house::{Between, House};
use nemesis::wire::Trouble;
use reqwest::Client;
use reqwest::header::RETRY_AFTER;
use serde_json::Value;
use stack::wait_for_async;

/// Whoever has no answer after this has none.
const ANSWER_MAX: Duration = Duration::from_secs(60);

const ADMIN_TOKEN: &str = "the-operators-token";

/// Everything that is read from Postgres alone, and a request that only Postgres could know of: its last byte names the first
/// group of coupons.
const READS: [&str; 16] = [
    "/api/products",
    "/api/products/P1",
    "/api/products/P1/stock",
    "/api/coupons",
    "/api/cart?userId=u",
    "/api/orders?userId=u",
    "/api/orders/01890a5d-ac96-774b-bcce-b302099a8057?userId=u",
    "/api/users/coupons?userId=u",
    "/api/users/balance?userId=u",
    "/api/users/balance/history?userId=u",
    "/api/requests/01890a5d-ac96-774b-bcce-b302099a8040",
    "/api/admin/products",
    "/api/admin/users",
    "/api/admin/alerts",
    "/api/admin/charges",
    "/api/admin/sync-failures",
];

/// Status, code, and whether the time is told after which to come again.
async fn answers(client: &Client, house: &House) -> Vec<(u16, String, bool)> {
    let asked = READS.map(async |path| {
        let answer = client.get(format!("{}{path}", house.doors[0])).bearer_auth(ADMIN_TOKEN).send().await.unwrap();
        let (status, is_told) = (answer.status().as_u16(), answer.headers().contains_key(RETRY_AFTER));
        let body: Value = answer.json().await.unwrap();
        (status, body["code"].as_str().unwrap_or_default().to_owned(), is_told)
    });
    join_all(asked).await
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_over_connections_that_are_dead_without_a_word_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open(Path::new(env!("CARGO_BIN_EXE_nemesis")), folder.path(), false, &[]).await.unwrap();
    let client = Client::builder().timeout(ANSWER_MAX).build().unwrap();
    let wire = &house.wires(Between::ProgramsAndPostgres)[0];
    let well = answers(&client, &house).await;
    assert!(well.iter().all(|(status, ..)| matches!(status, 200 | 404)), "{well:?}");
    for trouble in [Trouble::Silence, Trouble::Forget] {
        // As many connections as there are reads have just been used, so none of them is tried out before it is used again.
        assert_eq!(answers(&client, &house).await, well);
        let before = wire.bitten();
        wire.set(trouble);
        for (path, answer) in READS.iter().zip(answers(&client, &house).await) {
            assert_eq!(answer, (503, "R005".to_owned(), true), "{trouble:?} {path}");
        }
        assert!(wire.bitten() > before, "{trouble:?} was not felt");
        wire.set(Trouble::None);
        wait_for_async("reads to be answered again", ANSWER_MAX, async || {
            (answers(&client, &house).await == well).then_some(())
        })
        .await;
    }
}
