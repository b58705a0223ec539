//! A fixed choice of faults on a whole shop; all of them, and more than once, take long. `cargo nemesis` has no end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use nemesis::faults::Fault;
use nemesis::run::{Plan, Report, SHOPPERS, run};
use runtime::fault_points::{BUG_VARIABLE, Bug};

const SEED: u64 = 4;

/// So many that what is given back is more than one command.
const CROWD: usize = 100;

fn plan(faults: Vec<Fault>) -> Plan {
    Plan::of(Path::new(env!("CARGO_BIN_EXE_nemesis")).to_owned(), SEED, faults)
}

async fn tried(faults: Vec<Fault>, shoppers: usize, more: Vec<(&'static str, String)>) -> Report {
    let plan = Plan { shoppers, more, ..plan(faults) };
    let folder = tempfile::tempdir().unwrap();
    run(&plan, folder.path(), |_| {}).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn promises_are_kept_through_a_few_faults() {
    let faults = vec![
        Fault::WorkersDieAtPoints,
        Fault::WorkersStopAtPoints,
        Fault::ApiDiesAfterAppend,
        Fault::KillRedis,
        Fault::LoseCommitReply,
        Fault::FillRedis,
    ];
    let report = tried(faults, SHOPPERS, Vec::new()).await;
    assert!(report.is_clean(), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long"]
async fn promises_are_kept_through_every_fault() {
    let report = tried(Plan::all_faults(), SHOPPERS, Vec::new()).await;
    assert!(report.is_clean(), "{report:#?}");
}

/// Whoever looks must see a mistake that is there: the promise that it breaks, where these faults come.
async fn is_seen(bug: Bug, faults: &[Fault], promise: &str) {
    let report = tried(faults.to_vec(), CROWD, vec![(BUG_VARIABLE, bug.as_str().to_owned())]).await;
    let broken: Vec<&str> =
        report.verdicts.iter().filter(|verdict| verdict.broken > 0).map(|verdict| verdict.promise).collect();
    assert!(broken.iter().any(|broken| broken.starts_with(promise)), "{bug:?}: {report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_fence_is_seen() {
    is_seen(Bug::NoFence, &[Fault::LoseRedisUnderZombie; 2], "I6").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_acknowledgement_is_seen() {
    is_seen(Bug::AckBeforeCommit, &[Fault::KillWorkers; 3], "I3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_to_the_tail_is_seen() {
    is_seen(Bug::RetryToTheTail, &[Fault::WorkersDieAtPoints; 2], "I4 decided").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_without_meaning_are_seen() {
    is_seen(Bug::NoIdempotency, &[Fault::FlushScripts], "I3").await;
}
