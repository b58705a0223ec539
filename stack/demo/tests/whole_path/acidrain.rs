//! Attacks by doing many things at once, as in Warszawski and Bailis, "ACIDRain: Concurrency-Related Attacks on Database-Backed
//! Web Applications" (SIGMOD 2017): its 22 vulnerabilities in 12 shops break what is promised of vouchers, of the inventory or
//! of the cart. Each kind is attacked here in several ways, and so is the balance. Of every race it is asserted that its
//! requests were under way together, and afterwards the rows in Postgres are counted.

mod balance;
mod cart;
mod inventory;
mod voucher;

use std::sync::Arc;
use std::time::Instant;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use stack::wait_for_async;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::shop::{DEADLINE, Shop, answer};

/// Requests of one race, each on a connection of its own.
const RACERS: usize = 32;

/// How a race is run: as fast as it goes, and held back until all stand in line, which puts them into one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Free,
    /// The group of lanes that is held.
    Held(&'static str),
}

impl Start {
    /// Both ways for the commands of this group.
    fn both(group: &'static str) -> [Start; 2] {
        [Start::Free, Start::Held(group)]
    }

    /// A name for what is raced for.
    fn id(self, prefix: &str) -> String {
        format!("{prefix}-{}", if self == Start::Free { "free" } else { "held" })
    }
}

/// Sends all at once and gives the answers in the order of the requests.
async fn race(shop: &Shop, start: Start, requests: Vec<RequestBuilder>) -> Vec<(u16, Value)> {
    let (count, barrier) = (requests.len(), Arc::new(Barrier::new(requests.len())));
    if let Start::Held(group) = start {
        shop.as_admin(&format!("/lanes/{group}:*/pause"), &json!({})).await;
    }
    let mut running = JoinSet::new();
    for (number, request) in requests.into_iter().enumerate() {
        let barrier = Arc::clone(&barrier);
        running.spawn(async move {
            barrier.wait().await;
            let began = Instant::now();
            let answer = answer(request.header("prefer", "wait=30")).await;
            (number, began, Instant::now(), answer)
        });
    }
    if let Start::Held(group) = start {
        wait_for_async("all to stand in line", DEADLINE, || async {
            let lanes = shop.admin_get("/lanes").await;
            let groups = lanes["groups"].as_array().unwrap().clone();
            groups.iter().any(|it| it["group"] == group && it["depth"] == count).then_some(())
        })
        .await;
        shop.as_admin(&format!("/lanes/{group}:*/resume"), &json!({})).await;
    }
    let mut ended = running.join_all().await;
    let at_once = |at: Instant| ended.iter().filter(|(_, began, end, _)| *began <= at && at < *end).count();
    let most = ended.iter().map(|(_, began, ..)| at_once(*began)).max().unwrap();
    assert!(most * 2 >= count, "only {most} of {count} requests were under way together");
    ended.sort_by_key(|(number, ..)| *number);
    ended.into_iter().map(|(.., answer)| answer).collect()
}

/// How many answers have this status and this code; an empty code: none.
fn count(answers: &[(u16, Value)], status: u16, code: &str) -> usize {
    let is_meant = |(of, body): &&(u16, Value)| *of == status && body["code"].as_str().unwrap_or_default() == code;
    answers.iter().filter(is_meant).count()
}

/// Asserts how many succeeded, and that all others were refused for this reason.
fn check(answers: &[(u16, Value)], status: u16, succeeded: usize, refused: (u16, &str)) {
    let meant = (succeeded, answers.len() - succeeded);
    assert_eq!((count(answers, status, ""), count(answers, refused.0, refused.1)), meant, "{answers:?}");
}

/// A number that Postgres finds.
async fn rows(shop: &Shop, sql: &'static str, id: &str) -> i64 {
    sqlx::query_scalar(sql).bind(id).fetch_one(&shop.pool).await.unwrap()
}

async fn product(shop: &Shop, id: &str, price: i64, stock: i64) {
    shop.as_admin("/products", &json!({"productId": id, "name": id, "price": price, "stock": stock})).await;
}

async fn user(shop: &Shop, id: &str, balance: i64) {
    shop.as_admin("/users", &json!({"userId": id, "balance": balance})).await;
}

/// An order of these products and quantities.
fn order(shop: &Shop, user: &str, items: &[(&str, i64)]) -> RequestBuilder {
    order_with(shop, user, items, json!({}))
}

/// An order that says more.
fn order_with(shop: &Shop, user: &str, items: &[(&str, i64)], more: Value) -> RequestBuilder {
    let items: Vec<_> = items.iter().map(|(id, quantity)| json!({"productId": id, "quantity": quantity})).collect();
    let mut body = json!({"userId": user, "items": items});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    shop.request(Method::POST, "/api/orders").json(&body)
}

/// What an operator sends in the middle of a race.
fn operator(shop: &Shop, method: Method, path: &str, body: &Value) -> RequestBuilder {
    shop.request(method, &format!("/api/admin{path}")).bearer_auth(crate::shop::ADMIN_TOKEN).json(body)
}

async fn check_audit(shop: &Shop) {
    let report = shop.admin_get("/audit").await;
    assert_eq!(report["ok"], true, "{report:#}");
}
