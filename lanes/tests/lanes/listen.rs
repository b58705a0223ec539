//! Messages: every outcome is told once per batch, and after a cut the listener knows that it may have missed some.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use lanes::{Decided, Status, limits::LISTEN_SILENCE_MAX, listen_decided, listen_wake};
use stack::wait_for_async;
use uuid::Uuid;

use crate::support::*;

type Told = Arc<Mutex<Vec<Vec<(Uuid, Vec<u8>)>>>>;

async fn until(what: &str, reached: impl Fn() -> bool) {
    wait_for_async(what, DEADLINE, || std::future::ready(reached().then_some(()))).await;
}

#[tokio::test]
async fn every_batch_is_told_once_with_all_its_outcomes() {
    let line = line();
    let lanes = line.lanes.clone();
    let (told, connected): (Told, Arc<AtomicU64>) = Default::default();
    let listening = {
        let (lanes, told, connected) = (lanes.clone(), Arc::clone(&told), Arc::clone(&connected));
        tokio::spawn(async move {
            let note = |decisions: Vec<lanes::Decision<'_>>| {
                let decisions = decisions.into_iter().map(|decision| (decision.id, decision.outcome.to_vec()));
                told.lock().unwrap().push(decisions.collect());
            };
            let count = || _ = connected.fetch_add(1, Ordering::SeqCst);
            listen_decided(lanes.link(), count, note).await;
        })
    };
    until("the listener to connect", || connected.load(Ordering::SeqCst) == 1).await;
    let crowd = crowd(&lanes, 5, |_| vec!["a".to_owned()]).await;
    let outcomes = [&b"first"[..], b"", b"with\na line 3\n", &[0, 255], b"last"];
    let mut expected = Vec::new();
    for range in [0..3, 3..5] {
        let batch = claimed(&lanes, range.len()).await;
        let outcomes: Vec<_> = outcomes[range.clone()].iter().map(|outcome| outcome.to_vec()).collect();
        expected.push(crowd[range].iter().copied().zip(outcomes.clone()).collect::<Vec<_>>());
        lanes.ack(&batch, &Decided { outcomes, gates: vec![] }).await.unwrap();
    }
    until("both batches to be told", || told.lock().unwrap().len() == 2).await;
    assert_eq!(*told.lock().unwrap(), expected);

    let cut = line.redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).unwrap();
    assert_eq!(cut, "1", "the listener was not cut");
    until("the listener to connect again", || connected.load(Ordering::SeqCst) == 2).await;
    let (id, ticket) = accepted(&lanes, &["a"]).await;
    ack(&lanes, &claimed(&lanes, 1).await).await;
    until("the last batch to be told", || told.lock().unwrap().len() == 3).await;
    assert_eq!(told.lock().unwrap()[2], [(id, format!("done {ticket}").into_bytes())]);

    // An outcome that the ack left open is told when it is known.
    let (id, _) = accepted(&lanes, &["a"]).await;
    let open = Decided { outcomes: vec![vec![]], gates: vec![] };
    lanes.ack(&claimed(&lanes, 1).await, &open).await.unwrap();
    assert_eq!(lanes.status(id).await.unwrap(), Status::Decided(vec![]));
    lanes.tell(&[(id, b"after all".to_vec())]).await.unwrap();
    assert_eq!(lanes.status(id).await.unwrap(), Status::Decided(b"after all".to_vec()));
    until("the late outcome to be told", || told.lock().unwrap().len() == 5).await;
    assert_eq!(told.lock().unwrap()[4], [(id, b"after all".to_vec())]);
    listening.abort();
}

/// Silence is no reason to connect again: what is told meanwhile would be missed, and everybody who waits would look.
#[tokio::test]
#[ignore = "takes long"]
async fn a_silent_connection_is_asked_and_kept() {
    let line = line();
    let connected = Arc::<AtomicU64>::default();
    let listening = {
        let (lanes, connected) = (line.lanes.clone(), Arc::clone(&connected));
        let count = move || _ = connected.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move { listen_wake(lanes.link(), lanes.group(), count).await })
    };
    until("the listener to connect", || connected.load(Ordering::SeqCst) == 1).await;
    let before = calls_of(&line.redis, "ping");
    let asked_twice = || std::future::ready((calls_of(&line.redis, "ping") >= before + 2).then_some(()));
    wait_for_async("Redis to be asked", LISTEN_SILENCE_MAX * 4, asked_twice).await;
    assert_eq!(connected.load(Ordering::SeqCst), 1);
    listening.abort();
}

/// Sleepers are woken by whatever makes somebody ready, and by nothing while nobody sleeps.
#[tokio::test]
async fn sleepers_are_woken_by_whatever_readies_somebody() {
    let line = line();
    let lanes = line.lanes.clone();
    let woken = Arc::<AtomicU64>::default();
    let listening = {
        let (lanes, woken) = (lanes.clone(), Arc::clone(&woken));
        tokio::spawn(async move {
            listen_wake(lanes.link(), lanes.group(), || _ = woken.fetch_add(1, Ordering::SeqCst)).await;
        })
    };
    let mut expected = 1; // The connection itself.
    let count = || woken.load(Ordering::SeqCst);
    until("the listener to connect", || count() == expected).await;

    nobody_ready(&lanes).await;
    accepted(&lanes, &["a"]).await;
    accepted(&lanes, &["a"]).await;
    expected += 1;
    until("an append to wake", || count() == expected).await;

    let batch = claimed(&lanes, 1).await;
    nobody_ready(&lanes).await;
    ack(&lanes, &batch).await;
    expected += 1;
    until("an ack to wake", || count() == expected).await;

    let batch = claimed(&lanes, 1).await;
    nobody_ready(&lanes).await;
    assert!(lanes.release(batch.token, lanes::Release::Smaller).await.unwrap());
    expected += 1;
    until("a release to wake", || count() == expected).await;

    for held in [lane("a"), lanes::Lane::whole_group()] {
        lanes.pause(&held).await.unwrap();
        nobody_ready(&lanes).await;
        assert!(lanes.resume(&held).await.unwrap());
        expected += 1;
        until("a resume to wake", || count() == expected).await;
    }

    claimed(&lanes, 1).await;
    nobody_ready(&lanes).await;
    let prefix = format!("{{{}}}:", lanes.group());
    let token = line.redis.command(&["ZRANGE", &format!("{prefix}leases"), "0", "0"]).unwrap();
    line.redis.command(&["ZADD", &format!("{prefix}leases"), "1", &token]).unwrap();
    assert_eq!(lanes.reap(1).await.unwrap(), 1);
    expected += 1;
    until("a lease that ended to wake", || count() == expected).await;

    ack(&lanes, &claimed(&lanes, 1).await).await;
    // The end of a batch of suspects lets the others fly, though nobody became first by it.
    for name in ["b", "c"] {
        accepted(&lanes, &[name]).await;
    }
    let all = claimed(&lanes, 10).await;
    assert!(lanes.release(all.token, lanes::Release::Smaller).await.unwrap());
    let suspects = claimed(&lanes, 10).await;
    nobody_ready(&lanes).await;
    ack(&lanes, &suspects).await;
    expected += 1;
    until("the end of suspects to wake", || count() == expected).await;
    while let Some(batch) = lanes.claim(at_most(10)).await.unwrap().batch {
        ack(&lanes, &batch).await;
    }
    accepted(&lanes, &["a"]).await;
    expected += 1;
    until("an append after all of them to wake", || count() == expected).await;

    // Nobody sleeps now, so the next ones are not worth a message: this last one is the only other.
    accepted(&lanes, &["b"]).await;
    accepted(&lanes, &["c"]).await;
    ack(&lanes, &claimed(&lanes, 10).await).await;
    nobody_ready(&lanes).await;
    accepted(&lanes, &["d"]).await;
    expected += 1;
    until("the last append to wake", || count() >= expected).await;
    assert_eq!(count(), expected);
    listening.abort();
}
