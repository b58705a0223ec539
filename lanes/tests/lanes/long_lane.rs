//! Long lines: ten thousand in one lane and ten thousand lanes, where a list of more than 8,000 values that is passed
//! to one command stops a script for good.

use lanes::{
    Acked, Append, Appended, Lane, Release,
    limits::{APPEND_COMMANDS_MAX, HELD_COMMANDS_MAX},
};

use crate::support::*;

const CROWD: usize = 10_000;
/// Above what Lua's `unpack` can do.
const TOO_MANY: usize = 9_000;

fn one_lane(_: usize) -> Vec<String> {
    vec!["hot".to_owned()]
}

#[tokio::test]
async fn a_long_lane_leaves_in_order_of_arrival() {
    const BATCH: usize = 1_000;
    let line = line();
    let lanes = &line.lanes;
    let crowd = crowd(lanes, CROWD, one_lane).await;
    let depth = lanes.depth(1).await.unwrap();
    assert_eq!((depth.waiting, depth.ready, depth.longest), (10_000, 1, vec![("hot".to_owned(), 10_000)]));
    let mut decided = 0;
    for expected in crowd.chunks(BATCH) {
        for i in [decided, decided + 1, (decided + CROWD) / 2, CROWD - 1] {
            assert_eq!(position(lanes, crowd[i]).await, (i - decided) as u64);
        }
        let batch = claimed(lanes, BATCH).await;
        assert_eq!(ids(&batch), expected);
        assert!(batch.entries.is_sorted_by(|a, b| a.ticket < b.ticket && a.accepted_at_us < b.accepted_at_us));
        nobody_ready(lanes).await;
        ack(lanes, &batch).await;
        decided += batch.entries.len();
    }
    assert_drained(lanes).await;
}

#[tokio::test]
async fn a_batch_of_nine_thousand_comes_back_whole_and_ends() {
    let line = line();
    let lanes = &line.lanes;
    let crowd = crowd(lanes, CROWD, one_lane).await;
    let batch = claimed(lanes, TOO_MANY).await;
    assert_eq!(ids(&batch), crowd[..TOO_MANY]);
    assert_eq!(lanes.depth(1).await.unwrap().in_flight, TOO_MANY as u64);
    assert!(lanes.release(batch.token, Release::Unchanged).await.unwrap());
    let again = claimed(lanes, TOO_MANY).await;
    assert_eq!(again.entries, batch.entries);
    assert_eq!(lanes.ack(&batch, &done(&batch)).await.unwrap(), Acked::Stale);
    ack(lanes, &again).await;
    let rest = claimed(lanes, TOO_MANY).await;
    assert_eq!(ids(&rest), crowd[TOO_MANY..]);
    ack(lanes, &rest).await;
    assert_drained(lanes).await;
}

#[tokio::test]
async fn a_batch_of_nine_thousand_that_fails_comes_back_as_quarters() {
    let line = line();
    let lanes = &line.lanes;
    let crowd = crowd(lanes, CROWD, one_lane).await;
    let batch = claimed(lanes, TOO_MANY).await;
    expire_all(&line);
    assert_eq!(lanes.reap(1).await.unwrap(), 1);
    for expected in crowd[..TOO_MANY].chunks(TOO_MANY / 4) {
        let quarter = claimed(lanes, TOO_MANY).await;
        assert_eq!(ids(&quarter), expected);
        ack(lanes, &quarter).await;
    }
    assert_eq!(lanes.ack(&batch, &done(&batch)).await.unwrap(), Acked::Stale);
    let rest = claimed(lanes, TOO_MANY).await;
    assert_eq!(ids(&rest), crowd[TOO_MANY..]);
    ack(lanes, &rest).await;
    assert_drained(lanes).await;
}

#[tokio::test]
async fn ten_thousand_lanes_are_ready_at_once() {
    let line = line();
    let lanes = &line.lanes;
    let crowd = crowd(lanes, CROWD, |i| vec![format!("lane{i}")]).await;
    assert_eq!(lanes.depth(1).await.unwrap().ready, CROWD as u64);
    let batch = claimed(lanes, TOO_MANY).await;
    assert_eq!(ids(&batch), crowd[..TOO_MANY]);
    let rest = claimed(lanes, TOO_MANY).await;
    assert_eq!(ids(&rest), crowd[TOO_MANY..]);
    assert!(lanes.release(batch.token, Release::Unchanged).await.unwrap());
    ack(lanes, &rest).await;
    let again = claimed(lanes, TOO_MANY).await;
    assert_eq!(again.entries, batch.entries);
    ack(lanes, &again).await;
    assert_drained(lanes).await;
}

#[tokio::test]
async fn a_long_line_gets_new_tickets_and_keeps_its_order() {
    let line = line();
    let lanes = &line.lanes;
    let crowd = crowd(lanes, CROWD, |i| vec!["hot".to_owned(), format!("lane{}", i % 100)]).await;
    line.archive.set(lanes.group(), 5_000_000, &[]);
    assert_eq!(lanes.reticket(0).await.unwrap(), CROWD as u64);
    let batch = claimed(lanes, CROWD).await;
    assert_eq!(ids(&batch), crowd);
    assert!(batch.entries.iter().all(|entry| entry.ticket > 5_000_000));
    ack(lanes, &batch).await;
    let (_, next) = accepted(lanes, &["hot"]).await;
    assert!(next > batch.entries.last().unwrap().ticket);
}

#[tokio::test]
async fn pausing_a_long_lane_counts_up_to_a_bound() {
    let line = line();
    let lanes = &line.lanes;
    crowd(lanes, CROWD + 1, |i| if i < 2 { vec!["cold".to_owned()] } else { one_lane(i) }).await;
    // One of them joins the lanes, so that whoever is behind it waits for the pause of the cold one.
    crowd(lanes, 1, |_| vec!["cold".to_owned(), "hot".to_owned()]).await;
    crowd(lanes, 3, one_lane).await;
    assert_eq!(lanes.pause(&lane("cold")).await.unwrap(), 2 + 1 + 3);
    assert_eq!(lanes.pause(&lane("hot")).await.unwrap(), HELD_COMMANDS_MAX as u64);
    assert_eq!(lanes.pause(&Lane::whole_group()).await.unwrap(), HELD_COMMANDS_MAX as u64);
    nobody_ready(lanes).await;
}

#[tokio::test]
async fn a_full_lane_leaves_room_for_the_others() {
    let line = line_of(1_000, stack::RedisOptions::default());
    let lanes = &line.lanes;
    crowd(lanes, 500, one_lane).await;
    let half = lanes.append(&[command(&["hot"]), command(&["cold"]), command(&["cold", "hot"])]).await.unwrap();
    assert!(matches!(half[..], [Appended::LaneFull, Appended::Accepted { .. }, Appended::LaneFull]), "{half:?}");
    crowd(lanes, 499, |i| vec![format!("lane{i}")]).await;
    assert_eq!(lanes.append(&[command(&["another"])]).await.unwrap(), [Appended::Full]);
    ack(lanes, &claimed(lanes, 1).await).await;
    accepted(lanes, &["another"]).await;
}

/// What a claim of the shop with an idempotency key takes, hashes of 32 bytes in hex included.
fn as_long_as_a_claim(number: usize) -> Append {
    const ENVELOPE_BYTES: usize = 120;
    let hash = |salt: &str| format!("{salt}{number:063x}");
    let mut command = keyed(&["hot"], &hash("a"), &hash("b"));
    command.envelope = vec![b'e'; ENVELOPE_BYTES];
    command
}

fn used_memory(line: &Line) -> u64 {
    let info = line.redis.command(&["INFO", "memory"]).unwrap();
    info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().trim().parse().unwrap()
}

/// Commands that Redis ran, those within scripts included.
fn calls(line: &Line) -> u64 {
    let stats = line.redis.command(&["INFO", "commandstats"]).unwrap();
    let calls = stats.lines().filter_map(|line| line.split_once(":calls=")?.1.split(',').next()?.parse::<u64>().ok());
    calls.sum()
}

#[tokio::test]
#[ignore = "takes long"]
async fn a_hundred_thousand_in_one_lane_are_small_and_know_their_places() {
    const COUNT: usize = 100_000;
    const MEMORY_MAX_BYTES: u64 = 100 << 20;
    let line = line();
    let lanes = &line.lanes;
    let mut ids = Vec::with_capacity(COUNT);
    let mut asking = Vec::new();
    let before = used_memory(&line);
    for first in (0..COUNT).step_by(APPEND_COMMANDS_MAX) {
        let commands: Vec<_> = (first..COUNT.min(first + APPEND_COMMANDS_MAX)).map(as_long_as_a_claim).collect();
        ids.extend(commands.iter().map(|command| command.id));
        let answers = lanes.append(&commands).await.unwrap();
        assert!(answers.iter().all(|answer| matches!(answer, Appended::Accepted { .. })), "{answers:?}");
        if first == 0 || ids.len() == COUNT {
            // Once before, for a Redis that does not know the script yet.
            position(lanes, ids[0]).await;
            let before = calls(&line);
            assert_eq!(position(lanes, *ids.last().unwrap()).await, ids.len() as u64 - 1);
            asking.push(calls(&line) - before);
        }
    }
    let used = used_memory(&line) - before;
    assert!(used < MEMORY_MAX_BYTES, "{COUNT} take {used} bytes");
    assert_eq!(asking[0], asking[1], "a place far behind costs more to find");
}
