//! Redis loses everything in the middle of a rush: what was decided stays, what was waiting is unknown and can be
//! repeated, and tickets do not go back.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use common::{Command, Receipt, RequestId};
use lanes::{Appended, IdempotencyKey, Status};
use support::{COUPONS, World, claim, order, to_append};

const SHOPPERS: usize = 2_000;

fn key_of(number: usize) -> IdempotencyKey {
    IdempotencyKey { digest: format!("{number:064x}"), body: "ab".repeat(32) }
}

fn command_of(number: usize) -> Command {
    if number.is_multiple_of(2) {
        claim(&format!("u{number}"), "C1")
    } else {
        order(&format!("u{}", number % 50), &[("P1", 1), (&format!("P{}", 2 + number % 3), 1)])
    }
}

/// Sends every command with its key. Gives the accepted ones by number, and the highest ticket of each group.
async fn submit_all(world: &World) -> (BTreeMap<usize, RequestId>, BTreeMap<String, u64>) {
    let (mut accepted, mut highest) = (BTreeMap::new(), BTreeMap::new());
    for first in (0..SHOPPERS).step_by(50) {
        for parity in [0, 1] {
            let numbers: Vec<usize> = (first..first + 50).filter(|number| number % 2 == parity).collect();
            let commands: Vec<Command> = numbers.iter().map(|number| command_of(*number)).collect();
            let group = commands[0].group(1);
            let (ids, appends): (Vec<_>, Vec<_>) = numbers
                .iter()
                .zip(&commands)
                .map(|(number, command)| to_append(command, Some(key_of(*number))))
                .unzip();
            let replies = world.lanes(group).append(&appends).await.expect("the line is there");
            for ((number, id), reply) in numbers.into_iter().zip(ids).zip(replies) {
                match reply {
                    Appended::Accepted { ticket, .. } => {
                        accepted.insert(number, id);
                        let top = highest.entry(group.to_string()).or_insert(0);
                        *top = ticket.max(*top);
                    }
                    Appended::Repeated(first) => drop(accepted.insert(number, RequestId::from_uuid(first))),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    (accepted, highest)
}

async fn decided(world: &World) -> BTreeMap<RequestId, String> {
    let rows: Vec<(uuid::Uuid, String)> =
        sqlx::query_as("select request_id, status || outcome::text || decided_at::text from requests")
            .fetch_all(&world.pool)
            .await
            .expect("the record");
    rows.into_iter().map(|(id, facts)| (RequestId::from_uuid(id), facts)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flushed_redis_costs_nobody_a_decision_and_doubles_nothing() {
    let world = World::new().await;
    world.coupon("C1", 100_000).await;
    world.products(&[("P1", 10, 100_000), ("P2", 10, 100_000), ("P3", 10, 100_000), ("P4", 10, 100_000)]).await;
    for user in 0..50 {
        world.user(&format!("u{user}"), 1_000_000).await;
    }
    let (first, highest_before) = submit_all(&world).await;
    // Small batches, so that much is still waiting when the first are decided.
    let worker = world.start_worker_with(&[("LANE_BATCH_MAX", "20"), ("LANE_CONCURRENCY", "1")]);
    stack::wait_for_async("some to be decided", support::DEADLINE, || async {
        (decided(&world).await.len() >= 200).then_some(())
    })
    .await;
    world.redis(&["FLUSHALL"]);
    let before = decided(&world).await;

    // The first append finds the counters gone and seeds them. Then everybody repeats with the same key.
    let (again, highest_after) = submit_all(&world).await;
    for (group, before) in &highest_before {
        assert!(highest_after[group] > *before, "tickets of {group} went back");
    }
    world.drained().await;
    drop(worker);

    let record = decided(&world).await;
    for (id, facts) in &before {
        assert_eq!(record.get(id), Some(facts), "what was decided stays known and unchanged");
    }
    let mut unknown = 0;
    for (number, id) in &first {
        let status = world.lanes(command_of(*number).group(1)).status(id.as_uuid()).await.expect("an answer");
        match record.get(id) {
            Some(_) => assert!(matches!(status, Status::Decided(_) | Status::Unknown), "{status:?}"),
            None => {
                unknown += 1;
                assert_eq!(status, Status::Unknown, "neither the line nor the record knows it");
            }
        }
    }
    assert!(unknown > 0, "the fault did not bite: everything was decided before");
    assert!(unknown < SHOPPERS, "the fault bit too early: nothing was decided before");

    // Each key has exactly one effect, whichever request made it; a repeat tells the first outcome.
    let effects: i64 = sqlx::query_scalar(
        "select (select count(*) from user_coupons) + (select count(*) from orders) +
                (select count(*) from requests where status = 'FAILED')",
    )
    .fetch_one(&world.pool)
    .await
    .expect("a count");
    assert_eq!(usize::try_from(effects), Ok(SHOPPERS), "one effect for each key");
    for (number, id) in &again {
        let lanes = world.lanes(command_of(*number).group(1));
        let Status::Decided(receipt) = lanes.status(id.as_uuid()).await.expect("an answer") else {
            panic!("{id} has no outcome");
        };
        Receipt::decode(&receipt).expect("a receipt");
    }
    let keys: BTreeSet<Vec<u8>> =
        sqlx::query_scalar("select idempotency_key from requests where idempotency_key is not null")
            .fetch_all(&world.pool)
            .await
            .expect("the keys")
            .into_iter()
            .collect();
    assert_eq!(keys.len(), SHOPPERS);
    assert_eq!(world.lanes(COUPONS).depth(1).await.expect("an answer").waiting, 0);
    world.check_promises().await;
}
