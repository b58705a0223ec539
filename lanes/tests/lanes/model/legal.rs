//! What a claim may give: exactly the batches that keep every promise.

use lanes::{Batch, ClaimLimits};

use super::naive::{Lease, Model};

/// Checks a claim's batch against the model, before the model hears of it, and leases it there.
pub fn check(model: &mut Model, batch: Option<&Batch>, limits: ClaimLimits) {
    let (innocent, suspects) = (model.ready(false), model.ready(true));
    let suspects_first = match (innocent.first(), suspects.first()) {
        _ if model.suspects_fly() => false,
        (Some(innocent), Some(suspect)) => suspect < innocent,
        (innocent, suspect) => innocent.is_none() && suspect.is_some(),
    };
    // After a flight that failed it is the turn of the suspects behind the one that flew first.
    let turned = suspects.iter().position(|&at| Some(model.line[at].ticket) > model.turn).unwrap_or(0);
    let (passed, in_turn) = suspects.split_at(turned);
    let (source, passed) = if suspects_first { (in_turn, passed) } else { (&innocent[..], &[][..]) };
    let Some(batch) = batch else {
        let held = model.paused.contains("*");
        assert!(held || source.is_empty(), "nothing was claimed although {source:?} are ready");
        return;
    };
    assert!(!model.paused.contains("*"), "claimed from a paused group");
    let members = places(model, batch);
    assert!(members.is_sorted_by(|a, b| a < b), "a batch is in order of arrival, without repeats: {members:?}");

    let heads: Vec<usize> = members.iter().copied().filter(|&at| model.is_ready(at)).collect();
    assert!(!heads.is_empty() && source.starts_with(&heads), "heads {heads:?} are not the oldest of {source:?}");
    for &at in &members {
        assert!(may_join(model, &members, at, suspects_first), "{at} may not be in the batch {members:?}");
    }
    check_bounds(model, &members, passed, limits, suspects_first);

    let alone = model.line[members[0]].failures_alone.filter(|_| members.len() == 1);
    let blame = (suspects_first, alone.is_some(), alone.unwrap_or_default());
    assert_eq!((batch.suspect, batch.blamed, batch.failures_alone), blame, "blame of {members:?}");
    if suspects_first {
        model.turn = Some(model.line[members[0]].ticket);
    }
    for &at in &members {
        model.line[at].token = Some(batch.token);
    }
    let ids = members.iter().map(|&at| model.line[at].id).collect();
    model.leases.insert(batch.token, Lease { members: ids, suspects: suspects_first, expired: false });
}

/// Where the batch's commands stand in the model, after comparing what they carry.
fn places(model: &Model, batch: &Batch) -> Vec<usize> {
    let place = |entry: &lanes::Entry| {
        let at = model.find(entry.id).expect("a claimed command is in line");
        let waiting = &model.line[at];
        assert_eq!(entry.ticket, waiting.ticket);
        assert_eq!(entry.accepted_at_us, waiting.accepted_at_us);
        assert_eq!(entry.lanes, waiting.lanes);
        assert_eq!(entry.envelope, waiting.envelope);
        if let Some(key) = &entry.key {
            assert_eq!(model.keys.get(&key.digest), Some(&(entry.id, key.body.clone())));
        }
        at
    };
    batch.entries.iter().map(place).collect()
}

/// Whether the command at `at` could be in a batch with these members: free, of the same kind, in no paused lane, and
/// everybody before it is in the batch too.
fn may_join(model: &Model, members: &[usize], at: usize, suspects: bool) -> bool {
    let waiting = &model.line[at];
    let blocks = |other: &usize| {
        !members.contains(other) && model.line[*other].lanes.iter().any(|lane| waiting.lanes.contains(lane))
    };
    waiting.token.is_none()
        && waiting.size_max.is_some() == suspects
        && !model.in_paused_lane(at)
        && !(0..at).any(|other| blocks(&other))
}

fn check_bounds(model: &Model, members: &[usize], passed: &[usize], limits: ClaimLimits, suspects: bool) {
    let entries = |at: usize| model.line[at].lanes.len();
    let used: usize = members.iter().map(|&at| entries(at)).sum();
    assert!(members.len() <= limits.commands_max, "{} commands of {}", members.len(), limits.commands_max);
    assert!(members.len() == 1 || used <= limits.entries_max, "{used} lane entries of {}", limits.entries_max);

    let size_max = |places: &[usize]| places.iter().filter_map(|&at| model.line[at].size_max).min();
    if suspects {
        let bound = size_max(members).expect("every suspect has a bound");
        assert!(members.len() <= bound, "{} suspects in a batch of {bound}", members.len());
    }

    // A batch ends only when it is full, or when nobody is left who may join.
    let others: Vec<usize> = (0..model.line.len())
        .filter(|at| !members.contains(at) && !passed.contains(at) && may_join(model, members, *at, suspects))
        .collect();
    let full = members.len() >= limits.commands_max
        || others.iter().any(|&at| used + entries(at) > limits.entries_max)
        || size_max(&[members, &others].concat()).is_some_and(|bound| suspects && members.len() >= bound);
    assert!(full || others.is_empty(), "the batch {members:?} has room for {others:?}");
}
