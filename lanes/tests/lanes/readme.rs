//! The README names every key and every script, and no other.

use std::{collections::BTreeSet, fs, path::Path};

/// The first column of the table below a heading: the words in backticks, up to a `<`.
fn column<'a>(readme: &'a str, heading: &str) -> BTreeSet<&'a str> {
    let section = readme.split(heading).nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")).map(|row| row.split(" |").next().unwrap());
    rows.flat_map(|cell| cell.split('`').step_by(2)).map(|word| word.split('<').next().unwrap()).collect()
}

#[test]
fn the_readme_names_what_there_is() {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(crate_dir.join("README.md")).unwrap();

    let mut scripts = BTreeSet::new();
    let mut keys = BTreeSet::new();
    for entry in fs::read_dir(crate_dir.join("src/lua")).unwrap() {
        let path = entry.unwrap().path();
        scripts.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
        let text = fs::read_to_string(&path).unwrap();
        keys.extend(text.split("prefix .. '").skip(1).map(|rest| rest.split('\'').next().unwrap().to_owned()));
    }
    for entry in fs::read_dir(crate_dir.join("src")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            keys.extend(text.split("{prefix}").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
    // Not a script of its own, and names of channels.
    assert!(scripts.remove("prelude") && keys.remove("decided") && keys.remove("wake"));

    let owned = |names: BTreeSet<&str>| names.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(owned(column(&readme, "\n## Keys\n")), keys);
    assert_eq!(owned(column(&readme, "\n## Scripts\n")), scripts);
}
