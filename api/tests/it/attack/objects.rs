//! Somebody else's objects, by their ids and by their owner's name.

use std::collections::BTreeSet;

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sqlx::Executor;

use super::{Endpoint, endpoints};
use crate::auth::{token, with_tokens};
use crate::kit::{Shop, send};
use crate::worker::{Worker, archive, yes};

const ORDER: &str = "019a3c5e-7f00-7abc-8def-000000001180";
const CHARGE: &str = "019a3c5e-7f00-7abc-8def-0000000011c0";

/// An id of the right form that nobody was ever given.
const NOBODYS: &str = "019a3c5e-7f00-7abc-8def-0000000099c0";

/// An order of the shopper that good tokens name.
const ROWS: &str = "
    insert into products (product_id, name, price, stock, stocked) values ('P1', 'p', 100, 9, 9);
    insert into orders (order_id, user_id, total_amount, discount_amount, final_amount, created_at)
    values ('019a3c5e-7f00-7abc-8def-000000001180', 'user1', 500, 0, 500, now());
    insert into order_lines (order_id, line, product_id, quantity, unit_price)
    values ('019a3c5e-7f00-7abc-8def-000000001180', 1, 'P1', 5, 100);
    insert into order_syncs (order_id) values ('019a3c5e-7f00-7abc-8def-000000001180')";

/// What everybody may name: it belongs to the shop, or is a part of a page.
const FOR_EVERYBODY: [&str; 4] = ["productId", "couponId", "file", "folder"];

/// Requests of user1 in each state in which one can be: waiting, decided, and pending with the gateway.
async fn requests(shop: &Shop) -> Vec<String> {
    let claim = async |coupon: &str| {
        let claim = shop.post(&format!("/api/coupons/{coupon}/issue"), &json!({})).bearer_auth(token(json!({})));
        send(claim).await.body["requestId"].as_str().unwrap().to_owned()
    };
    let decided = claim("C1").await;
    archive(&shop.pool, &Worker::of(shop, "coupon").decide(yes).await).await;
    crate::charges::begin(&shop.pool, CHARGE, "user1").await;
    vec![claim("C2").await, decided, CHARGE.to_owned()]
}

#[tokio::test]
async fn an_object_that_is_named_by_its_id_is_unknown_to_others() {
    let (shop, mine) = with_tokens().await;
    shop.pool.execute(ROWS).await.unwrap();
    let requests = requests(&shop).await;
    let others = token(json!({"sub": "user2"}));
    let mut attacked = BTreeSet::new();
    for endpoint in endpoints(&shop).await.iter().filter(|endpoint| !endpoint.is_for_operators()) {
        for parameter in endpoint.in_path.iter().filter(|name| !FOR_EVERYBODY.contains(&name.as_str())) {
            let ids: &[String] = match parameter.as_str() {
                "orderId" => &[ORDER.to_owned()],
                "requestId" => &requests,
                new => panic!("say to whom {new} of {} belongs, and attack it here", endpoint.name()),
            };
            for id in ids {
                attack(&shop, endpoint, &endpoint.pattern.replace(&format!("{{{parameter}}}"), id), &mine, &others)
                    .await;
            }
            attacked.insert(parameter.clone());
        }
    }
    assert_eq!(attacked, BTreeSet::from(["orderId".to_owned(), "requestId".to_owned()]));
}

async fn attack(shop: &Shop, endpoint: &Endpoint, address: &str, mine: &str, others: &str) {
    let call = || endpoint.call(shop, address, &endpoint.body);
    // A stream of events would go on for as long as the request waits: what it begins with is enough.
    let status = async |request: RequestBuilder| request.send().await.unwrap().status();
    assert_eq!(status(call().bearer_auth(mine)).await, 200, "it is there: {address}");
    let foreign = send(call().bearer_auth(others)).await;
    assert_eq!(foreign.status, 404, "{address}: {foreign:?}");
    assert_eq!(send(call()).await.problem(), (401, "A001"), "{address}");
    // The same as for what was never there, so that ids cannot be tried out.
    let (before, after) = endpoint.pattern.split_once('{').unwrap();
    let absent = format!("{before}{NOBODYS}{}", after.split_once('}').unwrap().1);
    let absent = send(endpoint.call(shop, &absent, &endpoint.body).bearer_auth(others)).await;
    let told = |body: &Value| ["code", "title", "message"].map(|member| body[member].clone());
    assert_eq!(told(&foreign.body), told(&absent.body), "{address}");
}

#[tokio::test]
async fn nobody_acts_in_somebody_elses_name() {
    let (shop, _) = with_tokens().await;
    shop.pool.execute(ROWS).await.unwrap();
    let others = token(json!({"sub": "user2"}));
    let mut attacked = 0;
    for endpoint in endpoints(&shop).await.iter().filter(|it| it.is_secured && !it.is_for_operators()) {
        let in_body = endpoint.body.get("userId").is_some();
        let in_query = endpoint.in_query.iter().any(|name| name == "userId");
        let named = |user: &str| {
            let mut body = endpoint.body.clone();
            let mut address = endpoint.address.clone();
            if in_body {
                body["userId"] = user.into();
            }
            if in_query {
                address = format!("{address}?userId={user}");
            }
            endpoint.call(&shop, &address, &body).bearer_auth(&others).header("prefer", "wait=1")
        };
        if in_body || in_query {
            assert_eq!(send(named("user1")).await.problem(), (403, "A002"), "{}", endpoint.name());
            let own = send(named("user2")).await;
            assert!(![401, 403].contains(&own.status), "{}: {own:?}", endpoint.name());
            attacked += 1;
        }
    }
    assert!(attacked >= 12, "only {attacked} endpoints name a shopper");
    let changed = "select count(*) from cart_items where user_id = 'user1'";
    let changed: i64 = sqlx::query_scalar(changed).fetch_one(&shop.pool).await.unwrap();
    assert_eq!(changed, 0, "nothing was done in the name of user1");
}
