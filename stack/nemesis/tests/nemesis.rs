//! A fixed choice of faults on a whole shop; all of them, and more than once, take long. `cargo nemesis` has no end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::time::Duration;

use nemesis::faults::Fault;
use nemesis::run::{Plan, Report, run};

const SEED: u64 = 4;

async fn tried(faults: Vec<Fault>) -> Report {
    let plan = Plan {
        program: Path::new(env!("CARGO_BIN_EXE_nemesis")).to_owned(),
        seed: SEED,
        faults,
        time: Duration::ZERO,
        more: Vec::new(),
    };
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
    let report = tried(faults).await;
    assert!(report.is_clean(), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long"]
async fn promises_are_kept_through_every_fault() {
    let report = tried(Plan::all_faults()).await;
    assert!(report.is_clean(), "{report:#?}");
}
