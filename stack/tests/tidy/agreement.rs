//! What is said in two places, and must be the same in both.

use std::collections::BTreeSet;

use crate::{
    RULES, Report,
    repository::{Repository, ending, has_word, numbered, split_tests},
};

/// Where a shopper's or an operator's settings are explained.
const SETTINGS_DOCUMENTS: [&str; 2] = [".env.example", "README.md"];

const DOCUMENTS: [&str; 6] =
    ["ARCHITECTURE.md", "README.md", THREATS, "docs/FAULTS.md", "lanes/README.md", "monitoring/README.md"];

/// What the shop is attacked with, a row of a table for each.
const THREATS: &str = "THREAT_MODEL.md";

/// How a row says that nothing can be tested, and why.
const UNTESTED: &str = "no test:";

/// Endings by which a document's word is known to be meant as a file.
const FILE_ENDINGS: [&str; 11] = ["css", "example", "html", "js", "lua", "md", "rs", "sh", "sql", "toml", "yml"];

const METRICS: &str = "runtime/src/metrics.rs";

pub fn members_inherit_the_lints(repository: &Repository, report: &mut Report) {
    for member in members(repository) {
        let path = format!("{member}/Cargo.toml");
        match repository.text(&path) {
            Some(manifest) if manifest.contains("[lints]\nworkspace = true") => {}
            Some(_) => report.broken(&path, 1, "does not say `[lints] workspace = true`".to_owned()),
            None => report.broken("Cargo.toml", 1, format!("names the member {member}, which has no manifest")),
        }
    }
}

/// The folders of the workspace's crates.
fn members(repository: &Repository) -> Vec<&str> {
    let manifest = repository.text("Cargo.toml").unwrap_or_default();
    let list = manifest.split_once("\nmembers = [").and_then(|(_, rest)| rest.split_once(']'));
    list.map_or("", |(list, _)| list).split('"').skip(1).step_by(2).collect()
}

pub fn bans_have_reasons_and_hold_everywhere(repository: &Repository, report: &mut Report) {
    let bans = |text: &'static str| move |(_, line): &(usize, &str)| line.trim_start().starts_with(text);
    for (path, text) in repository.files().filter(|(path, _)| path.ends_with("clippy.toml")) {
        for (number, line) in numbered(text).filter(bans("{ path = ")) {
            if !line.contains("reason = \"") {
                report.broken(path, number, "bans without a reason".to_owned());
            }
        }
        // Clippy reads only the nearest file, so a crate with a file of its own would lose the others' bans.
        let of_all = repository.text("clippy.toml").unwrap_or_default();
        let settings = numbered(of_all).filter(|(_, line)| line.contains(" = "));
        for (_, ban) in settings.filter(|(_, ban)| !ban.ends_with('[') && !text.contains(ban)) {
            report.broken(path, 1, format!("does not repeat {}", ban.trim()));
        }
    }
}

pub fn every_metric_is_measured(repository: &Repository, report: &mut Report) {
    let table = repository.text(METRICS).unwrap_or_default();
    let sources: Vec<&str> = repository
        .below("", &["rs"])
        .map(|(path, text)| split_tests(path, text).0)
        .filter(|code| code.contains("metrics"))
        .collect();
    for (number, row) in numbered(table).filter(|(_, line)| is_metric(line)) {
        let function = row.rsplit(", ").find_map(|part| part.split_once('(')).map_or(row, |(name, _)| name);
        let name = row.split_once(" = \"").map_or(row, |(before, _)| before).rsplit(' ').next().unwrap_or(row);
        if !sources.iter().any(|code| calls(code, function) || code.contains(&format!("metrics::{name}"))) {
            report.broken(METRICS, number, format!("{name} is described, and measured by nobody"));
        }
    }
}

fn is_metric(line: &str) -> bool {
    line.contains(" = \"droplane_")
}

/// Whether a source calls the function, as one that it imported or by its path, and not a method of that name.
fn calls(code: &str, function: &str) -> bool {
    let call = format!("{function}(");
    code.lines().filter(|line| !is_metric(line) && !line.contains("fn ")).any(|line| {
        line.match_indices(&call).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.')
        })
    })
}

pub fn settings_are_documented(repository: &Repository, report: &mut Report) {
    let sources: Vec<&str> = repository.below("", &["rs"]).map(|(path, text)| split_tests(path, text).0).collect();
    let declared: BTreeSet<&str> = sources.iter().flat_map(|code| declared_in(code, &sources)).collect();
    for document in SETTINGS_DOCUMENTS {
        let Some(text) = repository.text(document) else {
            report.skipped(document);
            continue;
        };
        let told: BTreeSet<&str> =
            if ending(document) == "md" { explained_in(text) } else { set_in(text) }.into_iter().collect();
        for name in declared.difference(&told) {
            report.broken(document, 1, format!("does not say what {name} is"));
        }
        for name in told.difference(&declared) {
            report.broken(document, 1, format!("speaks of {name}, which no program reads"));
        }
    }
    let example = repository.text(".env.example").unwrap_or_default();
    let lines: Vec<&str> = example.lines().collect();
    for pair in lines.windows(2) {
        if setting(pair[1]).is_some() && (!pair[0].starts_with("# ") || setting(pair[0]).is_some()) {
            report.broken(".env.example", 1, format!("has no line above {}", pair[1]));
        }
    }
}

/// The variables that clap is told of, in groups of arguments that a program takes.
fn declared_in<'a>(code: &'a str, sources: &[&str]) -> Vec<&'a str> {
    let mut taken = true;
    let mut names = Vec::new();
    for line in code.lines() {
        if let Some(group) = line.split("struct ").nth(1).and_then(|rest| rest.split([' ', ';', '<']).next()) {
            let mut others = sources.iter().flat_map(|code| code.lines()).filter(|other| *other != line);
            taken = others.any(|other| has_word(other, group));
        }
        let said = line.split("env = \"").skip(1).filter_map(|rest| rest.split('"').next());
        names.extend(said.filter(|name| taken && is_variable(name)));
    }
    names
}

/// The variables in the first column of the tables.
fn explained_in(text: &str) -> Vec<&str> {
    let cells = text.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter(|name| is_variable(name)).collect()
}

fn set_in(text: &str) -> Vec<&str> {
    text.lines().filter_map(setting).collect()
}

/// `NAME=…`, also where it is only a comment, because the default does.
fn setting(line: &str) -> Option<&str> {
    let (name, _) = line.trim_start_matches("# ").split_once('=')?;
    is_variable(name).then_some(name)
}

fn is_variable(name: &str) -> bool {
    name.contains('_') && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

pub fn migrations_are_numbered(repository: &Repository, report: &mut Report) {
    for ((path, _), number) in repository.below("migrations/", &["sql"]).zip(1..) {
        if !path.starts_with(&format!("migrations/{number:04}_")) {
            report.broken(path, 1, format!("is not number {number:04}"));
        }
    }
}

pub fn every_script_is_run(repository: &Repository, report: &mut Report) {
    let runner = repository.text("lanes/src/script.rs").unwrap_or_default();
    for (path, _) in repository.below("lanes/src/lua/", &["lua"]) {
        let file = path.trim_start_matches("lanes/src/");
        let name = file.trim_start_matches("lua/").trim_end_matches(".lua");
        if !runner.contains(&format!("= \"{name}\",")) && !runner.contains(&format!("\"{file}\"")) {
            report.broken(path, 1, "is not named in lanes/src/script.rs".to_owned());
        }
    }
}

pub fn bounds_have_reasons_and_units(repository: &Repository, report: &mut Report) {
    for (path, text) in repository.files().filter(|(path, _)| path.ends_with("/limits.rs")) {
        let mut above = "";
        for (number, line) in numbered(text) {
            let constant = line.trim_start().strip_prefix("pub const ").and_then(|rest| rest.split_once(':'));
            if let Some((name, kind)) = constant.filter(|(name, _)| !name.contains('(')) {
                if !above.trim_start().starts_with("///") {
                    report.broken(path, number, format!("{name} has no reason above it"));
                }
                if !says_unit(name, kind.split('=').next().unwrap_or_default().trim()) {
                    report.broken(path, number, format!("{name} does not end with its unit"));
                }
                let lines = repository.below("", &["rs"]).flat_map(|(_, text)| text.lines());
                if !lines.filter(|other| *other != line).any(|other| has_word(other, name)) {
                    report.broken(path, number, format!("{name} bounds nothing"));
                }
            }
            above = line;
        }
    }
}

/// Units are plural words, the last of the name; only which end of the range it is, and "in flight", may come behind. A `Duration` and a
/// text carry their unit with them, and a rate names two.
fn says_unit(name: &str, kind: &str) -> bool {
    if kind.ends_with("Duration") || kind == "&str" || name.contains("_PER_") {
        return true;
    }
    let mut words = name.rsplit('_').skip_while(|word| ["MAX", "MIN", "DEFAULT", "FLIGHT", "IN"].contains(word));
    words.next().is_some_and(|unit| unit.ends_with('S') || ["WON", "PERCENT"].contains(&unit))
}

pub fn documents_name_what_exists(repository: &Repository, report: &mut Report) {
    for document in DOCUMENTS {
        let Some(text) = repository.text(document) else {
            report.skipped(document);
            continue;
        };
        for (number, line) in numbered(text) {
            let quoted = line.split('`').skip(1).step_by(2);
            for path in quoted.filter(|word| is_path(repository, word) && !repository.has(word)) {
                report.broken(document, number, format!("names {path}, which is not there"));
            }
        }
    }
}

/// Whether the word can only mean a place in the repository, and no address, type of content or list of choices.
fn is_path(repository: &Repository, word: &str) -> bool {
    let Some((first, _)) = word.split_once('/') else {
        return false;
    };
    let plain = !first.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    let built = ["target", ".droplane"].contains(&first) || word.starts_with("..");
    plain && !built && (FILE_ENDINGS.contains(&ending(word)) || repository.has_top_folder(first))
}

pub fn every_threat_has_its_test(repository: &Repository, report: &mut Report) {
    let Some(text) = repository.text(THREATS) else {
        report.skipped(THREATS);
        return;
    };
    let is_row = |(_, line): &(usize, &str)| line.starts_with("| ") && !line.starts_with("| threat");
    for (number, row) in numbered(text).filter(is_row) {
        if named_tests(row).next().is_none() && !row.contains(UNTESTED) {
            report.broken(THREATS, number, "names no test".to_owned());
        }
    }
}

pub fn tests_that_are_named_exist(repository: &Repository, report: &mut Report) {
    for document in DOCUMENTS {
        for (number, line) in numbered(repository.text(document).unwrap_or_default()) {
            for (file, test) in named_tests(line) {
                // The text of the rules is not read.
                let is_rule = file == "stack/tests/tidy" && RULES.iter().any(|rule| rule.name == test);
                let source = repository.text(&format!("{file}.rs"));
                if !is_rule && !source.is_some_and(|source| has_test(source, test)) {
                    report.broken(document, number, format!("names {file}.rs::{test}, which is not there"));
                }
            }
        }
    }
}

/// The tests that a line names, as `path/to/file.rs::name`, without the ending of the file.
fn named_tests(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split('`').skip(1).step_by(2).filter_map(|word| word.split_once(".rs::"))
}

/// Whether a source has a test of this name, plain or of a property.
fn has_test(source: &str, name: &str) -> bool {
    let function = format!("fn {name}(");
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let is_marked = |at: usize| {
        let marks = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
        marks.into_iter().any(|mark| mark.starts_with("#[test]") || mark.starts_with("#[tokio::test"))
    };
    lines.iter().enumerate().any(|(at, line)| line.contains(&function) && is_marked(at))
}
