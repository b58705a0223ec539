//! Where the programs of Postgres, Redis and Prometheus are; if they are nowhere, they are installed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, bail};

use crate::install;

/// The oldest Postgres whose SQL the shop speaks.
pub(crate) const POSTGRES_MIN_MAJOR: u32 = 15;
/// The oldest Redis whose scripts may carry flags.
pub(crate) const REDIS_MIN_MAJOR: u32 = 7;

/// The oldest Prometheus that knows what our rules ask for.
pub(crate) const PROMETHEUS_MIN_MAJOR: u32 = 2;

/// What can be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Postgres,
    Redis,
    Prometheus,
}

/// A found tool: a folder of programs and the folders their libraries need, if not the usual ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub bin: PathBuf,
    pub libraries: Vec<PathBuf>,
    /// The name of the server program in `bin`.
    pub server: &'static str,
}

impl Found {
    pub fn server(&self) -> PathBuf {
        self.bin.join(self.server)
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// What the programs need in their environment.
    pub fn env(&self) -> Option<(&'static str, OsString)> {
        if self.libraries.is_empty() {
            return None;
        }
        // Folder names with a colon cannot be said in this variable at all.
        let paths = std::env::join_paths(&self.libraries).ok()?;
        Some(("LD_LIBRARY_PATH", paths))
    }
}

impl Tool {
    /// Those that the shop itself needs. Whoever needs one needs the other, too.
    pub const SERVICES: [Tool; 2] = [Tool::Postgres, Tool::Redis];

    pub fn name(self) -> &'static str {
        match self {
            Tool::Postgres => "Postgres",
            Tool::Redis => "Redis",
            Tool::Prometheus => "Prometheus",
        }
    }

    pub fn min_major(self) -> u32 {
        match self {
            Tool::Postgres => POSTGRES_MIN_MAJOR,
            Tool::Redis => REDIS_MIN_MAJOR,
            Tool::Prometheus => PROMETHEUS_MIN_MAJOR,
        }
    }

    /// Sets of programs, any of which will do; the server comes first.
    fn programs(self) -> &'static [&'static [&'static str]] {
        match self {
            Tool::Postgres => &[&["postgres", "initdb"]],
            Tool::Redis => &[&["redis-server"], &["valkey-server"]],
            Tool::Prometheus => &[&["prometheus", "promtool"]],
        }
    }
}

/// Finds the tool, or installs it; found once, remembered for the life of the process.
///
/// # Errors
/// When it is not there and no way to install it works; the error names every way tried.
pub(crate) fn find_or_install(tool: Tool) -> Result<Found> {
    static POSTGRES: Mutex<Option<Found>> = Mutex::new(None);
    static REDIS: Mutex<Option<Found>> = Mutex::new(None);
    static PROMETHEUS: Mutex<Option<Found>> = Mutex::new(None);
    let remembered = match tool {
        Tool::Postgres => &POSTGRES,
        Tool::Redis => &REDIS,
        Tool::Prometheus => &PROMETHEUS,
    };
    let mut remembered = remembered.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(found) = remembered.as_ref() {
        return Ok(found.clone());
    }
    let cache = cache_dir();
    let found = match find(tool, &cache) {
        Ok(found) => found,
        Err(why) => install::install(tool, &cache, &why)?,
    };
    Ok(remembered.insert(found).clone())
}

/// Looks in PATH, in the folders of distributions, and in our cache; the reason if in vain.
pub(crate) fn find(tool: Tool, cache: &Path) -> Result<Found> {
    let mut rejected = Vec::new();
    for (bin, libraries) in places(tool, cache) {
        for programs in tool.programs() {
            if !programs.iter().all(|name| bin.join(name).is_file()) {
                continue;
            }
            let found = Found { bin: bin.clone(), libraries: libraries.clone(), server: programs[0] };
            match major_version(&found) {
                Ok(major) if major >= tool.min_major() => return Ok(found),
                Ok(major) => rejected.push(format!("{} is version {major}", bin.display())),
                Err(error) => rejected.push(format!("{}: {error:#}", bin.display())),
            }
        }
    }
    let seen = if rejected.is_empty() {
        "none is in PATH or where distributions put it".to_owned()
    } else {
        rejected.join("; ")
    };
    bail!("no {} of version {} or later ({seen})", tool.name(), tool.min_major())
}

/// Folders that may hold the tool's programs, best first, each with its own libraries.
#[expect(clippy::disallowed_methods, reason = "the machine says where its programs are, nobody sets it for us")]
fn places(tool: Tool, cache: &Path) -> Vec<(PathBuf, Vec<PathBuf>)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut usual: Vec<PathBuf> = std::env::split_paths(&path).collect();
    usual.extend(["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from));
    let unpacked = cache.join("deb");
    let mut cached = vec![unpacked.join("usr/bin")];
    if tool == Tool::Postgres {
        usual.extend(versions_below(Path::new("/usr/lib/postgresql")));
        usual.push(PathBuf::from("/usr/local/pgsql/bin"));
        cached.extend(versions_below(&unpacked.join("usr/lib/postgresql")));
    }
    let libraries = library_dirs(&unpacked);
    let mut all: Vec<_> = usual.into_iter().map(|bin| (bin, Vec::new())).collect();
    all.extend(cached.into_iter().map(|bin| (bin, libraries.clone())));
    let packages = install::programs_of_packages(tool, cache);
    all.extend(packages.into_iter().map(|bin| (bin, Vec::new())));
    all
}

/// `ROOT/<version>/bin`, newest first.
fn versions_below(root: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, bin)| bin).collect()
}

/// The library folders of packages that were unpacked below `root`.
fn library_dirs(root: &Path) -> Vec<PathBuf> {
    let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
    ["usr/lib", "lib"].iter().map(|lib| root.join(lib).join(&triple)).filter(|dir| dir.is_dir()).collect()
}

fn major_version(found: &Found) -> Result<u32> {
    let output =
        Command::new(found.server()).arg("--version").envs(found.env()).output().context("asking for its version")?;
    // Some say it as a complaint.
    let (text, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    major_in(&text)
        .or_else(|| major_in(&complaint))
        .with_context(|| format!("it does not say its version: {} {}", text.trim(), complaint.trim()))
}

/// The major number in "postgres (PostgreSQL) 15.18 (Debian ...)" or "Redis server v=7.0.15 ...".
fn major_in(text: &str) -> Option<u32> {
    text.split_whitespace().find_map(|word| {
        let number = word.strip_prefix("v=").unwrap_or(word);
        let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    })
}

/// A program of this name in PATH.
#[expect(clippy::disallowed_methods, reason = "the machine says where its programs are, nobody sets it for us")]
pub(crate) fn in_path(name: impl AsRef<Path>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name.as_ref())).find(|candidate| candidate.is_file())
}

/// Where installed tools are kept: `$XDG_CACHE_HOME/droplane`, `~/.cache/droplane`.
#[expect(clippy::disallowed_methods, reason = "the machine says where its programs are, nobody sets it for us")]
pub(crate) fn cache_dir() -> PathBuf {
    let absolute = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    absolute("XDG_CACHE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("droplane")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_programs_say_them() {
        let rows = [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", Some(15)),
            ("postgres (PostgreSQL) 18beta1", Some(18)),
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0", Some(7)),
            ("Valkey server v=8.1.1 sha=00000000:0", Some(8)),
            ("prometheus, version 2.42.0+ds (branch: debian/sid, revision: 2.42.0+ds-5)", Some(2)),
            ("", None),
            ("no number here", None),
        ];
        for (text, want) in rows {
            assert_eq!(major_in(text), want, "{text}");
        }
    }

    #[test]
    fn newer_versions_come_first() {
        let root = tempfile::tempdir().unwrap();
        for name in ["9", "15", "17", "common"] {
            std::fs::create_dir_all(root.path().join(name)).unwrap();
        }
        let found = versions_below(root.path());
        let want = ["17/bin", "15/bin", "9/bin"].map(|bin| root.path().join(bin));
        assert_eq!(found, want);
    }
}
