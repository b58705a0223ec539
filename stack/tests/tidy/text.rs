//! What every file keeps to.

use crate::{
    Report,
    repository::{Repository, has_word, numbered, split_tests},
};

const FILE_MAX_LINES: usize = 400;

/// Files that somebody reads from the first to the last line. Documents are read by their headings.
const READ_WHOLE: [&str; 6] = ["rs", "lua", "sql", "js", "css", "html"];

/// Written in halves, because the hunt for such words in other tools would find them here.
const LEFTOVERS: [&str; 4] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

const MACHINE_FOLDERS: [&str; 6] = ["/root/", "/home/", "/tmp/", "/work/", "/mnt/", "/Users/"];

/// Settings that make a build ask somebody's own server for its packages.
const OTHER_REGISTRIES: [&str; 7] =
    ["[source.", "[registries", "[registry]", "replace-with", "index-url", "CARGO_REGISTRIES", "GOPROXY"];

/// One word for one thing: what is not said, and what is said instead.
const ONE_WORD: [(&str, &str); 9] = [
    ("queue name", "lane"),
    ("job id", "request id"),
    ("sequence number", "ticket"),
    ("visibility timeout", "lease"),
    ("dead letter", "parked"),
    ("dead-letter", "parked"),
    ("idempotence key", "idempotency key"),
    ("customer", "shopper"),
    ("purchase", "order"),
];

pub fn files_are_short(repository: &Repository, report: &mut Report) {
    for (path, text) in repository.below("", &READ_WHOLE) {
        let lines = text.lines().count();
        if lines > FILE_MAX_LINES {
            report.broken(path, lines, format!("goes on after line {FILE_MAX_LINES}: split it by verb or by feature"));
        }
    }
}

pub fn tests_do_not_sleep(repository: &Repository, report: &mut Report) {
    for (path, text) in repository.below("", &["rs"]) {
        let (code, tests) = split_tests(path, text);
        for (number, line) in numbered(tests) {
            // A statement that Postgres sleeps over is a fault that is injected, not a wait of the test.
            let ours = line.replace("pg_sleep(", "");
            if ["sleep(", "sleep_until(", "sleep_ms("].iter().any(|call| ours.contains(call)) {
                report.broken(path, code.lines().count() + number, "waits by sleeping".to_owned());
            }
        }
    }
}

pub fn nothing_is_left_undone(repository: &Repository, report: &mut Report) {
    for (path, text) in repository.files() {
        for (number, line) in numbered(text) {
            for word in LEFTOVERS.into_iter().filter(|word| has_word(line, word)) {
                report.broken(path, number, format!("says {word}"));
            }
            if line.trim_start().starts_with("#[ignore]") {
                report.broken(path, number, "ignores a test and does not say why".to_owned());
            }
        }
    }
}

pub fn no_machine_is_named(repository: &Repository, report: &mut Report) {
    for (path, text) in repository.files().filter(|(path, _)| *path != "Cargo.lock") {
        // Those who start servers must test what they make of odd folders.
        let text = if path.starts_with("stack/") { split_tests(path, text).0 } else { text };
        for (number, line) in numbered(text) {
            for folder in MACHINE_FOLDERS.into_iter().filter(|folder| names_folder(line, folder)) {
                report.broken(path, number, format!("names {folder}"));
            }
        }
    }
}

/// Whether an absolute path begins here. `target/tmp/` is somewhere else.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "/.-_$}*".contains(c))
    })
}

pub fn packages_come_from_the_public_registry(repository: &Repository, report: &mut Report) {
    for (path, text) in repository.below("", &["toml", "yml", "yaml", "sh", "lock", ""]) {
        for (number, line) in numbered(text) {
            for setting in OTHER_REGISTRIES.into_iter().filter(|setting| line.contains(setting)) {
                report.broken(path, number, format!("says {setting}"));
            }
            if path == "Cargo.lock"
                && line.starts_with("source = \"registry+")
                && !line.contains("github.com/rust-lang/crates.io-index")
            {
                report.broken(path, number, line.to_owned());
            }
        }
    }
}

pub fn one_word_for_one_thing(repository: &Repository, report: &mut Report) {
    for (path, text) in repository.below("", &["rs", "lua", "sql", "md", "html", "js"]) {
        for (number, line) in numbered(text) {
            let lower = line.to_lowercase();
            for (other, ours) in ONE_WORD.into_iter().filter(|(other, _)| has_word(&lower, other)) {
                report.broken(path, number, format!("says {other:?}; here it is called {ours:?}"));
            }
        }
    }
}
