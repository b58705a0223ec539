//! A fixed choice of faults on a whole shop; all of them, and more than once, take long. `cargo nemesis` has no end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use nemesis::faults::Fault;
use nemesis::load::Goods;
use nemesis::run::{Plan, Report, run};
use runtime::fault_points::{BUG_VARIABLE, Bug};

const SEED: u64 = 4;

/// So many that what is given back is more than one command.
const CROWD: usize = 100;

/// So many strike at once.
const AT_ONCE: usize = 2;

fn plan(faults: Vec<Fault>) -> Plan {
    Plan::of(Path::new(env!("CARGO_BIN_EXE_nemesis")).to_owned(), SEED, faults)
}

async fn tried(plan: Plan) -> Report {
    let folder = tempfile::tempdir().unwrap();
    run(&plan, folder.path(), |_| {}).await.unwrap()
}

async fn kept(plan: Plan) -> Report {
    let report = tried(plan).await;
    assert!(report.is_clean(), "{report:#?}");
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn promises_are_kept_through_a_few_faults() {
    let faults = vec![
        Fault::WorkersDieAtPoints,
        Fault::KillRedis,
        Fault::ApiDiesAfterAppend,
        Fault::LoseCommitReply,
        Fault::FillRedis,
        Fault::FloodOrders,
    ];
    let report = kept(Plan { at_once: AT_ONCE, chargers: 0, ..plan(faults.clone()) }).await;
    assert_eq!(report.struck.len(), faults.len());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long"]
async fn promises_are_kept_through_every_fault() {
    let report = kept(plan(Plan::all_faults())).await;
    assert_eq!(report.struck.len() + report.skipped.len(), Plan::all_faults().len());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long"]
async fn promises_are_kept_through_every_fault_beside_another() {
    let faults = Plan::all_faults();
    // From both ends of the list, so that what is alike does not come together.
    let (first, second) = faults.split_at(faults.len() / 2);
    let mixed: Vec<Fault> = second.iter().rev().zip(first).flat_map(|(one, other)| [*one, *other]).collect();
    kept(Plan { at_once: AT_ONCE, ..plan(mixed) }).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long"]
async fn promises_are_kept_for_real_orders() {
    let orders = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo/tests/data");
    let faults = vec![Fault::KillWorkers, Fault::KillPostgres, Fault::LoseRedis];
    kept(Plan { goods: Goods::real(&orders).unwrap(), ..plan(faults) }).await;
}

/// Whoever looks must see a mistake that is there: the promise that it breaks, where these faults come.
async fn is_seen(bug: Bug, faults: &[Fault], promise: &str) {
    let more = vec![(BUG_VARIABLE, bug.as_str().to_owned())];
    let report = tried(Plan { shoppers: CROWD, chargers: 0, more, ..plan(faults.to_vec()) }).await;
    assert!(breaks(&report, promise), "{bug:?}: {report:#?}");
}

fn breaks(report: &Report, promise: &str) -> bool {
    report.verdicts.iter().any(|verdict| verdict.broken > 0 && verdict.promise.starts_with(promise))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_fence_is_seen() {
    is_seen(Bug::NoFence, &[Fault::LoseRedisUnderZombie; 2], "I6").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_acknowledgement_is_seen() {
    // What Redis lost before excuses nothing.
    is_seen(
        Bug::AckBeforeCommit,
        &[Fault::LoseRedis, Fault::KillWorkers, Fault::KillWorkers, Fault::KillWorkers],
        "I3",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_to_the_tail_is_seen() {
    // Of a batch that dies at one point after the other only lone commands are left, which have no tail to go to.
    let faults = [Fault::WorkersDieAtPoints, Fault::KillWorkers, Fault::WorkersDieAtPoints, Fault::KillWorkers];
    is_seen(Bug::RetryToTheTail, &faults, "I4 decided").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_without_meaning_are_seen() {
    is_seen(Bug::NoIdempotency, &[Fault::LoseRedis, Fault::FlushScripts], "I3").await;
}

/// A fault that touches everybody, looked at as if it were one of one lane.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long"]
async fn a_slower_pace_is_seen() {
    let report = tried(Plan { paced: |_| true, ..plan(vec![Fault::CutPostgres]) }).await;
    assert!(breaks(&report, "I8"), "{report:#?}");
}
