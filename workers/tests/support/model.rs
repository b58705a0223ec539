//! The reference: the rules, replayed one command at a time in ticket order, from the rows as they were at first. What
//! the workers made of any crash must be the same.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use common::{Accepted, Command, Coupon, Discount, Outcome, Product, RequestId, State, User, decide, needs};
use sqlx::PgPool;

/// The rows as they were before the first command.
#[derive(Debug, Clone, Default)]
pub struct Before {
    pub products: BTreeMap<String, (i64, i64)>,
    pub users: BTreeMap<String, i64>,
    pub coupons: BTreeMap<String, i64>,
}

impl Before {
    fn state(&self, commands: &[Command]) -> State {
        let mut state = State::absent(&needs(commands));
        for (id, (price, stock)) in &self.products {
            let row = Product { name: format!("Thing {id}"), price: *price, stock: *stock };
            state.insert_product(id.parse().expect("an id"), Some(row));
        }
        for (id, balance) in &self.users {
            state.insert_user(id.parse().expect("an id"), Some(User { balance: *balance }));
        }
        for (id, total) in &self.coupons {
            let row = Coupon {
                discount: Discount::Fixed { amount: 1000 },
                min_order_amount: 0,
                total_quantity: *total,
                issued_quantity: 0,
                starts_at: None,
                ends_at: None,
                valid_days: Some(30),
            };
            state.insert_coupon(id.parse().expect("an id"), Some(row));
        }
        state
    }
}

/// Compares the outcome of every accepted request with the model's. `accepted` holds each command by the id that the
/// line accepted; all of them must have exactly one outcome.
pub async fn check(pool: &PgPool, before: &Before, accepted: &BTreeMap<RequestId, Command>) {
    type Row = (uuid::Uuid, String, i64, String, String, serde_json::Value, DateTime<Utc>);
    type Decided = (RequestId, u64, Outcome, DateTime<Utc>);
    let mut by_group: BTreeMap<String, Vec<Decided>> = BTreeMap::new();
    let rows: Vec<Row> = sqlx::query_as(
        "select request_id, lane_group, ticket, kind, status, outcome, accepted_at from requests order by ticket",
    )
    .fetch_all(pool)
    .await
    .expect("the record");
    for (id, group, ticket, kind, status, outcome, accepted_at) in rows {
        let outcome = Outcome::from_json(kind.parse().expect("a kind"), &status, outcome).expect("an outcome");
        let request = (RequestId::from_uuid(id), ticket.unsigned_abs(), outcome, accepted_at);
        by_group.entry(group).or_default().push(request);
    }
    let decided: usize = by_group.values().map(Vec::len).sum();
    assert_eq!(decided, accepted.len(), "every accepted request has one outcome, and nobody else has one");

    let commands: Vec<Command> = accepted.values().cloned().collect();
    for (group, requests) in by_group {
        let mut state = before.state(&commands);
        for (id, ticket, outcome, accepted_at) in requests {
            let command = accepted.get(&id).unwrap_or_else(|| panic!("{id} was never accepted")).clone();
            let request = Accepted { request_id: id, ticket, accepted_at, command };
            let expected = decide(&mut state, &[request], Utc::now()).outcomes.remove(0);
            assert_eq!(outcome, expected, "{group}: ticket {ticket}, request {id}");
        }
    }
}
