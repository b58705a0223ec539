//! The workers are away, the line grows, and they come back.

use futures::StreamExt;
use serde_json::{Value, json};
use stack::wait_for_async;

use crate::shop::{DEADLINE, Shop, answer};

/// Shoppers who claim while nobody works: many batches.
const CLAIMS: usize = 3_000;

/// Fewer than claims, so that the order of arrival shows.
const UNITS: i64 = 1_000;

/// Requests on their way at once.
const AT_ONCE: usize = 64;

/// Who got one, by ticket, as the record has it.
async fn winners(shop: &Shop) -> Vec<i64> {
    sqlx::query_scalar("select ticket from requests where status = 'SUCCEEDED' order by ticket")
        .fetch_all(&shop.pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_comes_back_drains_the_line_in_order() {
    let mut shop = Shop::open().await;
    shop.coupon("C1", UNITS).await;
    shop.workers.kill9();
    let claims = (0..CLAIMS).map(|number| answer(shop.claim("C1", &format!("user{number}"))));
    let accepted: Vec<(u16, Value)> = futures::stream::iter(claims).buffer_unordered(AT_ONCE).collect().await;
    let mut tickets: Vec<i64> = accepted.iter().map(|(_, body)| body["ticket"].as_i64().unwrap()).collect();
    assert!(accepted.iter().all(|(status, _)| *status == 202));
    tickets.sort_unstable();
    let depth = shop.admin_get("/lanes").await;
    assert_eq!(depth["groups"][0]["depth"], json!(CLAIMS), "{depth}");
    assert!(winners(&shop).await.is_empty(), "somebody worked");

    // Two come back at once.
    shop.workers = shop.launch_workers.spawn().unwrap();
    let second = shop.launch_workers.spawn().unwrap();
    wait_for_async("the line to be empty", DEADLINE, async || {
        let depth = shop.admin_get("/lanes").await;
        (depth["groups"][0]["depth"] == 0).then_some(())
    })
    .await;
    drop(second);
    let units = usize::try_from(UNITS).unwrap();
    assert_eq!(winners(&shop).await, tickets[..units], "the first came first");
    let report = audit::audit(&shop.pool).await.unwrap();
    assert!(report.ok, "{report:#?}");
}
