//! Quotas: so many commands of one name are accepted, whoever sends them and however often.

use std::time::Duration;

use futures::future::join_all;
use lanes::{Append, Appended, Gate, Quota, Status};
use stack::{RedisOptions, wait_for_async};

use crate::support::*;

const KEPT: Duration = Duration::from_secs(600);

fn quota(name: &str, max: u64) -> Option<Quota> {
    Some(Quota { name: name.parse().unwrap(), max, kept: KEPT })
}

/// A command that is counted under a name.
fn counted(name: &str, max: u64) -> Append {
    Append { quota: quota(name, max), ..command(&["a"]) }
}

fn is_accepted(answer: &Appended) -> bool {
    matches!(answer, Appended::Accepted { .. })
}

#[tokio::test]
async fn so_many_of_one_name_are_accepted() {
    let line = line();
    let lanes = &line.lanes;
    // In one call, in several, and with others between them.
    let commands = [counted("x", 2), command(&["a"]), counted("y", 2), counted("x", 2), counted("x", 2)];
    let answers = lanes.append(&commands).await.unwrap();
    assert!(answers[..4].iter().all(is_accepted), "{answers:?}");
    assert_eq!(answers[4], Appended::UsedUp);
    assert_eq!(lanes.status(commands[4].id).await.unwrap(), Status::Unknown);
    let answers = lanes.append(&[counted("x", 2), counted("y", 2), counted("y", 2), counted("x", 3)]).await.unwrap();
    assert_eq!([&answers[0], &answers[2]], [&Appended::UsedUp; 2]);
    assert!(is_accepted(&answers[1]) && is_accepted(&answers[3]), "a larger quota lets more in: {answers:?}");
    let ttl_ms: u64 = line.redis.command(&["PTTL", "{test}:quota:x"]).unwrap().parse().expect("it ends by itself");
    assert!(Duration::from_millis(ttl_ms) <= KEPT, "it is kept for {ttl_ms} ms");
    // It counts what was accepted, and not what waits.
    ack(lanes, &claimed(lanes, 10).await).await;
    assert_eq!(lanes.append(&[counted("x", 3)]).await.unwrap(), [Appended::UsedUp]);
}

#[tokio::test]
async fn only_what_stands_in_line_anew_counts() {
    let line = line_of(4, RedisOptions::default());
    let lanes = &line.lanes;
    let first = Append { quota: quota("x", 1), ..keyed(&["a"], "key", "body") };
    let again = Append { quota: quota("x", 1), ..keyed(&["a"], "key", "body") };
    let reused = Append { quota: quota("x", 1), ..keyed(&["a"], "key", "other") };
    let answers = lanes.append(&[first.clone(), first.clone(), again.clone(), reused]).await.unwrap();
    assert!(is_accepted(&answers[0]) && answers[1] == answers[0], "{answers:?}");
    assert_eq!(answers[2..], [Appended::Repeated(first.id), Appended::KeyReused(first.id)]);
    assert_eq!(lanes.append(&[again]).await.unwrap(), [Appended::Repeated(first.id)], "also when it is used up");

    // Who is refused for another reason keeps the quota; a lane has room for two here.
    accepted(lanes, &["a"]).await;
    lanes.raise_gate(&Gate { lane: lane("b"), used: 1, limit: 1 }).await.unwrap();
    let gated = Append { gate: Some(lane("b")), quota: quota("y", 1), ..command(&["b"]) };
    let answers = lanes.append(&[counted("y", 1), gated]).await.unwrap();
    assert_eq!(answers, [Appended::LaneFull, Appended::GateClosed]);
    let free = Append { quota: quota("y", 1), ..command(&["b"]) };
    assert!(is_accepted(&lanes.append(&[free]).await.unwrap()[0]));
}

#[tokio::test]
async fn with_a_quota_of_nothing_one_may_only_look() {
    let line = line();
    let lanes = &line.lanes;
    let looks = |digest: &str| Append { quota: quota("look", 0), ..keyed(&["a"], digest, "body") };
    let first = keyed(&["a"], "key", "body");
    assert_eq!(lanes.append(&[looks("key")]).await.unwrap(), [Appended::UsedUp]);
    lanes.append(std::slice::from_ref(&first)).await.unwrap();
    assert_eq!(lanes.append(&[looks("key")]).await.unwrap(), [Appended::Repeated(first.id)]);
    assert_eq!(line.redis.command(&["EXISTS", "{test}:quota:look"]).unwrap(), "0");
}

/// Several processes, all at once: never one too many.
#[tokio::test]
async fn processes_count_together_also_after_a_restart() {
    const CALLS: usize = 40;
    let mut line = line();
    let others: Vec<_> = (0..3).map(|_| lanes_on(&line.redis.url(), "test", 1_000, &line.archive)).collect();
    let calls = (0..CALLS).map(|number| {
        let lanes = &others[number % others.len()];
        async move { lanes.append(&[counted("x", 7)]).await.unwrap().remove(0) }
    });
    let answers = join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| is_accepted(answer)).count(), 7);
    line.redis.kill9();
    line.redis.start_again().unwrap();
    let after = wait_for_async("an answer of the new Redis", DEADLINE, || async {
        line.lanes.append(&[counted("x", 7)]).await.ok()
    })
    .await;
    assert_eq!(after, [Appended::UsedUp]);
}
