//! Axe-core: the rules of accessibility that a program can check. It is fetched from npm below the build folder.

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use crate::browser::Browser;

/// Pinned: later versions know other rules.
const PACKAGE: &str = "axe-core@4.14.1";
const SCRIPT: &str = "package/axe.min.js";

/// What is reported; the lesser ones are advice.
const SERIOUS: [&str; 2] = ["serious", "critical"];

/// The script, fetched once for all runs; none where it cannot be had, which is told once.
pub fn script_or_none() -> Option<&'static str> {
    static SCRIPT: LazyLock<Option<String>> = LazyLock::new(|| {
        let tell =
            |why| stack::tell_skipped(format_args!("nobody looks at accessibility, there is no axe-core: {why}"));
        script().map_err(tell).ok()
    });
    SCRIPT.as_deref()
}

fn script() -> Result<String, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PACKAGE);
    let file = folder.join(SCRIPT);
    if !file.is_file() {
        fetch(&folder)?;
    }
    std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))
}

/// It is whole as soon as it is there: another run may be fetching it, too.
fn fetch(folder: &Path) -> Result<(), String> {
    let own = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|error| error.to_string())?;
    let run = |program: &str, arguments: &[&str]| match Command::new(program).args(arguments).current_dir(&own).output()
    {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Ok(output) => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("{program}: {error}")),
    };
    let archive = run("npm", &["pack", "--silent", PACKAGE])?;
    run("tar", &["-xzf", &archive, SCRIPT])?;
    let renamed = std::fs::rename(own.path(), folder);
    if folder.is_dir() { Ok(()) } else { renamed.map_err(|error| format!("{}: {error}", folder.display())) }
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
