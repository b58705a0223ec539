//! Whole demos with the real program: the shop opens, sells, keeps its promises, says so, and closes.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use stack::{Launch, Process, wait_for};

const DEADLINE: Duration = Duration::from_secs(120);

/// A small sale, so that a debug build is done with it in seconds.
const SMALL: [&str; 10] =
    ["--shoppers", "300", "--coupons", "30", "--orders-count", "100", "--products", "20", "--connections", "64"];

/// Orders of the sample that become requests, those that are split counted as often as they are split.
const SAMPLE_REQUESTS: u64 = 83;

/// A demo that writes its page into this folder.
fn demo(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command.arg("--report").arg(folder.join("report.html"));
    command
}

/// The same, to be watched while it runs.
fn watched(folder: &Path, args: &[&str]) -> Launch {
    let launch = Launch::new(env!("CARGO_BIN_EXE_demo"), folder.join("demo.log"));
    launch.arg("--report").arg(folder.join("report.html")).args(args.iter().copied())
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("a report is text")
}

/// The number at the beginning of a row's value: 30 of `  succeeded      30`.
fn number(text: &str, part: &str, row: &str) -> u64 {
    let part = text.split("\n\n").find(|lines| lines.starts_with(part)).unwrap_or_else(|| panic!("{part}:\n{text}"));
    let value = part.lines().find_map(|line| line.trim_start().strip_prefix(row)).unwrap_or_else(|| panic!("{row}"));
    let digits: String = value.trim_start().chars().take_while(|c| c.is_ascii_digit() || *c == ',').collect();
    digits.replace(',', "").parse().expect("a number")
}

#[test]
fn a_small_sale_goes_as_promised() {
    let folder = tempfile::tempdir().unwrap();
    let text = text(&demo(folder.path()).args(SMALL).arg("--once").output().unwrap());
    assert_eq!(number(&text, "Coupon claims", "succeeded"), 30, "{text}");
    let accepted = number(&text, "Coupon claims", "accepted");
    assert!((30..=300).contains(&accepted), "{text}");
    assert_eq!(number(&text, "Coupon claims", "decided and committed"), accepted, "{text}");
    assert_eq!(number(&text, "Orders", "accepted"), 100, "{text}");
    assert_eq!(number(&text, "Orders", "decided and committed"), 100, "{text}");
    assert!(number(&text, "Orders", "succeeded") < 100, "some orders cannot be fulfilled:\n{text}");
    assert!(text.contains(&format!("30 winners among {accepted} tickets, 0 out of turn")), "{text}");
    assert!(text.contains("Verdict: every promise was kept") && !text.contains('✘'), "{text}");

    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    for foreign in ["http://", "https://", "<script", "src="] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    // For claims and for orders: the strip of tickets, throughput, batches, and two latencies.
    assert_eq!(page.matches("<svg").count(), 10);
    assert!(page.contains("Every promise was kept."));
}

#[test]
fn real_orders_run_clean_and_a_kept_folder_can_be_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for learn in [&["--prefer-wait"][..], &["--poll", "--rate", "200"]] {
        let mut command = demo(folder.path());
        command.args(["--once", "--connections", "16"]).args(learn);
        let output = command.arg("--orders").arg(sample()).arg("--data").arg(&data).output().unwrap();
        let text = text(&output);
        assert_eq!(number(&text, &format!("Orders: {SAMPLE_REQUESTS} sent"), "accepted"), SAMPLE_REQUESTS);
        assert!(text.contains("Verdict: every promise was kept"), "{text}");
        let succeeded = number(&text, "Orders", "succeeded");
        // The first time there is enough of everything; the second time it is sold.
        let first = learn.contains(&"--prefer-wait");
        assert_eq!(succeeded == SAMPLE_REQUESTS, first, "{text}");
    }
    assert!(data.join("postgres").is_dir());
}

#[test]
fn scarce_stock_is_refused_and_nothing_is_oversold() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = demo(folder.path());
    command.args(["--once", "--stock-factor", "0.5"]).arg("--orders").arg(sample());
    let text = text(&command.output().unwrap());
    assert!(text.contains("× P002 not enough in stock"), "{text}");
    assert!(text.contains("✔ nothing was oversold"), "{text}");
}

#[test]
fn without_once_the_shop_stays_open_until_it_is_told_to_close() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = watched(folder.path(), &SMALL).spawn().unwrap();
    let address = wait_for("the address of the open shop", DEADLINE, || {
        assert!(demo.is_running(), "{}", demo.log());
        let log = demo.log();
        let (_, after) = log.split_once("export API=http://")?;
        Some(after.split_once(' ')?.0.to_owned())
    });
    TcpStream::connect(&address).unwrap();
    demo.sigterm();
    assert!(demo.wait(DEADLINE).unwrap().success(), "{}", demo.log());
    TcpStream::connect(&address).unwrap_err();
}

/// Kills the workers of a demo.
fn kill_workers(demo: &Process) {
    let is_theirs = |pid: &String| {
        let read = |what| std::fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default();
        let parent = format!("PPid:\t{}", demo.pid());
        read("cmdline").contains("serve-workers") && read("status").lines().any(|line| line == parent)
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids: Vec<String> =
        processes.filter_map(|entry| entry.file_name().into_string().ok()).filter(is_theirs).collect();
    assert_eq!(pids.len(), 1);
    assert!(Command::new("kill").arg("-9").args(pids).status().is_ok_and(|status| status.success()));
}

#[test]
fn a_part_of_an_open_shop_that_ends_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = watched(folder.path(), &SMALL).spawn().unwrap();
    wait_for("the open shop", DEADLINE, || demo.log().contains("export API=").then_some(()));
    kill_workers(&demo);
    wait_for("a word of it", DEADLINE, || demo.log().contains("workers has ended").then_some(()));
    demo.sigterm();
    assert!(demo.wait(DEADLINE).unwrap().success(), "{}", demo.log());
}

#[test]
fn a_sale_fails_that_loses_a_part() {
    let folder = tempfile::tempdir().unwrap();
    // More orders than are done before the workers end.
    let many = ["--once", "--orders-count", "100000", "--shoppers", "300", "--products", "20"];
    let mut demo = watched(folder.path(), &many).spawn().unwrap();
    wait_for("the end of the claims", DEADLINE, || demo.log().contains("coupon claims (").then_some(()));
    kill_workers(&demo);
    assert!(!demo.wait(DEADLINE).unwrap().success(), "{}", demo.log());
    assert!(demo.log().contains("workers ended before the sale was over"), "{}", demo.log());
}

#[test]
fn orders_that_are_not_there_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = demo(folder.path()).args(["--once", "--orders", "/nowhere"]).output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("opening /nowhere/products.csv.gz"), "{error}");
}
