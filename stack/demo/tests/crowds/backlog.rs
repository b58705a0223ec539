//! The workers are away for an hour, the line grows, and they come back.

use std::collections::BTreeMap;

use futures::StreamExt;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use stack::wait_for_async;

use crate::shop::{ADMIN_TOKEN, DEADLINE, Shop, answer};

/// Shoppers who claim while nobody works: many batches.
const CLAIMS: usize = 3_000;

/// Fewer than claims, so that the order of arrival shows.
const UNITS: usize = 1_000;

/// Requests on their way at once.
const AT_ONCE: usize = 64;

/// For how long the workers are away, in seconds.
const AWAY_SECONDS: i64 = 3_600;

/// Who got one, by ticket, as the record has it.
async fn winners(shop: &Shop) -> Vec<i64> {
    sqlx::query_scalar("select ticket from requests where status = 'SUCCEEDED' order by ticket")
        .fetch_all(&shop.pool)
        .await
        .unwrap()
}

fn claim(shop: &Shop, number: usize) -> RequestBuilder {
    shop.claim("C1", &format!("user{number}")).header("idempotency-key", format!("key{number}"))
}

/// Starts Redis again, with this in its environment.
fn start_redis(shop: &mut Shop, env: &[(&'static str, String)]) {
    shop.redis.stop();
    shop.redis.set_env(env.iter().cloned());
    shop.redis.start_again().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_comes_back_after_an_hour_drains_the_line_in_order() {
    let an_hour_ago = match stack::clock_off_by(-AWAY_SECONDS) {
        Ok(variables) => variables,
        Err(why) => return stack::tell_skipped(format!("no clock can be wrong here: {why:#}")),
    };
    let mut shop = Shop::open().await;
    let open_for_long = json!({"couponId": "C1", "name": "c", "discountType": "FIXED", "discountValue": 1_000,
                               "totalQuantity": UNITS, "validDays": 30, "startsAt": "2020-01-01T00:00:00Z"});
    shop.as_admin("/coupons", &open_for_long).await;
    // Acceptances are dated, and whatever ends by itself is counted, by the clock of Redis. It began an hour ago: no acceptance is
    // dated before what the line knew already.
    shop.workers.kill9();
    shop.api.kill9();
    start_redis(&mut shop, &an_hour_ago);
    shop.redis.command(&["FLUSHALL"]).unwrap();
    shop.api = shop.launch.spawn().unwrap();
    shop.wait_until_ready().await;
    let claims = (0..CLAIMS).map(|number| answer(claim(&shop, number)));
    let accepted: Vec<(u16, Value)> = futures::stream::iter(claims).buffered(AT_ONCE).collect().await;
    assert!(accepted.iter().all(|(status, _)| *status == 202));
    let mut tickets: Vec<i64> = accepted.iter().map(|(_, body)| body["ticket"].as_i64().unwrap()).collect();
    tickets.sort_unstable();
    start_redis(&mut shop, &[]);
    let depth = wait_for_async("api to find Redis again", DEADLINE, async || {
        let (status, lanes) = answer(shop.request(Method::GET, "/api/admin/lanes").bearer_auth(ADMIN_TOKEN)).await;
        (status == 200).then_some(lanes)
    })
    .await;
    assert_eq!(depth["groups"][0]["depth"], json!(CLAIMS), "{depth}");
    assert!(winners(&shop).await.is_empty(), "somebody worked");
    // Nobody is forgotten meanwhile, and a repeat is no second claim.
    for number in [0, CLAIMS / 2, CLAIMS - 1] {
        let (status, again) = answer(claim(&shop, number)).await;
        assert_eq!((status, &again["requestId"]), (202, &accepted[number].1["requestId"]), "{again}");
    }

    // Two come back at once.
    shop.workers = shop.launch_workers.spawn().unwrap();
    let second = shop.launch_workers.spawn().unwrap();
    wait_for_async("the line to be empty", DEADLINE, async || {
        let depth = shop.admin_get("/lanes").await;
        (depth["groups"][0]["depth"] == 0).then_some(())
    })
    .await;
    drop(second);
    assert_eq!(winners(&shop).await, tickets[..UNITS], "the first came first");
    let waited = "select count(*) from requests where decided_at - accepted_at > interval '50 minutes'";
    let waited: i64 = sqlx::query_scalar(waited).fetch_one(&shop.pool).await.unwrap();
    assert_eq!(waited, CLAIMS as i64, "all had waited for an hour");
    // Everybody is told, and nobody was refused because it took so long.
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for (_, body) in &accepted {
        let id = body["requestId"].as_str().unwrap();
        let (status, outcome) = shop.get(&format!("/api/requests/{id}")).await;
        assert_eq!(status, 200, "{outcome}");
        let code = outcome["error"]["code"].as_str().unwrap_or_default();
        *told.entry(format!("{} {code}", outcome["status"].as_str().unwrap())).or_default() += 1;
    }
    let meant = [("FAILED C001".to_owned(), CLAIMS - UNITS), ("SUCCEEDED ".to_owned(), UNITS)];
    assert_eq!(told, BTreeMap::from(meant));
    let report = audit::audit(&shop.pool).await.unwrap();
    assert!(report.ok, "{report:#?}");
}
