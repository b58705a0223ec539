//! Redis in trouble that keeps its data: forgotten scripts, cut connections, time-outs, a full memory, a crash.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lanes::{Acked, Append, Appended, Appender, Error, LineLimits, Link, Release, Status};
use stack::{RedisOptions, wait_for_async};
use uuid::Uuid;

use crate::support::*;

#[tokio::test]
async fn scripts_survive_being_forgotten() {
    let line = line();
    let lanes = &line.lanes;
    let forget = || {
        line.redis.command(&["SCRIPT", "FLUSH"]).unwrap();
        assert!(line.redis.command(&["INFO", "memory"]).unwrap().contains("number_of_cached_scripts:0"));
    };
    forget();
    let (id, _) = accepted(lanes, &["a"]).await;
    forget();
    let batch = claimed(lanes, 10).await;
    forget();
    assert!(lanes.renew(batch.token, LONG_LEASE).await.unwrap());
    forget();
    assert!(lanes.release(batch.token, Release::Unchanged).await.unwrap());
    forget();
    lanes.pause(&lane("a")).await.unwrap();
    forget();
    assert!(lanes.resume(&lane("a")).await.unwrap());
    forget();
    assert_eq!(lanes.reticket(0).await.unwrap(), 1);
    let batch = claimed(lanes, 10).await;
    forget();
    ack(lanes, &batch).await;
    forget();
    assert!(matches!(lanes.status(id).await.unwrap(), Status::Decided(_)));
    forget();
    assert_drained(lanes).await;
}

async fn connection_id(line: &Line) -> u64 {
    let mut redis = line.lanes.link().routed("");
    redis::cmd("CLIENT").arg("ID").query_async(&mut redis).await.unwrap()
}

fn cut_connections(line: &Line) {
    let cut: u64 = line.redis.command(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap().parse().unwrap();
    assert!(cut > 0, "there was no connection to cut");
}

#[tokio::test]
async fn a_cut_connection_is_replaced_and_nobody_notices() {
    let line = line();
    let appender = Appender::start(line.lanes.clone());
    line.lanes.link().connect().await.unwrap();
    for expected in 1..=20 {
        let before = connection_id(&line).await;
        cut_connections(&line);
        let appended = appender.append(command(&["a"])).await.unwrap();
        assert!(matches!(appended, Appended::Accepted { ticket, .. } if ticket == expected), "{appended:?}");
        assert_ne!(connection_id(&line).await, before);
    }
    // The same Redis cannot have lost anything, so its tickets were seeded once.
    assert_eq!(line.archive.asked(), 1);
}

#[tokio::test]
async fn a_lease_outlives_the_connection_that_took_it() {
    let line = line();
    accepted(&line.lanes, &["a"]).await;
    let batch = claimed(&line.lanes, 10).await;
    cut_connections(&line);
    let acked =
        wait_for_async("the ack to get through", DEADLINE, async || line.lanes.ack(&batch, &done(&batch)).await.ok());
    assert_eq!(acked.await, Acked::Done);
    assert_drained(&line.lanes).await;
}

/// Redis executes a command whose answer nobody waits for any more. Sending it again finds it in line.
#[tokio::test]
async fn an_append_that_timed_out_is_accepted_once() {
    let mut line = line();
    accepted(&line.lanes, &["a"]).await;
    let late = command(&["a", "b"]);
    line.redis.sigstop();
    let error = line.lanes.append(std::slice::from_ref(&late)).await.unwrap_err();
    line.redis.sigcont();
    assert!(error.may_have_happened(), "{error:?}");
    wait_for_async("Redis to execute what it was sent", DEADLINE, async || {
        matches!(line.lanes.status(late.id).await, Ok(Status::Waiting { ticket: 2, .. })).then_some(())
    })
    .await;
    let again = line.lanes.append(std::slice::from_ref(&late)).await.unwrap();
    assert!(matches!(again[..], [Appended::Accepted { ticket: 2, position: 1, .. }]), "{again:?}");
    assert_eq!(line.lanes.depth(0).await.unwrap().waiting, 2);
}

static APPEND_FAILED: AtomicBool = AtomicBool::new(false);

fn watch_for_a_failed_append(script: &'static str, _: Duration, failed: bool) {
    if script == "append" && failed {
        APPEND_FAILED.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_appender_repeats_what_timed_out_by_itself() {
    let mut line = line();
    let limits = LineLimits::new(1_000);
    let group = line.lanes.group().clone();
    let archive = Arc::clone(&line.archive) as Arc<dyn lanes::Archive>;
    let servers = lanes::Servers::new(&line.redis.url(), None).unwrap();
    let link = Link::new(servers, vec![group.clone()], limits, archive, Some(watch_for_a_failed_append), 0);
    let lanes = lanes::Lanes::new(link, group, limits);
    accepted(&lanes, &["a"]).await;
    let appender = Appender::start(lanes.clone());
    line.redis.sigstop();
    let appending = tokio::spawn(async move { appender.append(command(&["a"])).await });
    wait_for_async("the first try to time out", DEADLINE, async || APPEND_FAILED.load(Ordering::SeqCst).then_some(()))
        .await;
    line.redis.sigcont();
    let appended = appending.await.unwrap().unwrap();
    assert!(matches!(appended, Appended::Accepted { ticket: 2, position: 1, .. }), "{appended:?}");
    assert_eq!(lanes.depth(0).await.unwrap().waiting, 2);
}

/// The first try may have been executed, the second did not get through: the caller must hear of the first.
#[tokio::test]
async fn an_append_that_may_stand_in_line_says_so() {
    let mut line = line();
    accepted(&line.lanes, &["a"]).await;
    line.redis.sigstop();
    let command = command(&["a"]);
    let error = Appender::start(line.lanes.clone()).append(command.clone()).await.unwrap_err();
    line.redis.sigcont();
    assert!(error.may_have_happened(), "{error:?}");
    wait_for_async("Redis to execute what it was sent", DEADLINE, async || {
        matches!(line.lanes.status(command.id).await, Ok(Status::Waiting { ticket: 2, .. })).then_some(())
    })
    .await;
}

/// A full Redis refuses newcomers whole, and drains.
#[tokio::test]
async fn a_full_memory_refuses_appends_and_drains() {
    let line = line();
    let lanes = &line.lanes;
    let crowd = crowd(lanes, 500, |i| vec![format!("lane{}", i % 7), "all".to_owned()]).await;
    line.redis.command(&["SCRIPT", "FLUSH"]).unwrap();
    line.redis.command(&["CONFIG", "SET", "maxmemory", "1mb"]).unwrap();
    assert!(line.redis.command(&["SET", "probe", "x"]).is_err(), "the memory is not full");

    let refused: Vec<Append> = (0..3).map(|_| keyed(&["a", "b"], "key", "body")).collect();
    let before = lanes.depth(10).await.unwrap();
    let error = lanes.append(&refused).await.unwrap_err();
    assert!(error.is_out_of_memory() && !error.may_have_happened(), "{error:?}");
    let error = Appender::start(lanes.clone()).append(refused[0].clone()).await.unwrap_err();
    assert!(error.is_out_of_memory(), "{error:?}");
    let after = lanes.depth(10).await.unwrap();
    assert_eq!((after.waiting, after.longest), (before.waiting, before.longest));
    assert_eq!(lanes.status(refused[0].id).await.unwrap(), Status::Unknown);

    lanes.pause(&lane("all")).await.unwrap();
    nobody_ready(lanes).await;
    lanes.resume(&lane("all")).await.unwrap();
    let batch = claimed(lanes, 100).await;
    assert!(lanes.renew(batch.token, LONG_LEASE).await.unwrap());
    assert!(lanes.release(batch.token, Release::Smaller).await.unwrap());
    let mut decided = Vec::new();
    while decided.len() < crowd.len() {
        let batch = claimed(lanes, 100).await;
        decided.extend(ids(&batch));
        ack(lanes, &batch).await;
    }
    assert_eq!(decided, crowd);
    assert_drained(lanes).await;
    assert!(line.redis.command(&["SET", "probe", "x"]).is_err(), "the memory was not full all the time");

    line.redis.command(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    let answers = lanes.append(&refused[..1]).await.unwrap();
    assert!(matches!(answers[..], [Appended::Accepted { ticket: 501, position: 0, .. }]), "{answers:?}");
}

/// Appends are answered after they are on disk: whoever was told "accepted" before the crash stands in line after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_redis_loses_nobody_who_was_accepted() {
    const BEFORE: usize = 300;
    const AFTER: usize = 100;
    let mut line = line();
    let appender = Appender::start(line.lanes.clone());
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (appender, tell) = (appender.clone(), tell.clone());
            tokio::spawn(async move {
                // Goes on through the crash until Redis refuses, and again after it.
                loop {
                    let command = command(&["a"]);
                    let answer = appender.append(command.clone()).await;
                    if tell.send((command.id, answer)).is_err() {
                        return;
                    }
                }
            })
        })
        .collect();
    drop(tell);

    let mut accepted = Vec::new();
    let mut faults = 0;
    let mut down = false;
    let mut up_again_at = usize::MAX;
    while accepted.len() < up_again_at.saturating_add(AFTER) {
        let (id, answer) = told.recv().await.unwrap();
        match answer {
            Ok(Appended::Accepted { ticket, .. }) => accepted.push((ticket, id)),
            Ok(other) => panic!("{other:?}"),
            Err(_) => faults += 1,
        }
        if accepted.len() >= BEFORE && !down {
            down = true;
            line.redis.kill9();
        }
        if faults > 0 && up_again_at == usize::MAX {
            line.redis.start_again().unwrap();
            up_again_at = accepted.len();
        }
    }
    drop(told);
    for caller in callers {
        caller.await.unwrap();
    }
    accepted.sort_unstable();
    let mut drained: Vec<(u64, Uuid)> = Vec::new();
    while let Some(batch) = line.lanes.claim(at_most(1_000)).await.unwrap().batch {
        drained.extend(batch.entries.iter().map(|entry| (entry.ticket, entry.id)));
        ack(&line.lanes, &batch).await;
    }
    assert!(drained.is_sorted_by(|a, b| a.0 < b.0), "out of order");
    assert!(accepted.iter().all(|one| drained.binary_search(one).is_ok()), "somebody was lost");
    assert_drained(&line.lanes).await;
}

#[tokio::test]
async fn a_restart_of_redis_keeps_leases_pauses_and_places() {
    let mut line = line();
    let lanes = line.lanes.clone();
    let first = crowd(&lanes, 3, |_| vec!["a".to_owned()]).await;
    let (held, _) = accepted(&lanes, &["b"]).await;
    lanes.pause(&lane("b")).await.unwrap();
    let batch = claimed(&lanes, 2).await;
    let before = lanes.depth(10).await.unwrap();
    line.redis.kill9();
    let error = lanes.status(held).await.unwrap_err();
    assert!(matches!(error, Error::Script { .. } | Error::Connect(_)), "{error:?}");
    line.redis.start_again().unwrap();
    let after = wait_for_async("a new connection", DEADLINE, async || lanes.depth(10).await.ok()).await;
    assert_eq!(lanes::Depth { oldest_age: before.oldest_age, ..after }, before);
    nobody_ready(&lanes).await;
    ack(&lanes, &batch).await;
    lanes.resume(&lane("b")).await.unwrap();
    let rest = claimed(&lanes, 10).await;
    assert_eq!(ids(&rest), [first[2], held]);
}

/// The master behind the address became a replica: the connection must be replaced, or nothing is ever written again.
#[tokio::test]
async fn a_connection_to_a_replica_is_given_up() {
    let line = line();
    accepted(&line.lanes, &["a"]).await;
    let before = connection_id(&line).await;
    line.redis.command(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
    let error = line.lanes.append(&[command(&["a"])]).await.unwrap_err();
    assert!(!error.may_have_happened(), "{error:?}");
    line.redis.command(&["REPLICAOF", "NO", "ONE"]).unwrap();
    accepted(&line.lanes, &["a"]).await;
    assert_ne!(connection_id(&line).await, before);
}

/// Small memory from the start, as an operator would set it.
#[tokio::test]
async fn a_small_redis_fills_and_recovers() {
    let options = RedisOptions { extra: vec!["--maxmemory".into(), "6mb".into()], ..RedisOptions::default() };
    let line = line_of(1_000_000, options);
    let lanes = &line.lanes;
    let mut waiting = 0;
    let error = loop {
        let append = Append { envelope: vec![b'x'; 16 * 1024], ..command(&["a"]) };
        match lanes.append(std::slice::from_ref(&append)).await {
            Ok(_) => waiting += 1,
            Err(error) => break error,
        }
    };
    assert!(error.is_out_of_memory() && waiting > 10, "{error:?} after {waiting}");
    let mut decided = 0;
    while decided < waiting {
        let batch = claimed(lanes, 10).await;
        decided += batch.entries.len();
        ack(lanes, &batch).await;
    }
    assert_eq!(decided, waiting);
    accepted(lanes, &["a"]).await;
}
