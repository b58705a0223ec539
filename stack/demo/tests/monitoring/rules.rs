//! The rules in promtool, and that every alert is tried: silent while all is well, and firing when it is not.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use crate::files::{RULES, monitoring, rules, rules_path, text};
use crate::tools;

const TESTS: [&str; 3] = ["promises", "outside", "machinery"];

fn run(mut promtool: Command, words: &[&str], files: &[PathBuf]) {
    let output = promtool.args(words).args(files).output().expect("promtool runs");
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "promtool {}:\n{said}", words.join(" "));
}

#[test]
fn promtool_accepts_the_configuration_and_the_rules() {
    let Some(tools) = tools() else {
        return;
    };
    run(tools.promtool(), &["check", "config"], &[monitoring().join("prometheus.yml")]);
    run(tools.promtool(), &["check", "rules"], &RULES.map(rules_path));
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    let Some(tools) = tools() else {
        return;
    };
    run(tools.promtool(), &["test", "rules"], &TESTS.map(|name| monitoring().join(format!("tests/{name}.yml"))));
}

#[test]
fn every_alert_is_tried_firing_and_silent() {
    let alerts: BTreeSet<String> =
        rules("alerts").into_iter().filter(|rule| rule.is_alert).map(|rule| rule.name).collect();
    let (mut firing, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for name in TESTS {
        // Each question ends with what is expected: a list that is empty, or one with samples.
        let tests = text(&format!("tests/{name}.yml"));
        for question in tests.split("- expr: ").skip(1) {
            let alert =
                question.split("alertname=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an alert");
            let expected = question.split("exp_samples:").nth(1).expect("what is expected");
            let tried = if expected.trim_start().starts_with("[]") { &mut silent } else { &mut firing };
            tried.insert(alert.to_owned());
        }
    }
    assert_eq!(firing, alerts);
    assert_eq!(silent, alerts);
}
