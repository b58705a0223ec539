//! The files as a browser meets them: nothing comes from elsewhere, nothing is missing, and everything is said in both
//! languages.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};

/// All files by name, as text.
fn files() -> BTreeMap<String, String> {
    let names: Vec<String> = web::names().map(|name| name.into_owned()).collect();
    let text = |name: &str| String::from_utf8(web::file(name).unwrap().bytes.into_owned()).unwrap();
    let files: BTreeMap<String, String> = names.into_iter().map(|name| (name.clone(), text(&name))).collect();
    for page in [web::SHOP, web::ADMIN] {
        assert!(files.contains_key(page), "{page}");
    }
    files
}

fn of_kind<'a>(files: &'a BTreeMap<String, String>, ending: &str) -> Vec<(&'a str, &'a str)> {
    let all = files.iter().filter(|(name, _)| name.ends_with(ending));
    all.map(|(name, text)| (name.as_str(), text.as_str())).collect()
}

fn folder(name: &str) -> &str {
    name.split_once('/').unwrap().0
}

/// What stands between `before` and the next quote, wherever it occurs.
fn quoted_after<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn nothing_comes_from_elsewhere() {
    /// The only addresses that are names, and are never asked.
    const NAMESPACES: &str = "http://www.w3.org/";
    for (name, text) in &files() {
        let ours = text.replace(NAMESPACES, "");
        for elsewhere in ["http:", "https:", "ws://", "wss://", "data:image", "\"//", "'//", "`//", "(//", "=//"] {
            assert!(!ours.contains(elsewhere), "{name} says {elsewhere}");
        }
    }
}

#[test]
fn pages_hold_no_script_and_no_style() {
    let files = files();
    for (name, text) in of_kind(&files, ".html") {
        for tag in text.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
            let mut words = tag.split_whitespace();
            let element = words.next().unwrap();
            assert!(element != "style" && (element != "script" || tag.contains(" src=\"")), "{name}: <{tag}>");
            assert!(!words.any(|word| word.starts_with("on") || word.starts_with("style=")), "{name}: <{tag}>");
        }
    }
    for (name, text) in of_kind(&files, ".js") {
        // What somebody wrote must never be read as markup or as a script.
        for way in [
            "nerHTML = ",
            "nerHTML=",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(\"",
            "style:",
            "\"style\"",
            ".style.",
        ] {
            assert!(!text.contains(way), "{name} says {way}");
        }
        // An operator's token must not outlive its tab.
        assert!(folder(name) != "admin" || !text.contains("localStorage"), "{name} keeps something for ever");
    }
}

#[test]
fn every_reference_leads_to_a_file_and_every_script_is_referred_to() {
    let files = files();
    let mut seen = 0;
    let mut scripts: BTreeSet<String> = of_kind(&files, ".js").into_iter().map(|(name, _)| name.to_owned()).collect();
    for (name, text) in of_kind(&files, ".html") {
        for address in quoted_after(text, " src=\"").into_iter().chain(quoted_after(text, " href=\"")) {
            let file = address.strip_prefix("/web/").unwrap_or_else(|| panic!("{name}: {address} is not ours"));
            assert!(web::file(file).is_some(), "{name}: {address} is not there");
            scripts.remove(file);
            seen += 1;
        }
    }
    for (name, text) in of_kind(&files, ".js") {
        let imports = quoted_after(text, " from \"").into_iter().chain(quoted_after(text, "import \""));
        for address in imports {
            let file = match (address.strip_prefix("./"), address.strip_prefix("../")) {
                (Some(beside), _) => format!("{}/{beside}", folder(name)),
                (_, Some(other)) => other.to_owned(),
                _ if address.starts_with("/web/") => address["/web/".len()..].to_owned(),
                _ => panic!("{name}: {address} is not ours"),
            };
            assert!(files.contains_key(&file), "{name}: {address} is not there");
            scripts.remove(&file);
            seen += 1;
        }
    }
    assert!(scripts.is_empty(), "nothing loads {scripts:?}");
    assert!(seen > 50, "{seen} references were found");
}

/// The texts of a script: each key with what it says in Korean and in English.
fn texts_of<'a>(name: &str, script: &'a str) -> Vec<(&'a str, [&'a str; 2])> {
    let mut found = Vec::new();
    for block in script.split("addTexts({").skip(1) {
        let mut rest = block;
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            if let Some(comment) = rest.strip_prefix("//") {
                rest = comment.split_once('\n').unwrap().1;
                continue;
            }
            if rest.starts_with('}') {
                break;
            }
            let (key, list) = rest.split_once(':').unwrap();
            let mut parts = list.trim_start().strip_prefix('[').unwrap_or_else(|| panic!("{name}: {key}"));
            let texts = [(); 2].map(|()| {
                parts = parts.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
                let quote = parts.chars().next().unwrap();
                assert!(['"', '`'].contains(&quote), "{name}: {key} is no text: {}", &parts[..parts.len().min(40)]);
                let (text, after) = parts[1..].split_once(quote).unwrap();
                parts = after;
                text
            });
            let after = parts.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            rest = after.strip_prefix(']').unwrap_or_else(|| panic!("{name}: {key} has more than two texts"));
            found.push((key.trim_matches('"'), texts));
        }
    }
    found
}

/// The places of a text that are filled when it is shown.
fn places(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect()
}

#[test]
fn everything_is_said_in_both_languages() {
    let files = files();
    let mut known: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (name, script) in of_kind(&files, ".js").into_iter().filter(|(name, _)| *name != "shared/language.js") {
        for (key, [korean, english]) in texts_of(name, script) {
            assert!(!korean.trim().is_empty() && !english.trim().is_empty(), "{name}: {key}");
            let is_hangul = |c: char| ('가'..='힣').contains(&c);
            assert!(!english.chars().any(is_hangul), "{name}: {key} is Korean twice");
            assert_eq!(places(korean), places(english), "{name}: {key}");
            assert!(known.insert((folder(name), key)), "{name}: {key} is said twice");
        }
    }
    assert!(known.len() > 100, "{} texts were found", known.len());
    for (name, script) in of_kind(&files, ".js") {
        for (before, key) in
            script.match_indices("text(\"").map(|(at, call)| (&script[..at], &script[at + call.len()..]))
        {
            let key = key.split('"').next().unwrap();
            let is_other = before.ends_with(|c: char| c.is_alphanumeric() || "._".contains(c));
            let is_known = known.contains(&(folder(name), key)) || known.contains(&("shared", key));
            assert!(is_other || is_known, "{name}: there is no text {key}");
        }
    }
}

#[test]
fn files_are_told_apart_by_what_is_in_them() {
    let tags: BTreeSet<String> = web::names().filter_map(|name| web::file(&name)).map(|file| file.etag).collect();
    let different: BTreeSet<String> = files().into_values().collect();
    assert_eq!(tags.len(), different.len());
    for nothing in ["shop/nothing.js", "shop", "", "shop/../shop/shop.js", "../Cargo.toml", "shop/index"] {
        assert!(web::file(nothing).is_none(), "{nothing}");
    }
}
