//! Commands that stand in several lanes at once.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use lanes::{ClaimLimits, Lanes, Release, limits::COMMAND_LANES_MAX};

use crate::support::*;

#[tokio::test]
async fn a_command_over_two_lanes_waits_for_both() {
    let line = line();
    let lanes = &line.lanes;
    let (a, _) = accepted(lanes, &["a"]).await;
    let (b, _) = accepted(lanes, &["b"]).await;
    let (both, _) = accepted(lanes, &["b", "a"]).await;
    let (first, second) = (claimed(lanes, 1).await, claimed(lanes, 1).await);
    assert_eq!((ids(&first), ids(&second)), (vec![a], vec![b]));
    nobody_ready(lanes).await;
    ack(lanes, &second).await;
    nobody_ready(lanes).await;
    ack(lanes, &first).await;
    assert_eq!(ids(&claimed(lanes, 1).await), [both]);
}

#[tokio::test]
async fn a_batch_holds_whoever_becomes_first_inside_it() {
    let line = line();
    let lanes = &line.lanes;
    let rows: [&[&str]; 6] = [&["a"], &["b"], &["a", "b"], &["b", "c"], &["c"], &["a", "c", "d"]];
    let mut all = Vec::new();
    for names in rows {
        all.push(accepted(lanes, names).await.0);
    }
    let batch = claimed(lanes, 100).await;
    assert_eq!(ids(&batch), all);
    // Nobody of them was touched, so a release brings the same ones, and fewer when fewer are wanted.
    assert!(lanes.release(batch.token, Release::Unchanged).await.unwrap());
    let fewer = claimed(lanes, 3).await;
    assert_eq!(ids(&fewer), all[..3]);
    nobody_ready(lanes).await;
    ack(lanes, &fewer).await;
    assert_eq!(ids(&claimed(lanes, 100).await), all[3..]);
}

#[tokio::test]
async fn disjoint_lanes_are_leased_to_two_batches_at_once() {
    let line = line();
    let lanes = &line.lanes;
    let (a, _) = accepted(lanes, &["a1", "a2"]).await;
    let (b, _) = accepted(lanes, &["b1", "b2"]).await;
    let (joined, _) = accepted(lanes, &["a2", "b1"]).await;
    let (first, second) = (claimed(lanes, 1).await, claimed(lanes, 1).await);
    assert_eq!((ids(&first), ids(&second)), (vec![a], vec![b]));
    let depth = lanes.depth(0).await.unwrap();
    assert_eq!((depth.leases, depth.in_flight, depth.waiting), (2, 2, 3));
    // A batch does not take from a lane that is another's, whatever room it has.
    let (late, _) = accepted(lanes, &["a1"]).await;
    let (free, _) = accepted(lanes, &["c"]).await;
    assert_eq!(ids(&claimed(lanes, 100).await), [free]);
    ack(lanes, &first).await;
    assert_eq!(ids(&claimed(lanes, 100).await), [late]);
    ack(lanes, &second).await;
    assert_eq!(ids(&claimed(lanes, 100).await), [joined]);
}

/// Whoever is ready goes, and the oldest of the others, none of whom is passed over for a younger one.
#[tokio::test]
async fn while_nobody_is_at_work_the_oldest_go_with_those_who_are_ready() {
    const ROOM: usize = 300;
    let line = line();
    let lanes = &line.lanes;
    let names = |i: usize| vec![format!("lane{}", i * i % 97), format!("lane{}", 97 + i * 7 % 89)];
    let mut left = Vec::from_iter(crowd(lanes, 1_000, names).await.into_iter().enumerate());
    while !left.is_empty() {
        let mut seen = HashSet::new();
        let (ready, behind): (Vec<_>, Vec<_>) = left.iter().partition(|(i, _)| {
            let before = names(*i).into_iter().filter(|name| !seen.insert(name.clone())).count();
            before == 0
        });
        let mut expected = Vec::from_iter(ready.into_iter().chain(behind).take(ROOM));
        expected.sort_unstable();
        let batch = claimed(lanes, ROOM).await;
        assert_eq!(ids(&batch), Vec::from_iter(expected.iter().map(|(_, id)| *id)));
        ack(lanes, &batch).await;
        left.retain(|command| !expected.contains(command));
    }
    assert_drained(lanes).await;

    // As many lane entries as there is room for, and not one more.
    crowd(lanes, 100, names).await;
    let narrow = ClaimLimits { entries_max: 51, ..at_most(100) };
    let batch = lanes.claim(narrow).await.unwrap().batch.expect("somebody is ready");
    assert_eq!(batch.entries.len(), 25);
}

/// Hundreds who are older and want the same do not keep the others of a batch from those who want something else.
#[tokio::test]
async fn a_long_lane_counts_as_one_beside_short_ones() {
    const ROOM: usize = 100;
    const SHORT: usize = 30;
    let line = line();
    let lanes = &line.lanes;
    // One who stands before both lanes, alone in their wave, does not end the turns.
    let names: [&[&str]; 3] = [&["long"], &["short"], &["long", "short"]];
    let first = crowd(lanes, names.len(), |i| names[i].iter().map(|&name| name.to_owned()).collect()).await;
    let long = crowd(lanes, 5 * ROOM, |i| vec!["long".to_owned(), format!("shopper{}", i % 400)]).await;
    let short = crowd(lanes, SHORT, |i| vec!["short".to_owned(), format!("other{i}")]).await;
    // All of the short lane go at once, and the oldest of the long one fill the rest.
    let (now, later) = long.split_at(ROOM - first.len() - SHORT);
    let batch = claimed(lanes, ROOM).await;
    assert_eq!(ids(&batch), [&first, now, &short].concat());
    ack(lanes, &batch).await;
    assert_eq!(ids(&claimed(lanes, ROOM).await), later[..ROOM]);
}

/// Four workers on commands whose lanes are named in all orders: everybody gets through, once, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opposite_orders_never_deadlock() {
    const COMMANDS: usize = 600;
    let line = line();
    let orders: [&[&str]; 6] = [&["a", "b"], &["b", "a"], &["b", "c"], &["c", "b", "a"], &["a", "c"], &["c"]];
    let crowd = crowd(&line.lanes, COMMANDS, |i| orders[i % 6].iter().map(|&name| name.to_owned()).collect()).await;
    let decided = Arc::new(Mutex::new(Vec::new()));
    let workers: Vec<_> = (0..4).map(|w| tokio::spawn(work(line.lanes.clone(), w + 1, Arc::clone(&decided)))).collect();
    for worker in workers {
        tokio::time::timeout(DEADLINE, worker).await.expect("no deadlock").unwrap();
    }
    let decided = std::mem::take(&mut *decided.lock().unwrap());
    let distinct: HashSet<_> = decided.iter().map(|(id, ..)| *id).collect();
    assert_eq!((decided.len(), distinct.len()), (COMMANDS, COMMANDS));
    assert!(crowd.iter().all(|id| distinct.contains(id)));
    let mut last = HashMap::<&str, u64>::new();
    for (_, ticket, names) in &decided {
        for name in names {
            let before = last.insert(name, *ticket).unwrap_or(0);
            assert!(before < *ticket, "{name}: {ticket} was decided after {before}");
        }
    }
    assert_drained(&line.lanes).await;
}

type DecidedLog = Arc<Mutex<Vec<(uuid::Uuid, u64, Vec<String>)>>>;

async fn work(lanes: Lanes, commands_max: usize, decided: DecidedLog) {
    while lanes.depth(0).await.unwrap().waiting > 0 {
        let Some(batch) = lanes.claim(at_most(commands_max)).await.unwrap().batch else { continue };
        // Written down before the ack, while nobody else can have the same lanes.
        let entries = batch.entries.iter().map(|entry| (entry.id, entry.ticket, entry.lanes.clone()));
        decided.lock().unwrap().extend(entries);
        ack(&lanes, &batch).await;
    }
}

/// A bounded look at the busy lanes must not hide an idle one: among the ready, the oldest goes first, and a lane has
/// only one who is ready.
#[tokio::test]
async fn busy_lanes_do_not_starve_an_idle_one() {
    const BUSY: usize = 3;
    let line = line();
    let lanes = &line.lanes;
    crowd(lanes, 300, |i| vec![format!("busy{}", i % BUSY)]).await;
    let (idle, _) = accepted(lanes, &["idle"]).await;
    // Room for one more than there are busy lanes: the next batch has it, though 300 are older.
    let batch = claimed(lanes, BUSY + 1).await;
    assert!(ids(&batch).contains(&idle), "{:?}", ids(&batch));
    ack(lanes, &batch).await;

    // One at a time, with the busy lanes refilled at every step: it waits for those before it and for nobody else.
    let older = lanes.depth(0).await.unwrap().waiting;
    let (idle, _) = accepted(lanes, &["idle"]).await;
    let mut before = 0;
    loop {
        crowd(lanes, BUSY, |i| vec![format!("busy{i}")]).await;
        let batch = claimed(lanes, 1).await;
        ack(lanes, &batch).await;
        if ids(&batch) == [idle] {
            break;
        }
        before += 1;
        assert!(before <= older, "{before} went first though only {older} were before it");
    }
}

#[tokio::test]
async fn a_batch_bounds_its_lane_entries() {
    let line = line();
    let lanes = &line.lanes;
    let wide: Vec<String> = (0..COMMAND_LANES_MAX).map(|i| format!("lane{i}")).collect();
    let widest = crowd(lanes, 3, |_| wide.clone()).await;
    let limits = |entries_max| ClaimLimits { entries_max, ..at_most(100) };
    // Whoever is wider than a batch goes alone.
    let rows = [(1, 1), (COMMAND_LANES_MAX, 1), (2 * COMMAND_LANES_MAX - 1, 1), (2 * COMMAND_LANES_MAX, 2)];
    for (entries_max, commands) in rows {
        let batch = lanes.claim(limits(entries_max)).await.unwrap().batch.unwrap();
        assert_eq!(ids(&batch), widest[..commands], "with {entries_max} lane entries");
        assert!(lanes.release(batch.token, Release::Unchanged).await.unwrap());
    }
    let batch = claimed(lanes, 3).await;
    assert_eq!(ids(&batch), widest);
    ack(lanes, &batch).await;
    assert_drained(lanes).await;
}

#[tokio::test]
async fn a_paused_lane_holds_whoever_stands_behind_a_command_that_touches_it() {
    let line = line();
    let lanes = &line.lanes;
    let (touches, _) = accepted(lanes, &["paused", "a"]).await;
    let (behind, _) = accepted(lanes, &["a", "b"]).await;
    let (further, _) = accepted(lanes, &["b"]).await;
    let (free, _) = accepted(lanes, &["c"]).await;
    assert_eq!(lanes.pause(&lane("paused")).await.unwrap(), 3);
    let batch = claimed(lanes, 100).await;
    assert_eq!(ids(&batch), [free]);
    nobody_ready(lanes).await;
    // Pausing twice is pausing once, and a newcomer is held, too.
    assert_eq!(lanes.pause(&lane("paused")).await.unwrap(), 3);
    let (late, _) = accepted(lanes, &["paused"]).await;
    nobody_ready(lanes).await;
    assert!(lanes.resume(&lane("paused")).await.unwrap());
    assert!(!lanes.resume(&lane("paused")).await.unwrap());
    assert_eq!(ids(&claimed(lanes, 100).await), [touches, behind, further, late]);
}

#[tokio::test]
async fn a_pause_lets_batches_in_flight_finish_and_stops_the_next() {
    let line = line();
    let lanes = &line.lanes;
    let (first, _) = accepted(lanes, &["a", "b"]).await;
    let (second, _) = accepted(lanes, &["b", "a"]).await;
    let batch = claimed(lanes, 1).await;
    assert_eq!(lanes.pause(&lane("b")).await.unwrap(), 1);
    assert_eq!(ids(&batch), [first]);
    ack(lanes, &batch).await;
    nobody_ready(lanes).await;
    assert!(lanes.resume(&lane("b")).await.unwrap());
    let batch = claimed(lanes, 1).await;
    assert_eq!(ids(&batch), [second]);
    // A batch that comes back into a paused lane waits there, in its place.
    lanes.pause(&lane("a")).await.unwrap();
    assert!(lanes.release(batch.token, Release::Unchanged).await.unwrap());
    nobody_ready(lanes).await;
    assert!(lanes.resume(&lane("a")).await.unwrap());
    assert_eq!(ids(&claimed(lanes, 1).await), [second]);
}
