//! Axe-core: the rules of accessibility that a program can check. It is fetched from npm below the build folder.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::browser::Browser;

/// Pinned: later versions know other rules.
const PACKAGE: &str = "axe-core@4.14.1";
const SCRIPT: &str = "package/axe.min.js";

/// What is reported; the lesser ones are advice.
const SERIOUS: [&str; 2] = ["serious", "critical"];

/// The script; none where it cannot be had, which is told.
#[expect(clippy::print_stdout, reason = "a test that looks at nothing says so")]
pub fn script_or_none() -> Option<String> {
    script().map_err(|why| println!("skipped: accessibility is not checked, there is no axe-core: {why}")).ok()
}

/// The script, fetched once for all runs.
fn script() -> Result<String, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PACKAGE);
    let file = folder.join(SCRIPT);
    if !file.is_file() {
        fetch(&folder)?;
    }
    std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))
}

fn fetch(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let run =
        |program: &str, arguments: &[&str]| match Command::new(program).args(arguments).current_dir(folder).output() {
            Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            Ok(output) => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
            Err(error) => Err(format!("{program}: {error}")),
        };
    let archive = run("npm", &["pack", "--silent", PACKAGE])?;
    run("tar", &["-xzf", &archive, SCRIPT]).map(drop)
}

/// Fails if the page as it is now breaks a rule seriously.
pub async fn check(browser: &Browser, axe: &str, what: &str) {
    browser.run(axe).await;
    let found = browser
        .run_to_end(
            "const done = arguments[arguments.length - 1]; axe.run().then((r) => done(r), (e) => done(String(e)))",
        )
        .await;
    let passed = found["passes"].as_array().unwrap_or_else(|| panic!("{what}: axe did not run: {found}"));
    assert!(passed.len() > 5, "{what}: axe looked at hardly anything: {passed:?}");
    let broken: Vec<String> = found["violations"].as_array().unwrap().iter().filter_map(serious).collect();
    assert!(broken.is_empty(), "{what}:\n{}", broken.join("\n"));
}

/// A violation in words, if it is serious.
fn serious(violation: &Value) -> Option<String> {
    SERIOUS.contains(&violation["impact"].as_str()?).then(|| {
        let nodes = violation["nodes"].as_array().into_iter().flatten();
        let places: Vec<String> = nodes.map(|node| format!("{} {}", node["html"], node["failureSummary"])).collect();
        format!("{}: {}\n  {}", violation["id"], violation["help"], places.join("\n  "))
    })
}
