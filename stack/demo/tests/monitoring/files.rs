//! The files below `monitoring/`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The dashboards, each with a page beside it.
pub const DASHBOARDS: [&str; 2] = ["promises", "machinery"];

/// The files of rules, as Prometheus is told of them.
pub const RULES: [&str; 2] = ["recording", "alerts"];

/// What stands in the place of Grafana's own variables, wherever an expression is asked for outside of it.
const RATE_INTERVAL: &str = "1m";

pub fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../monitoring").canonicalize().expect("monitoring/ is there")
}

pub fn text(path: &str) -> String {
    let path = monitoring().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn rules_path(name: &str) -> PathBuf {
    monitoring().join(format!("rules/{name}.yml"))
}

pub fn dashboard(name: &str) -> Value {
    serde_json::from_str(&text(&format!("grafana/dashboards/{name}.json"))).expect("a dashboard is JSON")
}

/// The page beside a dashboard.
pub fn page(name: &str) -> String {
    text(&format!("grafana/dashboards/{name}.md"))
}

/// All panels of a dashboard, rows and what is folded into them included.
pub fn panels(dashboard: &Value) -> Vec<&Value> {
    let mut all = Vec::new();
    let mut rest: Vec<&Value> = dashboard["panels"].as_array().expect("panels").iter().collect();
    while let Some(panel) = rest.pop() {
        rest.extend(panel["panels"].as_array().into_iter().flatten());
        all.push(panel);
    }
    all
}

/// What a panel asks, as Grafana would send it.
pub fn expressions(panel: &Value) -> Vec<String> {
    let targets = panel["targets"].as_array().into_iter().flatten();
    targets
        .map(|target| target["expr"].as_str().expect("an expression").replace("$__rate_interval", RATE_INTERVAL))
        .collect()
}

/// Every expression of every panel, with the name of the dashboard and the title of the panel.
pub fn asked_by_panels() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for name in DASHBOARDS {
        for panel in panels(&dashboard(name)) {
            let title = format!("{name}: {}", panel["title"].as_str().expect("a title"));
            all.extend(expressions(panel).into_iter().map(|expression| (title.clone(), expression)));
        }
    }
    all
}

/// A rule, as far as the tests read its file.
#[derive(Debug, Default)]
pub struct Rule {
    pub name: String,
    pub is_alert: bool,
    pub expression: String,
}

/// The rules of a file. Each begins with its name, and a folded expression stands deeper than its key.
pub fn rules(name: &str) -> Vec<Rule> {
    let text = text(&format!("rules/{name}.yml"));
    let mut rules: Vec<Rule> = Vec::new();
    let mut folded_below = None;
    for line in text.lines() {
        let (indent, line) = (line.len() - line.trim_start().len(), line.trim());
        if folded_below.is_some_and(|key| indent <= key) {
            folded_below = None;
        }
        let start = line.strip_prefix("- alert: ").map(|name| (name, true));
        if let Some((name, is_alert)) = start.or_else(|| line.strip_prefix("- record: ").map(|name| (name, false))) {
            rules.push(Rule { name: name.to_owned(), is_alert, expression: String::new() });
        } else if let Some(rule) = rules.last_mut() {
            match line.strip_prefix("expr: ") {
                Some(">-") => folded_below = Some(indent),
                Some(expression) => rule.expression = expression.to_owned(),
                None if folded_below.is_some() => rule.expression += &format!(" {line}"),
                None => {}
            }
        }
    }
    assert!(rules.iter().all(|rule| !rule.expression.trim().is_empty()), "{rules:?}");
    rules
}
