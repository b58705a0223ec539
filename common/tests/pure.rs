//! The border of this crate. Decisions are proved from tables and properties, repeated after a crash, and replayed by
//! the audit; all of that ends on the day when a rule reads a clock, draws a lot or asks a server. What is needed from
//! there comes in as an argument.

use std::path::{Path, PathBuf};

const MANIFEST: &str = include_str!("../Cargo.toml");

/// What the rules are made of: the shape of data, the shape of ids and times, the shape of errors.
const ALLOWED_DEPENDENCIES: [&str; 5] = ["serde", "serde_json", "uuid", "chrono", "thiserror"];

/// The manifest cannot hold this line alone: another crate of the workspace may switch on the clock of `chrono` or the
/// lots of `uuid`, and then they can be called from here, too.
const FORBIDDEN_WORDS: [(&str, &str); 11] = [
    ("::now(", "time is an argument"),
    ("SystemTime", "time is an argument"),
    ("Instant", "time is an argument"),
    ("now_v", "ids are arguments"),
    ("new_v", "ids are arguments"),
    ("HashMap", "its order is drawn by lot; a BTreeMap has one order"),
    ("HashSet", "its order is drawn by lot; a BTreeSet has one order"),
    ("RandomState", "nothing is drawn by lot"),
    ("std::env", "settings are arguments"),
    ("std::fs", "rows are loaded by others"),
    ("std::net", "nothing is asked of a server"),
];

#[test]
fn the_manifest_names_no_clock_no_lot_and_no_server() {
    let dependencies: Vec<_> = MANIFEST
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.split(['.', ' ', '=']).next().unwrap_or_default())
        .collect();
    assert_eq!(
        dependencies, ALLOWED_DEPENDENCIES,
        "the rules are pure: what talks to a network, a disk, a clock or a source of chance lives in another crate"
    );
    let others = MANIFEST.lines().filter(|line| line.starts_with('[') && line.contains("dependencies"));
    assert_eq!(others.collect::<Vec<_>>(), ["[dependencies]", "[dev-dependencies]"]);
    // A feature is the other way in: the workspace's own choice for these crates has none of them.
    for feature in ["clock", "\"now\"", "\"v4\"", "\"v7\"", "\"rng\"", "features"] {
        assert!(!MANIFEST.contains(feature), "the manifest switches on {feature}");
    }
}

#[test]
fn the_sources_call_no_clock_no_lot_and_no_server() {
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(files.len() > 10, "the sources were found");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source can be read");
        for (word, reason) in FORBIDDEN_WORDS {
            assert!(!text.contains(word), "{} uses {word}: {reason}", file.display());
        }
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    let paths = entries.map(|entry| entry.expect("an entry of the folder").path());
    paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}
