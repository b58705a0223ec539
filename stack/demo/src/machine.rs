//! What was measured on, because a figure without its machine says nothing.

use anyhow::{Context, Result};
use serde::Serialize;
use sqlx::PgConnection;
use stack::Redis;

/// A machine, and the programs on it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Processors that can be used.
    pub cores: usize,
    /// Memory in GiB.
    pub memory_gib: u64,
    /// Name and version of the kernel.
    pub kernel: String,
    /// The distribution.
    pub system: String,
    /// Postgres' version.
    pub postgres: String,
    /// Redis' version.
    pub redis: String,
    /// This program's version, and how it was built.
    pub droplane: String,
}

impl Machine {
    /// This machine, and the servers that run on it.
    ///
    /// # Errors
    /// When a server does not say its version.
    pub async fn this_one(connection: &mut PgConnection, redis: &Redis) -> Result<Machine> {
        let postgres = sqlx::query_scalar("select current_setting('server_version')")
            .fetch_one(connection)
            .await
            .context("asking Postgres for its version")?;
        let about_redis = redis.command(&["INFO", "server"]).context("asking Redis for its version")?;
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let build = if cfg!(debug_assertions) { "debug" } else { "release" };
        Ok(Machine {
            cpu: field(&read("/proc/cpuinfo"), "model name", ':'),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: gib(&field(&read("/proc/meminfo"), "MemTotal", ':')),
            kernel: format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim()),
            system: field(&read("/etc/os-release"), "PRETTY_NAME", '=').trim_matches('"').to_owned(),
            postgres,
            redis: field(&about_redis, "redis_version", ':'),
            droplane: format!("{} ({build})", env!("CARGO_PKG_VERSION")),
        })
    }

    /// In one sentence.
    pub fn sentence(&self) -> String {
        let Machine { cpu, cores, memory_gib, kernel, system, postgres, redis, droplane } = self;
        format!(
            "{cpu}, {cores} cores, {memory_gib} GiB, {system}, {kernel}; Postgres {postgres}, Redis {redis}, \
             Droplane {droplane}"
        )
    }
}

/// The value of the first line that begins with this name.
fn field(text: &str, name: &str, separator: char) -> String {
    let lines = text.lines().filter_map(|line| line.split_once(separator));
    let found = lines.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim()).next();
    found.unwrap_or("unknown").to_owned()
}

/// Of `24543852 kB`.
fn gib(kib: &str) -> u64 {
    const KIB_PER_GIB: u64 = 1024 * 1024;
    let kib: u64 = kib.split_ascii_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0);
    (kib + KIB_PER_GIB / 2) / KIB_PER_GIB
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC\nmodel\t: 1\nNAME=\"x\"\n";
        let rows =
            [("model name", ':', "AMD EPYC"), ("model", ':', "1"), ("NAME", '=', "\"x\""), ("flags", ':', "unknown")];
        for (name, separator, meant) in rows {
            assert_eq!(field(text, name, separator), meant);
        }
        assert_eq!((gib("24543852 kB"), gib("")), (23, 0));
    }
}
