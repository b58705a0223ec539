//! The whole benchmark with the real program, as small as can be: every part runs, and what it writes can be read.

use std::path::Path;
use std::process::Command;

#[test]
fn every_part_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("bench.json");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"));
    bench.args(["--tiny", "--connections", "16"]).arg("--orders").arg(sample).arg("--json").arg(&json);
    let output = bench.output().unwrap();
    assert!(output.status.success(), "{output:?}");

    let table = String::from_utf8(output.stdout).unwrap();
    for row in [
        "| coupon claims, one coupon: accepted **and committed**",
        "| orders of two of 1,000 products, 2 lines each: accepted **and committed**",
        "| orders sharing one hot product, 2 lines each: accepted **and committed**",
        "| orders sharing one hot product: Droplane beside the usual way",
        "| real orders, ",
        "(70 %): time to outcome, p99",
        "two workers processes beside one",
        "can be done: done, as a part of that | **",
        "| coupon claims, the usual way (16 connections, no HTTP)",
        "| two-product orders: Droplane beside the usual way",
        "| one row committed alone",
        "Audit afterwards: every promise was kept.",
    ] {
        assert!(table.contains(row), "{row} is missing in\n{table}");
    }

    let results: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let length = |name: &str| results[name].as_array().unwrap().len();
    assert_eq!((length("rates"), length("latencies"), length("secondWorkers")), (4, 4, 2));
    for rate in results["rates"].as_array().unwrap() {
        assert!(rate["committedPerSecond"]["median"].as_f64().unwrap() > 0.0, "{rate}");
        assert!(rate["cores"]["postgres"].as_f64().is_some(), "{rate}");
    }
    assert!(results["usualWay"]["claimsPerSecond"]["median"].as_f64().unwrap() > 0.0);
    assert_eq!(results["audit"], "clean");
}

#[test]
fn a_latency_without_a_rate_is_refused_at_once() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).args(["--only", "latency"]).output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("add claims or orders"), "{error}");
}
