//! The first tickets in their order, each coloured by its outcome: whether the first who came were the first who were
//! served can be seen at a glance.

use std::fmt::Write as _;

use super::escape;
use crate::report::words;

const TICKETS_PER_ROW: usize = 100;
const CELL: usize = 10;

/// The class of an outcome's colour.
fn class(outcome: &str) -> &'static str {
    match outcome {
        "SUCCEEDED" => "yes",
        "C001" => "no1",
        "P002" => "no2",
        "PAY001" => "no3",
        "C005" => "no4",
        _ => "no5",
    }
}

/// Rows of tickets, from left to right and from top to bottom; an empty text if there are none.
pub fn strip(outcomes: &[String]) -> String {
    if outcomes.is_empty() {
        return String::new();
    }
    let rows = outcomes.len().div_ceil(TICKETS_PER_ROW);
    let (width, height) = (TICKETS_PER_ROW * CELL, rows * CELL);
    let mut svg = format!(
        r#"<svg class="strip" viewBox="0 0 {width} {height}" role="img" aria-label="outcomes in the order of tickets">"#
    );
    for (row, outcomes) in outcomes.chunks(TICKETS_PER_ROW).enumerate() {
        let mut column = 0;
        // Neighbours with the same outcome are one rectangle.
        for alike in outcomes.chunk_by(|a, b| a == b) {
            let (x, y, wide, high) = (column * CELL, row * CELL, alike.len() * CELL, CELL - 1);
            let first = row * TICKETS_PER_ROW + column + 1;
            let last = first + alike.len() - 1;
            let (class, outcome) = (class(&alike[0]), escape(&alike[0]));
            // Writing to a String cannot fail.
            let _ = write!(
                svg,
                r#"<rect class="{class}" x="{x}" y="{y}" width="{wide}" height="{high}"><title>{first}–{last}: {outcome}</title></rect>"#
            );
            column += alike.len();
        }
    }
    svg.push_str("</svg>");
    svg
}

/// Which colour is what, for the outcomes that occur.
pub fn legend(outcomes: &[String]) -> String {
    let mut different: Vec<&str> = outcomes.iter().map(String::as_str).collect();
    different.sort_unstable();
    different.dedup();
    // Good news first.
    different.sort_by_key(|outcome| *outcome != "SUCCEEDED");
    let entry = |outcome: &&str| {
        let (class, name, meaning) = (class(outcome), escape(outcome), words::meaning(outcome));
        format!(r#"<span><i class="{class}"></i>{name} {meaning}</span>"#)
    };
    format!(r#"<p class="legend">{}</p>"#, different.iter().map(entry).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_joined_within_a_row() {
        let mut outcomes = vec!["SUCCEEDED".to_owned(); 150];
        outcomes.extend(vec!["C001".to_owned(); 50]);
        let svg = strip(&outcomes);
        assert!(svg.contains(r#"viewBox="0 0 1000 20""#), "{svg}");
        for title in ["1–100: SUCCEEDED", "101–150: SUCCEEDED", "151–200: C001"] {
            assert!(svg.contains(title), "{title}");
        }
        assert_eq!(svg.matches("<rect").count(), 3);
        assert_eq!(strip(&[]), "");
    }

    #[test]
    fn the_legend_begins_with_the_good_news() {
        let outcomes = ["P002", "C001", "SUCCEEDED", "C001"].map(str::to_owned);
        let legend = legend(&outcomes);
        let places: Vec<_> = ["SUCCEEDED", "C001", "P002"].map(|code| legend.find(code).unwrap()).into();
        assert!(places.is_sorted(), "{legend}");
        assert_eq!(legend.matches("<span>").count(), 3);
    }
}
