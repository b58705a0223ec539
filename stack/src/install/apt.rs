//! Debian and its relatives.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::run;
use crate::tools::Tool;

/// Another apt-get may be at work; it is waited for this long.
const APT_LOCK_MAX_S: u32 = 300;

const CREATE_CLUSTER: &str = "/etc/postgresql-common/createcluster.conf";
const SERVICE_POLICY: &str = "/usr/sbin/policy-rc.d";
/// How we know our own policy again, should a killed run have left it.
const SERVICE_POLICY_TEXT: &str = "#!/bin/sh\n# Private servers only: start no service.\nexit 101\n";

fn package(tool: Tool) -> &'static str {
    match tool {
        Tool::Postgres => "postgresql",
        Tool::Redis => "redis-server",
        Tool::Prometheus => "prometheus",
    }
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C")
        .arg("--quiet")
        .arg("-o")
        .arg(format!("DPkg::Lock::Timeout={APT_LOCK_MAX_S}"))
        .args(["-o", "Dpkg::Options::=--force-confold"]);
    command
}

/// Installs the packages without letting them start servers of their own.
pub(super) fn install(tools: &[Tool]) -> Result<()> {
    // Old lists may do; if not, the installation says so.
    let update = run(apt_get().arg("update"));
    if tools.contains(&Tool::Postgres) && !Path::new(CREATE_CLUSTER).exists() {
        std::fs::create_dir_all("/etc/postgresql-common")
            .and_then(|()| std::fs::write(CREATE_CLUSTER, "create_main_cluster = false\n"))
            .with_context(|| format!("writing {CREATE_CLUSTER}"))?;
    }
    let packages: Vec<&str> = tools.iter().map(|tool| package(*tool)).collect();
    install_packages(&packages, update)
}

/// Installs packages by their names, as root, likewise.
pub(super) fn install_others(packages: &[&str]) -> Result<()> {
    install_packages(packages, run(apt_get().arg("update")))
}

fn install_packages(packages: &[&str], update: Result<String>) -> Result<()> {
    let _policy = ServicePolicy::set()?;
    let installed =
        run(apt_get().env("RUNLEVEL", "1").args(["install", "--yes", "--no-install-recommends"]).args(packages));
    match (installed, update) {
        (Ok(_), _) => Ok(()),
        (Err(error), Ok(_)) => Err(error),
        (Err(error), Err(update)) => Err(error.context(format!("after {update:#}"))),
    }
}

/// Forbids packages to start services for as long as it lives.
struct ServicePolicy {
    ours: bool,
}

impl ServicePolicy {
    fn set() -> Result<ServicePolicy> {
        let path = Path::new(SERVICE_POLICY);
        if let Ok(there) = std::fs::read_to_string(path) {
            // Somebody else's policy stays, whatever it says.
            let ours = there == SERVICE_POLICY_TEXT;
            return Ok(ServicePolicy { ours });
        }
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(path)
            .and_then(|mut file| file.write_all(SERVICE_POLICY_TEXT.as_bytes()))
            .with_context(|| format!("writing {SERVICE_POLICY}"))?;
        Ok(ServicePolicy { ours: true })
    }
}

impl Drop for ServicePolicy {
    fn drop(&mut self) {
        if self.ours {
            // Left over, it is recognized and removed by the next installation.
            let _ = std::fs::remove_file(SERVICE_POLICY);
        }
    }
}

/// Unpacks what an installation would add into the cache, which needs no rights.
pub(super) fn unpack(tools: &[Tool], cache: &Path) -> Result<()> {
    let plan = run(apt_get()
        .args(["install", "--simulate", "--no-install-recommends"])
        .args(tools.iter().map(|tool| package(*tool))))?;
    let packages = packages_to_unpack(&plan);
    if packages.is_empty() {
        bail!("the packages are installed, but their programs are not where they belong");
    }
    let downloads = cache.join("download");
    let unpacked = cache.join("deb");
    for dir in [&downloads, &unpacked] {
        std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    }
    run(apt_get().current_dir(&downloads).arg("download").args(packages))?;
    for archive in archives(&downloads)? {
        run(Command::new("dpkg").arg("--extract").arg(&archive).arg(&unpacked))?;
    }
    std::fs::remove_dir_all(&downloads).with_context(|| format!("removing {}", downloads.display()))
}

fn archives(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    Ok(entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect())
}

/// Of the packages a simulated installation names, those that hold the servers, their clients
/// and the libraries these load. The rest (Perl, LLVM, scripts that manage clusters) is for
/// things that are switched off here, and large.
fn packages_to_unpack(plan: &str) -> Vec<&str> {
    const FOR_OTHERS: [&str; 8] = [
        "libllvm",
        "libperl",
        "libz3",
        "liblwp",
        "libjson-perl",
        "libcommon-sense-perl",
        "libtypes-serialiser-perl",
        // scripts of pages that nobody opens
        "libjs-",
    ];
    plan.lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split_whitespace().next())
        .filter(|name| {
            let server = *name == "prometheus"
                || ["postgresql-", "redis-", "valkey-"].iter().any(|start| name.starts_with(start))
                    && !name.ends_with("-common")
                    && !name.ends_with("-jit");
            let library = name.starts_with("lib")
                && !name.ends_with("-perl")
                && !FOR_OTHERS.iter().any(|start| name.starts_with(start));
            server || library
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_servers_and_their_libraries_are_unpacked() {
        let plan = "NOTE: This is only a simulation!\n\
            Inst libjson-perl (4.10000-1 Debian:12.9/stable [all])\n\
            Inst perl (5.36.0-7 Debian:12 [amd64])\n\
            Inst postgresql-client-common (248 Debian:12 [all])\n\
            Inst libpq5 (15.18-0+deb12u1 Debian:12 [amd64])\n\
            Inst postgresql-client-15 (15.18-0+deb12u1 Debian:12 [amd64])\n\
            Inst postgresql-common (248 Debian:12 [all]) []\n\
            Inst libllvm14 (1:14.0.6-12 Debian:12 [amd64])\n\
            Inst libz3-4 (4.8.12-3.1 Debian:12 [amd64])\n\
            Inst postgresql-15 [15.17] (15.18-0+deb12u1 Debian:12 [amd64])\n\
            Inst postgresql (15+248 Debian:12 [all])\n\
            Inst ssl-cert (1.1.2 Debian:12 [all])\n\
            Inst liblua5.1-0 (5.1.5-9 Debian:12 [amd64])\n\
            Inst redis-tools (5:7.0.15-1~deb12u10 Debian:12 [amd64])\n\
            Inst redis-server (5:7.0.15-1~deb12u10 Debian:12 [amd64])\n\
            Conf redis-server (5:7.0.15-1~deb12u10 Debian:12 [amd64])\n\
            Inst libjs-moment (2.29.4+ds-1 Debian:12 [all])\n\
            Inst prometheus-node-exporter (1.5.0-1+b6 Debian:12 [amd64])\n\
            Inst prometheus (2.42.0+ds-5+b5 Debian:12 [amd64])\n";
        let want = [
            "libpq5",
            "postgresql-client-15",
            "postgresql-15",
            "liblua5.1-0",
            "redis-tools",
            "redis-server",
            "prometheus",
        ];
        assert_eq!(packages_to_unpack(plan), want);
    }
}
