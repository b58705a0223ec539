//! The repository as text.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Folders that no walk enters: what is built, what git keeps, what a demo leaves.
const SKIPPED_FOLDERS: [&str; 3] = ["target", ".git", ".droplane"];

/// The rules themselves, full of what they forbid. Only their length counts.
const RULES: &str = "stack/tests/tidy";

/// Paths from the top, with `/` between folders, and the text of each. What is not text is not here.
#[derive(Debug, Default)]
pub struct Repository(BTreeMap<String, String>);

impl Repository {
    /// This repository as it lies on the disk, with what is not committed yet.
    pub fn read() -> Repository {
        let top = top();
        let paths = listed_by_git(&top).unwrap_or_else(|| walked(&top));
        let texts = paths.into_iter().filter_map(|path| {
            let text = fs::read_to_string(top.join(&path)).ok()?;
            let text = if path.starts_with(RULES) { "\n".repeat(text.lines().count()) } else { text };
            Some((path, text))
        });
        Repository(texts.collect())
    }

    /// One that is made up.
    pub fn of(files: &[(&str, &str)]) -> Repository {
        Repository(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    pub fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Files below a folder with one of these endings.
    pub fn below(&self, folder: &str, endings: &[&str]) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(move |(path, _)| path.starts_with(folder) && endings.contains(&ending(path)))
    }

    /// Whether a document may speak of this path: from the top, or shortened from the left.
    pub fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let inside = format!("/{path}");
        self.files().any(|(file, _)| {
            let file = format!("/{file}");
            file.ends_with(&inside) || file.contains(&format!("{inside}/"))
        })
    }

    pub fn has_top_folder(&self, name: &str) -> bool {
        self.files().any(|(path, _)| path.split_once('/').is_some_and(|(folder, _)| folder == name))
    }
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What is committed, and what is new and not ignored; `None` where there is no git, as in an unpacked archive.
fn listed_by_git(top: &Path) -> Option<Vec<String>> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").arg("-C").arg(top).args(list).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(text.split_terminator('\0').map(str::to_owned).collect())
}

fn walked(top: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(top.join(&folder)).expect("the folder can be read") {
            let entry = entry.expect("an entry of the folder");
            let path = format!("{folder}{}", entry.file_name().to_string_lossy());
            if !entry.path().is_dir() {
                paths.push(path);
            } else if !SKIPPED_FOLDERS.contains(&path.as_str()) {
                folders.push(path + "/");
            }
        }
    }
    paths
}

/// What stands behind the last dot of a file's name.
pub fn ending(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or("", |(_, ending)| ending)
}

/// The source without its tests, and its tests.
pub fn split_tests<'a>(path: &str, text: &'a str) -> (&'a str, &'a str) {
    if format!("/{path}").contains("/tests/") || path.ends_with("/tests.rs") {
        return ("", text);
    }
    let module = |at: &usize| text[*at..].lines().nth(1).is_some_and(|line| line.ends_with('{'));
    let start = text.match_indices("#[cfg(test)]\nmod ").map(|(at, _)| at).find(module);
    text.split_at(start.unwrap_or(text.len()))
}

/// Lines with their numbers, for a message that can be followed.
pub fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// Whether `text` has `word` with no letter, digit or underscore beside it.
pub fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (text[..at].chars().next_back(), text[at + word.len()..].chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[test]
fn without_git_the_same_files_are_found() {
    let top = top();
    let walked = walked(&top);
    let listed = listed_by_git(&top).unwrap_or_else(|| walked.clone());
    // Listed files may be deleted and not committed yet.
    let missed: Vec<_> = listed.iter().filter(|path| top.join(path).is_file() && !walked.contains(path)).collect();
    assert!(missed.is_empty(), "{missed:?}");
    assert!(walked.iter().any(|path| path == "Cargo.toml"), "the top was found");
}

#[test]
fn tests_are_told_from_what_is_tested() {
    let rows = [
        ("a/src/x.rs", "code\n#[cfg(test)]\nmod tests {\n", "code\n"),
        ("a/src/x.rs", "#[cfg(test)]\nmod tests;\ncode\n", "#[cfg(test)]\nmod tests;\ncode\n"),
        ("a/src/x/tests.rs", "code", ""),
        ("a/tests/x.rs", "code", ""),
        ("tests/x.rs", "code", ""),
    ];
    for (path, text, code) in rows {
        assert_eq!(split_tests(path, text).0, code, "{path}");
    }
}

#[test]
fn words_end_where_letters_end() {
    for (text, word, want) in [
        ("an order.", "order", true),
        ("orders", "order", false),
        ("reorder", "order", false),
        ("order_lines", "order", false),
        ("orders, order", "order", true),
        ("", "order", false),
    ] {
        assert_eq!(has_word(text, word), want, "{text}");
    }
}
