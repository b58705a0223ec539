//! What is built in keeps to `deny.toml`: licences, versions, where it comes from. Known weaknesses are asked for by hand,
//! because they change by the day and no change here is to blame for it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What `cargo deny` complains of by this configuration; nothing if all is well.
fn complaint(config: &Path) -> Option<String> {
    let mut deny = Command::new("cargo");
    deny.args(["deny", "--locked", "--config"]).arg(config).args(["check", "--hide-inclusion-graph"]);
    // An exception goes with its cause.
    deny.args(["--deny", "unmatched-skip"]);
    let output = deny.args(["licenses", "bans", "sources"]).current_dir(top()).output().unwrap();
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn what_is_built_in_keeps_to_the_rules() {
    let version = Command::new("cargo").args(["deny", "--version"]).output();
    if !version.is_ok_and(|output| output.status.success()) {
        stack::tell_skipped("there is no cargo-deny here (cargo install --locked cargo-deny)");
        return;
    }
    let path = top().join("deny.toml");
    assert_eq!(complaint(&path), None);

    // Rules that let nothing of this shop through are noticed.
    let (rules, folder) = (fs::read_to_string(path).unwrap(), tempfile::tempdir().unwrap());
    let rows = [
        ("skip = [", "skip = [\n  { crate = \"serde@0.9\", reason = \"none\" },", "error[unmatched-skip]"),
        ("  \"ISC\",\n", "", "error[rejected]"),
        ("  { crate = \"sha2@0.10\"", "  # ", "error[duplicate]"),
        ("rust-lang/crates.io-index", "another/index", "error[source-not-allowed]"),
    ];
    for (text, instead, want) in rows {
        let stricter = rules.replacen(text, instead, 1);
        assert!(stricter != rules, "{text} is not in deny.toml");
        let config = folder.path().join("deny.toml");
        fs::write(&config, stricter).unwrap();
        let got = complaint(&config).unwrap_or_default();
        assert!(got.contains(want), "without {text}: {got}");
    }
}

/// The features of all that such a build contains.
fn features(selection: &[&str]) -> String {
    let mut tree = Command::new("cargo");
    tree.args(["tree", "--locked", "--edges", "no-dev,features", "--prefix", "none"]).args(selection);
    let output = tree.current_dir(top()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Programs that end at a fault point when they are told to are for tests alone.
#[test]
fn what_is_built_for_a_shop_cannot_be_made_to_fail() {
    const FEATURE: &str = "runtime feature \"fault-points\"";
    for selection in [&[][..], &["-p", "api", "-p", "workers"]] {
        assert!(!features(selection).contains(FEATURE), "{selection:?}");
    }
    assert!(features(&["--workspace"]).contains(FEATURE));
}
