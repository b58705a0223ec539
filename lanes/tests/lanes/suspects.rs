//! A batch that fails comes back as a quarter, until the culprit is alone and only it is blamed.

use lanes::{Batch, Lane, Lanes, Release};
use uuid::Uuid;

use crate::support::*;

const COMMANDS_MAX: usize = 1_000;
/// After so many failures alone a worker gives up on a command.
const ATTEMPTS_MAX: u32 = 3;
/// No test needs as many; more means that the line stands still.
const BATCHES_MAX: usize = 100;

fn one_lane(_: usize) -> Vec<String> {
    vec!["lane".to_owned()]
}

/// Works through the line as a worker does whose handler breaks on some commands; gives the sizes of all batches, and
/// how often each broke when it was alone at last.
async fn work(lanes: &Lanes, poison: &[Uuid], release: impl Fn(&Batch) -> Option<Release>) -> Vec<usize> {
    let mut sizes = Vec::new();
    while let Some(batch) = lanes.claim(at_most(COMMANDS_MAX)).await.unwrap().batch {
        sizes.push(batch.entries.len());
        assert!(sizes.len() <= BATCHES_MAX, "the line does not move on: {sizes:?}");
        let breaks = ids(&batch).iter().any(|id| poison.contains(id));
        assert_eq!(batch.blamed, batch.suspect && batch.entries.len() == 1, "a worker may die of it");
        assert!(breaks || batch.failures_alone == 0, "an innocent was blamed {} times", batch.failures_alone);
        match release(&batch) {
            Some(release) if breaks => assert!(lanes.release(batch.token, release).await.unwrap()),
            _ => ack(lanes, &batch).await,
        }
    }
    sizes
}

fn blamed_until_given_up(batch: &Batch) -> Option<Release> {
    (batch.failures_alone < ATTEMPTS_MAX).then_some(Release::Blamed)
}

/// One row: how many stand in one lane, which of them break, and the sizes of all batches.
/// A claim whose answer was lost, and that is sent again, whether its lease has ended meanwhile or not.
#[tokio::test]
async fn a_claim_that_is_asked_for_again_is_the_same_batch() {
    let line = line();
    let crowd = crowd(&line.lanes, 3, |i| vec![format!("lane{i}")]).await;
    let token = Uuid::now_v7();
    let claim = async |commands_max| line.lanes.claim_as(token, at_most(commands_max)).await.unwrap();
    let first = claim(2).await.batch.unwrap();
    assert_eq!((first.token, ids(&first)), (token, crowd[..2].to_vec()));
    line.lanes.pause(&Lane::whole_group()).await.unwrap();
    for _ in 0..4 {
        expire_all(&line);
        let again = claim(100).await;
        assert_eq!((again.expired, &again.batch.unwrap().entries), (0, &first.entries));
    }
    line.lanes.resume(&Lane::whole_group()).await.unwrap();
    assert_eq!(ids(&claimed(&line.lanes, 100).await), crowd[2..]);
    ack(&line.lanes, &first).await;
    nobody_ready(&line.lanes).await;
}

/// The same for a command that flies alone because its batch failed.
#[tokio::test]
async fn a_suspect_whose_claim_is_asked_for_again_is_not_blamed() {
    let line = line();
    let (id, _) = accepted(&line.lanes, &["a"]).await;
    let failed = claimed(&line.lanes, 1).await;
    line.lanes.release(failed.token, Release::Blamed).await.unwrap();
    let token = Uuid::now_v7();
    for _ in 0..5 {
        let batch = line.lanes.claim_as(token, at_most(1)).await.unwrap().batch.unwrap();
        assert_eq!((ids(&batch), batch.suspect, batch.failures_alone), (vec![id], true, 1));
        expire_all(&line);
    }
}

#[tokio::test]
async fn a_failed_batch_shrinks_until_the_culprit_is_alone() {
    let rows: &[(usize, &[usize], &[usize])] = &[
        // Alone from the start: three failures, and the fourth batch gives up on it.
        (1, &[0], &[1, 1, 1, 1]),
        // A small batch need not shrink in many steps.
        (2, &[1], &[2, 1, 1, 1, 1, 1]),
        (5, &[2], &[5, 1, 1, 1, 1, 1, 1, 1, 1]),
        // A quarter, a sixteenth, alone; whoever was in a failed batch flies in that batch's quarters.
        (64, &[0], &[64, 16, 4, 1, 1, 1, 1, 1, 1, 1, 4, 4, 4, 16, 16, 16]),
        (64, &[5], &[64, 16, 4, 4, 1, 1, 1, 1, 1, 1, 1, 4, 4, 16, 16, 16]),
        (20, &[0, 19], &[20, 5, 1, 1, 1, 1, 1, 1, 1, 1, 5, 5, 5, 1, 1, 1, 1, 1, 1, 1, 1]),
    ];
    for (count, poison, expected) in rows {
        let line = line();
        let crowd = crowd(&line.lanes, *count, one_lane).await;
        let poison: Vec<_> = poison.iter().map(|&at| crowd[at]).collect();
        let sizes = work(&line.lanes, &poison, blamed_until_given_up).await;
        assert_eq!(sizes, *expected, "{count} commands, of which {} break", poison.len());
        assert_drained(&line.lanes).await;
    }
}

#[tokio::test]
async fn too_much_at_once_shrinks_and_blames_nobody() {
    let line = line();
    let lanes = &line.lanes;
    crowd(lanes, 64, one_lane).await;
    let mut sizes = Vec::new();
    while let Some(batch) = lanes.claim(at_most(COMMANDS_MAX)).await.unwrap().batch {
        let size = batch.entries.len();
        sizes.push(size);
        assert!(sizes.len() <= BATCHES_MAX, "the line does not move on: {sizes:?}");
        assert_eq!((batch.blamed, batch.failures_alone), (false, 0));
        if size > 4 || sizes.len() < 5 {
            assert!(lanes.release(batch.token, Release::Smaller).await.unwrap());
        } else {
            ack(lanes, &batch).await;
        }
    }
    assert_eq!(sizes[..5], [64, 16, 4, 1, 1]);
    assert!(sizes[5..].iter().all(|&size| size <= 16), "{sizes:?}");
    assert_drained(lanes).await;
}

#[tokio::test]
async fn a_fault_outside_changes_nothing() {
    let line = line();
    let lanes = &line.lanes;
    let crowd = crowd(lanes, 10, one_lane).await;
    for _ in 0..5 {
        let batch = claimed(lanes, COMMANDS_MAX).await;
        assert_eq!((ids(&batch), batch.failures_alone), (crowd.clone(), 0));
        assert!(lanes.release(batch.token, Release::Unchanged).await.unwrap());
    }
}

/// A process that dies says nothing: the expired lease counts, and what it counted is gone after the ack.
#[tokio::test]
async fn a_command_that_kills_its_worker_is_counted() {
    let line = line();
    let lanes = &line.lanes;
    let (killer, _) = accepted(lanes, &["lane"]).await;
    for deaths in 0..5 {
        let batch = claimed(lanes, COMMANDS_MAX).await;
        assert_eq!((ids(&batch), batch.blamed, batch.failures_alone), (vec![killer], deaths > 0, deaths));
        expire_all(&line);
    }
    ack(lanes, &claimed(lanes, COMMANDS_MAX).await).await;
    accepted(lanes, &["lane"]).await;
    assert_eq!(claimed(lanes, COMMANDS_MAX).await.failures_alone, 0);
}

#[tokio::test]
async fn suspects_fly_one_batch_at_a_time_and_innocents_beside_them() {
    let line = line();
    let lanes = &line.lanes;
    let first = crowd(lanes, 8, |_| vec!["first".to_owned()]).await;
    let second = crowd(lanes, 8, |_| vec!["second".to_owned()]).await;
    let both = claimed(lanes, COMMANDS_MAX).await;
    assert_eq!(both.entries.len(), 16);
    assert!(lanes.release(both.token, Release::Blamed).await.unwrap());

    let suspects = claimed(lanes, COMMANDS_MAX).await;
    assert_eq!(suspects.entries.len(), 4);
    // The other suspects could fly by their lanes, but then a crash could be blamed on the wrong ones.
    let innocent = crowd(lanes, 2, |_| vec!["third".to_owned()]).await;
    let beside = claimed(lanes, COMMANDS_MAX).await;
    assert_eq!(ids(&beside), innocent);
    nobody_ready(lanes).await;

    // Innocents behind suspects wait for them, and are not taken into their batch.
    let behind = crowd(lanes, 2, |_| vec!["second".to_owned()]).await;
    nobody_ready(lanes).await;
    ack(lanes, &suspects).await;
    let mut rest = ids(&suspects);
    while rest.len() < first.len() + second.len() {
        let batch = claimed(lanes, COMMANDS_MAX).await;
        assert!(batch.entries.len() <= 4 && !ids(&batch).iter().any(|id| behind.contains(id)));
        rest.extend(ids(&batch));
        ack(lanes, &batch).await;
    }
    assert!(first.iter().chain(&second).all(|id| rest.contains(id)));
    assert_eq!(ids(&claimed(lanes, COMMANDS_MAX).await), behind);
}

/// A process with several batches in flight dies again and again because of one command. Whoever flew beside it is
/// suspected at most once.
#[tokio::test]
async fn whoever_flew_beside_a_killer_is_not_blamed_for_it() {
    const BESIDE: usize = 4;
    let line = line();
    let lanes = &line.lanes;
    let (killer, _) = accepted(lanes, &["killer"]).await;
    let innocent = crowd(lanes, BESIDE, |i| vec![format!("lane{i}")]).await;
    let mut deaths = 0;
    let mut decided = Vec::new();
    loop {
        // A process of several slots claims as much as it can, one command each, before any of them ends.
        let mut slots = Vec::new();
        while let Some(batch) = lanes.claim(at_most(1)).await.unwrap().batch {
            slots.push(batch);
        }
        if slots.is_empty() {
            break;
        }
        let flies = slots.iter().find(|batch| ids(batch) == [killer]);
        if flies.is_some_and(|batch| batch.failures_alone < ATTEMPTS_MAX) {
            deaths += 1;
            assert!(deaths <= ATTEMPTS_MAX, "the killer is never given up");
            expire_all(&line);
            continue;
        }
        for batch in &slots {
            assert!(ids(batch) == [killer] || batch.failures_alone <= 1, "blamed {} times", batch.failures_alone);
            ack(lanes, batch).await;
            decided.extend(ids(batch));
        }
    }
    assert_eq!(deaths, ATTEMPTS_MAX);
    assert!(innocent.iter().all(|id| decided.contains(id)));
    assert_drained(lanes).await;
}

/// One that fails again and again must not ground all others who were in its batch.
#[tokio::test]
async fn a_stubborn_suspect_does_not_ground_the_others() {
    let line = line();
    let lanes = &line.lanes;
    let commands: Vec<_> = ["a", "b", "c"].iter().map(|name| command(&[name])).collect();
    lanes.append(&commands).await.unwrap();
    let stubborn = commands[0].id;
    lanes.release(claimed(lanes, 10).await.token, Release::Smaller).await.unwrap();

    let mut others = 0;
    for _ in 0..10 {
        let Some(batch) = lanes.claim(at_most(10)).await.unwrap().batch else { break };
        assert_eq!(batch.entries.len(), 1, "suspects come alone");
        if batch.entries[0].id == stubborn {
            lanes.release(batch.token, Release::Unchanged).await.unwrap();
        } else {
            others += 1;
            ack(lanes, &batch).await;
        }
    }
    assert_eq!(others, 2, "the others were decided beside it");
}
