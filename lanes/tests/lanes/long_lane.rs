//! Long lines: ten thousand in one lane and ten thousand lanes, where a list of more than 8,000 values that is passed
//! to one command stops a script for good.

use lanes::{Acked, Appended, Lane, Release, limits::HELD_COMMANDS_MAX};

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
