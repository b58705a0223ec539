//! The files by themselves: dashboards that Grafana can show, pages that tell of them, and no name that nobody exports.

use std::collections::BTreeSet;

use runtime::metrics::{self, Kind};
use serde_json::Value;

use crate::expressions::{labels, name_of, selectors};
use crate::files::{DASHBOARDS, RULES, asked_by_panels, dashboard, expressions, page, panels, rules};

/// Grafana's grid.
const GRID_COLUMNS: u64 = 24;

/// Labels that Prometheus itself gives.
const LABELS_OF_PROMETHEUS: [&str; 4] = ["job", "instance", "le", "severity"];

fn is_row(panel: &Value) -> bool {
    panel["type"] == "row"
}

#[test]
fn every_panel_can_be_shown_and_says_what_it_is() {
    for name in DASHBOARDS {
        let dashboard = dashboard(name);
        let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().expect("a title");
            let of = |member: &str| panel["gridPos"][member].as_u64().unwrap_or_else(|| panic!("{title}: {member}"));
            assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{name}: the id of {title} stands twice");
            assert!(of("x") + of("w") <= GRID_COLUMNS, "{name}: {title} is cut off");
            for (x, y) in (of("x")..of("x") + of("w")).flat_map(|x| (of("y")..of("y") + of("h")).map(move |y| (x, y))) {
                assert!(taken.insert((x, y)), "{name}: {title} lies on another panel");
            }
            if is_row(panel) {
                continue;
            }
            assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{name}: {title}");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{name}: {title} has no unit");
            assert!(panel["fieldConfig"]["defaults"]["thresholds"]["steps"].is_array(), "{name}: {title}");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{name}: {title}");
            assert!(!expressions(panel).is_empty(), "{name}: {title} asks nothing");
        }
        let variables = dashboard["templating"]["list"].as_array().expect("variables");
        assert!(variables.iter().any(|variable| variable["name"] == "datasource" && variable["type"] == "datasource"));
    }
    let uids: BTreeSet<String> = DASHBOARDS.iter().map(|name| dashboard(name)["uid"].to_string()).collect();
    assert_eq!(uids.len(), DASHBOARDS.len());
}

#[test]
fn the_page_beside_a_dashboard_tells_of_its_panels() {
    for name in DASHBOARDS {
        let (dashboard, page) = (dashboard(name), page(name));
        let titles = |rows: bool| {
            let all = panels(&dashboard).into_iter().filter(move |panel| is_row(panel) == rows);
            all.map(|panel| panel["title"].as_str().expect("a title").to_owned()).collect::<BTreeSet<_>>()
        };
        let told = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
        let told: BTreeSet<String> = told.filter(|title| *title != "panel").map(str::to_owned).collect();
        assert_eq!(told, titles(false), "{name}");
        let headings: BTreeSet<String> =
            page.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect();
        assert_eq!(headings, titles(true), "{name}");
    }
}

/// Every expression below `monitoring/`, with where it stands.
fn all_expressions() -> Vec<(String, String)> {
    let of_rules = RULES.iter().flat_map(|file| rules(file)).map(|rule| (rule.name, rule.expression));
    asked_by_panels().into_iter().chain(of_rules).collect()
}

/// The metric of the table that exports a series; a histogram has three.
fn exported(series: &str) -> Option<&'static str> {
    let suffixes = ["_bucket", "_sum", "_count"];
    let found = metrics::ALL.iter().find(|metric| match metric.kind {
        Kind::Histogram(_) => series.strip_prefix(metric.name).is_some_and(|suffix| suffixes.contains(&suffix)),
        Kind::Counter | Kind::Gauge => series == metric.name,
    });
    found.map(|metric| metric.name)
}

#[test]
fn what_is_asked_for_is_exported_and_what_is_exported_is_asked_for() {
    let recorded: BTreeSet<String> = rules("recording").into_iter().map(|rule| rule.name).collect();
    let (mut shown, mut read) = (BTreeSet::new(), BTreeSet::new());
    for (place, expression) in all_expressions() {
        for name in selectors(&expression).into_iter().map(name_of) {
            if name.starts_with("droplane_") {
                shown.insert(exported(name).unwrap_or_else(|| panic!("{place}: nobody exports {name}")));
            } else if name.contains(':') {
                assert!(recorded.contains(name), "{place}: nobody records {name}");
                read.insert(name.to_owned());
            }
        }
    }
    let hidden: Vec<_> = metrics::ALL.iter().map(|metric| metric.name).filter(|name| !shown.contains(name)).collect();
    assert!(hidden.is_empty(), "no panel and no rule asks for {hidden:?}");
    assert_eq!(read, recorded, "what is recorded is asked for");
}

#[test]
fn labels_are_those_of_the_metrics() {
    let known: BTreeSet<&str> =
        metrics::ALL.iter().flat_map(|metric| metric.labels).copied().chain(LABELS_OF_PROMETHEUS).collect();
    for (place, expression) in all_expressions() {
        for label in labels(&expression) {
            assert!(known.contains(label), "{place}: no series has the label {label}");
        }
    }
    for name in DASHBOARDS {
        for panel in panels(&dashboard(name)) {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let legend = target["legendFormat"].as_str().unwrap_or_default();
                for label in legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
                    assert!(known.contains(label), "{name}: {}: {label}", panel["title"]);
                }
            }
        }
    }
}
