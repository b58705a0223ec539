//! PgBouncer is gone for a while, in the middle of a rush: whoever was accepted is decided, once.

use stack::wait_for_async;

use crate::Pooled;
use crate::load::{Load, Wish, check_rows, check_tickets, lost_of};
use crate::shop::DEADLINE;

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_pooler_delays_and_loses_nothing() {
    let Some(mut pooled) = Pooled::open(&[]).await else { return };
    pooled.shop.coupon("C1", 100_000).await;
    let load = Load::start(&pooled.shop, "shopper", &[Wish::Claim("C1")]);
    load.more(200).await;
    pooled.pgbouncer.kill9();
    let ready = format!("{}/readyz", pooled.shop.operators);
    wait_for_async("api to miss Postgres", DEADLINE, async || {
        let answer = pooled.shop.http.get(&ready).send().await.ok()?;
        (answer.status() == 503).then_some(())
    })
    .await;
    // The line is in Redis, and needs nobody else.
    load.more(100).await;
    pooled.pgbouncer.start_again().unwrap();
    pooled.shop.wait_until_ready().await;
    load.more(100).await;
    let all = load.stop().await;
    let lost = lost_of(&pooled.shop, &all).await;
    assert!(lost.is_empty(), "{lost:?}");
    check_tickets(&all, 1);
    check_rows(&pooled.shop, &all).await;
    pooled.check_sessions_change_hands().await;
}
