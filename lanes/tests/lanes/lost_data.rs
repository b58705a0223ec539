//! Redis lost its data, or its tickets went back. Who waited is gone and unknown; nobody new gets an old ticket.

use std::fs;

use lanes::{Acked, Error, Release, Status, limits::SEED_MARGIN_TICKETS};
use stack::{Redis, RedisOptions, wait_for, wait_for_async};

use crate::support::*;

#[tokio::test]
async fn a_shop_that_never_decided_anything_starts_at_one() {
    let line = line();
    assert_eq!(accepted(&line.lanes, &["a"]).await.1, 1);
    // Another process does not start again, and raises nothing while the counter is above.
    let other = lanes_on(&line.redis.url(), "test", 1_000, &line.archive);
    line.archive.set(line.lanes.group(), 1, &[]);
    assert_eq!(accepted(&other, &["a"]).await.1, 2);
}

#[tokio::test]
async fn a_flushed_redis_is_seeded_by_the_next_append() {
    let line = line();
    let lanes = &line.lanes;
    let crowd = crowd(lanes, 10, |_| vec!["a".to_owned()]).await;
    let batch = claimed(lanes, 4).await;
    ack(lanes, &batch).await;
    line.archive.set(lanes.group(), 4, &["held"]);
    line.redis.command(&["FLUSHALL"]).unwrap();

    assert_eq!(lanes.status(crowd[9]).await.unwrap(), Status::Unknown);
    assert_eq!(lanes.ack(&batch, &done(&batch)).await.unwrap(), Acked::Stale);
    nobody_ready(lanes).await;
    // Tickets that were given but never decided are above the archive's: this process remembers them.
    let (held, ticket) = accepted(lanes, &["held"]).await;
    assert!(ticket > 10 + SEED_MARGIN_TICKETS, "{ticket}");
    assert_eq!(lanes.depth(0).await.unwrap().paused, ["held"]);
    nobody_ready(lanes).await;
    let (free, next) = accepted(lanes, &["a"]).await;
    assert_eq!(next, ticket + 1);
    assert_eq!(ids(&claimed(lanes, 10).await), [free]);
    assert!(lanes.resume(&lane("held")).await.unwrap());
    assert_eq!(ids(&claimed(lanes, 10).await), [held]);
}

#[tokio::test]
async fn a_redis_that_starts_without_its_data_is_seeded_at_the_connection() {
    let mut line = line();
    let lanes = line.lanes.clone();
    let (lost, _) = accepted(&lanes, &["a"]).await;
    line.archive.set(lanes.group(), 70_000, &["held"]);
    line.redis.kill9();
    fs::remove_dir_all(line.redis.dir().join("appendonlydir")).unwrap();
    line.redis.start_again().unwrap();
    let status = wait_for_async("a new connection", DEADLINE, async || lanes.status(lost).await.ok()).await;
    assert_eq!(status, Status::Unknown);
    // Before anybody appended, the pauses are back and the counter is above the archive.
    let depth = lanes.depth(0).await.unwrap();
    assert_eq!((depth.waiting, depth.paused), (0, vec!["held".to_owned()]));
    assert!(accepted(&lanes, &["a"]).await.1 > 70_000 + SEED_MARGIN_TICKETS);
}

#[tokio::test]
async fn without_the_archive_no_ticket_is_given() {
    let line = line();
    line.archive.set(line.lanes.group(), 10, &[]);
    line.archive.refuse(2);
    for _ in 0..2 {
        let error = line.lanes.append(&[command(&["a"])]).await.unwrap_err();
        assert!(is_of_the_archive(&error) && !error.may_have_happened(), "{error:?}");
    }
    assert_eq!(line.redis.command(&["DBSIZE"]).unwrap(), "0");
    assert!(accepted(&line.lanes, &["a"]).await.1 > 10);

    // The same in the middle of the day.
    line.redis.command(&["FLUSHALL"]).unwrap();
    line.archive.refuse(1);
    let error = line.lanes.append(&[command(&["a"])]).await.unwrap_err();
    assert!(is_of_the_archive(&error) && !error.may_have_happened(), "{error:?}");
    accepted(&line.lanes, &["a"]).await;
}

/// Whoever waited for the same attempt to connect is told the same, so the error is a shared one.
fn is_of_the_archive(error: &Error) -> bool {
    matches!(error, Error::Shared(shared) if matches!(**shared, Error::Archive { .. }))
}

/// What the old master did last is unknown to the new one: an ack, the end of a pause, and the beginning of another.
#[tokio::test]
async fn a_server_that_takes_over_learns_what_it_had_not_heard_of() {
    let line = line();
    let lanes = &line.lanes;
    let (decided, _) = accepted(lanes, &["a"]).await;
    let (waiting, _) = accepted(lanes, &["b"]).await;
    let (freed, _) = accepted(lanes, &["freed"]).await;
    let (held, _) = accepted(lanes, &["held"]).await;
    lanes.pause(&lane("freed")).await.unwrap();
    let batch = claimed(lanes, 1).await;
    assert_eq!(ids(&batch), [decided]);

    let port = line.redis.port().to_string();
    let extra = ["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"].map(str::to_owned).to_vec();
    let second = Redis::start(RedisOptions { extra, ..RedisOptions::default() }).unwrap();
    let count = || second.command(&["ZCARD", "{test}:line"]).is_ok_and(|count| count == "4");
    wait_for("the replica to have it all", DEADLINE, || count().then_some(()));
    second.command(&["REPLICAOF", "NO", "ONE"]).unwrap();

    ack(lanes, &batch).await;
    lanes.resume(&lane("freed")).await.unwrap();
    lanes.pause(&lane("held")).await.unwrap();
    line.archive.set(lanes.group(), 1, &["held"]);

    let lanes = lanes_on(&second.url(), "test", 1_000, &line.archive);
    let (newcomer, _) = accepted(&lanes, &["c"]).await;
    assert_eq!(lanes.depth(0).await.unwrap().paused, ["held"]);
    let mut unsure = Vec::new();
    for id in [decided, waiting, freed, held, newcomer] {
        match lanes.status(id).await.unwrap() {
            Status::Waiting { may_be_decided, .. } => unsure.push(may_be_decided),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(unsure, [true, true, true, true, false]);
    assert_eq!(ids(&claimed(&lanes, 100).await), [waiting, freed, newcomer]);
    assert!(lanes.release(batch.token, Release::Unchanged).await.unwrap());
    assert_eq!(ids(&claimed(&lanes, 100).await), [decided]);
    assert!(lanes.resume(&lane("held")).await.unwrap());
    assert_eq!(ids(&claimed(&lanes, 100).await), [held]);
}

/// A Redis whose clock was an hour ahead, and is put right while a batch is leased to a worker that died.
#[tokio::test]
async fn a_lease_of_a_clock_that_was_put_back_ends_and_blames_nobody() {
    let line = line();
    let (id, _) = accepted(&line.lanes, &["a"]).await;
    let batch = claimed(&line.lanes, 1).await;
    let end: u64 = line.redis.command(&["ZSCORE", "{test}:leases", &batch.token.to_string()]).unwrap().parse().unwrap();
    let hour_ms = 3_600_000;
    let ahead = (end + hour_ms).to_string();
    line.redis.command(&["ZADD", "{test}:leases", &ahead, &batch.token.to_string()]).unwrap();
    let claim = line.lanes.claim(at_most(10)).await.unwrap();
    assert_eq!(claim.expired, 1);
    let again = claim.batch.unwrap();
    assert_eq!((ids(&again), again.blamed, again.suspect), (vec![id], false, false));
}

/// One row: the counter is put back to this while five wait with the tickets 6 to 10.
#[tokio::test]
async fn newcomers_never_pass_whoever_waits_when_the_counter_is_put_back() {
    for put_back in ["0", "5", "7", "9"] {
        let line = line();
        let lanes = &line.lanes;
        let mut waiting = crowd(lanes, 10, |_| vec!["a".to_owned()]).await.split_off(5);
        ack(lanes, &claimed(lanes, 5).await).await;
        line.redis.command(&["HSET", "{test}:counter", "ticket", put_back]).unwrap();
        let (newcomer, ticket) = accepted(lanes, &["a"]).await;
        assert_eq!(ticket, 11, "after {put_back}");
        assert_eq!(position(lanes, newcomer).await, 5);
        waiting.push(newcomer);
        assert_eq!(ids(&claimed(lanes, 100).await), waiting);
    }
}

/// Redis' clock was put back by an hour: the times of acceptance go on all the same, and ages never go below zero.
#[tokio::test]
async fn times_of_acceptance_rise_when_the_clock_goes_back() {
    const HOUR_US: u64 = 3_600_000_000;
    let line = line();
    let lanes = &line.lanes;
    accepted(lanes, &["a"]).await;
    let aged = wait_for_async("an age", DEADLINE, async || lanes.depth(0).await.unwrap().oldest_age);
    assert!(aged.await.as_micros() < u128::from(HOUR_US));
    let older = async || lanes.depth(0).await.unwrap().oldest_age.filter(|age| age.as_millis() > 0);
    wait_for_async("the age to grow", DEADLINE, older).await;
    let first = claimed(lanes, 1).await;
    ack(lanes, &first).await;

    let ahead = first.entries[0].accepted_at_us.unsigned_abs() + HOUR_US;
    line.redis.command(&["HSET", "{test}:counter", "clock", &ahead.to_string()]).unwrap();
    crowd(lanes, 3, |_| vec!["a".to_owned()]).await;
    assert_eq!(lanes.depth(0).await.unwrap().oldest_age, Some(std::time::Duration::ZERO));
    let times: Vec<_> =
        claimed(lanes, 3).await.entries.iter().map(|entry| entry.accepted_at_us.unsigned_abs()).collect();
    assert_eq!(times, [ahead + 1, ahead + 2, ahead + 3]);
}

/// A restored backup: the line has tickets that were decided already. Everybody gets a new one, in the old order, also
/// whoever is in flight, suspected or paused.
#[tokio::test]
async fn new_tickets_keep_the_old_order() {
    const DECIDED: u64 = 1_000_000_000;
    let line = line();
    let lanes = &line.lanes;
    let (in_flight, _) = accepted(lanes, &["b"]).await;
    let flying = claimed(lanes, 10).await;
    let (suspect, _) = accepted(lanes, &["c"]).await;
    let failed = claimed(lanes, 10).await;
    assert!(lanes.release(failed.token, Release::Blamed).await.unwrap());
    let (held, _) = accepted(lanes, &["d"]).await;
    lanes.pause(&lane("d")).await.unwrap();
    let crowd = crowd(lanes, 20, |i| vec!["a".to_owned(), format!("lane{}", i % 3)]).await;

    line.archive.set(lanes.group(), DECIDED, &["d"]);
    assert_eq!(lanes.reticket(0).await.unwrap(), 23);
    let mut tickets = Vec::new();
    for id in [&[in_flight, suspect, held], &crowd[..]].concat() {
        match lanes.status(id).await.unwrap() {
            Status::Waiting { ticket, .. } => tickets.push(ticket),
            other => panic!("{other:?}"),
        }
    }
    assert!(tickets[0] > DECIDED && tickets.is_sorted_by(|a, b| a < b), "{tickets:?}");
    assert!(accepted(lanes, &["a"]).await.1 > *tickets.last().unwrap());

    assert!(lanes.release(flying.token, Release::Unchanged).await.unwrap());
    let suspects = claimed(lanes, 100).await;
    assert_eq!(ids(&suspects)[..1], [in_flight], "the oldest goes first");
    let with_the_crowd: Vec<_> = [&[in_flight], &crowd[..]].concat();
    assert_eq!(ids(&suspects)[..21], with_the_crowd);
    assert_eq!(ids(&claimed(lanes, 100).await), [suspect]);
    lanes.resume(&lane("d")).await.unwrap();
    assert_eq!(ids(&claimed(lanes, 100).await), [held]);
}
