//! What an expression names: enough of PromQL to see whether it can mean something.

use std::collections::BTreeSet;

/// What Prometheus itself knows of every target.
const OF_PROMETHEUS: [&str; 2] = ["up", "ALERTS"];

/// The selectors of series in an expression, `up{job="api"}`, without the time that they reach back.
pub fn selectors(expression: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':' | '"')) {
        rest = &rest[start..];
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = quoted.split_once('"').map_or("", |(_, after)| after);
            continue;
        }
        let name_end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))).unwrap_or(rest.len());
        let name = &rest[..name_end];
        let labels =
            if rest[name_end..].starts_with('{') { rest[name_end..].find('}').map_or(0, |end| end + 1) } else { 0 };
        if name.starts_with("droplane_") || name.contains(':') || OF_PROMETHEUS.contains(&name) {
            found.push(&rest[..name_end + labels]);
        }
        rest = &rest[name_end + labels..];
    }
    found
}

/// The name of the series that a selector selects.
pub fn name_of(selector: &str) -> &str {
    selector.split('{').next().unwrap_or(selector)
}

/// The labels that an expression groups, joins or selects by.
pub fn labels(expression: &str) -> BTreeSet<&str> {
    let lists = ["by (", "on (", "ignoring ("].iter().flat_map(|start| expression.split(start).skip(1));
    let listed = lists.filter_map(|rest| rest.split(')').next()).flat_map(|list| list.split(','));
    let braces = selectors(expression).into_iter().filter_map(|selector| selector.split_once('{'));
    let selected = braces.flat_map(|(_, rest)| rest.split(',')).filter_map(|part| part.split(['=', '!']).next());
    listed.chain(selected).map(str::trim).filter(|label| !label.is_empty()).collect()
}

#[test]
fn selectors_are_found_in_expressions() {
    let rows: [(&str, &[&str]); 6] = [
        ("up == 0", &["up"]),
        ("absent(up{job=\"api\"}) or absent(up{job=\"workers\"})", &["up{job=\"api\"}", "up{job=\"workers\"}"]),
        ("sum by (group) (rate(droplane_x_total{a=\"b\"}[1m])) > 0", &["droplane_x_total{a=\"b\"}"]),
        ("a:b:c > 0\nunless on (group) d:e", &["a:b:c", "d:e"]),
        ("time() - max by (le) (droplane_y)", &["droplane_y"]),
        ("label_replace(x, \"up\", \"a:b\", \"\", \"\")", &[]),
    ];
    for (expression, want) in rows {
        assert_eq!(selectors(expression), want, "{expression}");
    }
}

#[test]
fn labels_are_found_in_expressions() {
    let expression = "sum by (group, le) (x:y{reason=~\"a|b\", state!=\"idle\"}) >= ignoring (state) on (job) up";
    assert_eq!(Vec::from_iter(labels(expression)), ["group", "job", "le", "reason", "state"]);
}
