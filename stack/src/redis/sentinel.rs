//! A private Redis with a replica, watched by Sentinels.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Redis, RedisOptions, RedisUsers, arguments_of_replica, login, tcp_url};
use crate::home::Home;
use crate::ports::free_port;
use crate::process::{Launch, Process};
use crate::wait::try_wait_for;

/// As many as agree when one of them is gone.
const SENTINELS: usize = 3;

/// A server that is silent for so long is down, in milliseconds.
const DOWN_AFTER_MS: u32 = 1_000;

/// For the Sentinels to find each other and the replica.
const AGREE_MAX: Duration = Duration::from_secs(60);

/// A master and a replica, and three Sentinels that put the replica in its place when it is gone. Ends on drop.
#[derive(Debug)]
pub struct RedisSentinels {
    _sentinels: Vec<Process>,
    ports: Vec<u16>,
    // Behind the processes that write to it.
    _home: Home,
    /// The master at the beginning.
    pub first: Redis,
    /// Its replica.
    pub second: Redis,
}

impl RedisSentinels {
    /// What the Sentinels call the master.
    pub const MASTER: &str = "lines";

    /// Starts all of them, and waits until they know each other. Both servers have these users, if any; the Sentinels
    /// let everybody ask.
    ///
    /// # Errors
    /// When one does not start, or they do not find together.
    pub fn start(users: Option<RedisUsers>) -> Result<RedisSentinels> {
        let mut extra = ["--repl-diskless-sync-delay", "0"].map(str::to_owned).to_vec();
        extra.extend(arguments_of_replica(users.as_ref()));
        let first =
            Redis::start(RedisOptions { extra: extra.clone(), users: users.clone(), ..RedisOptions::default() })?;
        extra.extend(["--replicaof".to_owned(), "127.0.0.1".to_owned(), first.port().to_string()]);
        let second = Redis::start(RedisOptions { extra, users, ..RedisOptions::default() })?;
        let home = Home::temporary("sentinel")?;
        let ports: Vec<u16> = (0..SENTINELS).map(|_| free_port()).collect();
        let sentinels = ports.iter().map(|&port| start_sentinel(&first, &home, port)).collect::<Result<_>>()?;
        let all = RedisSentinels { _sentinels: sentinels, ports, _home: home, first, second };
        all.know_each_other()?;
        Ok(all)
    }

    fn know_each_other(&self) -> Result<()> {
        for port in &self.ports {
            try_wait_for("a Sentinel to know the others", AGREE_MAX, || {
                let said = super::command::send_to_port(*port, &["SENTINEL", "MASTER", RedisSentinels::MASTER]).ok()?;
                let words: Vec<&str> = said.lines().collect();
                let has = |name: &str, value: &str| words.windows(2).any(|pair| pair == [name, value]);
                (has("num-slaves", "1") && has("num-other-sentinels", &(SENTINELS - 1).to_string())).then_some(())
            })?;
        }
        try_wait_for("the replica to have the data of the master", AGREE_MAX, || {
            self.second.command(&["INFO", "replication"]).ok()?.contains("master_link_status:up").then_some(())
        })
    }

    /// The addresses of the Sentinels, with commas, for one user of the servers with a password.
    pub fn url(&self, login: Option<(&str, &str)>) -> String {
        self.ports.iter().map(|&port| tcp_url(port, login)).collect::<Vec<_>>().join(",")
    }

    /// Waits until the second server is the master.
    ///
    /// # Errors
    /// When it does not come to that.
    pub fn second_takes_over(&self) -> Result<()> {
        try_wait_for("the replica to take over", AGREE_MAX, || {
            self.second.command(&["INFO", "replication"]).ok()?.contains("role:master").then_some(())
        })
    }
}

fn start_sentinel(master: &Redis, home: &Home, port: u16) -> Result<Process> {
    let (name, at) = (RedisSentinels::MASTER, master.port());
    // More than one must think so, or a Sentinel that was asleep would think that all others are down.
    let quorum = SENTINELS / 2 + 1;
    let mut settings = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor {name} 127.0.0.1 {at} {quorum}\n\
         sentinel down-after-milliseconds {name} {DOWN_AFTER_MS}\nsentinel failover-timeout {name} 10000\n"
    );
    if let Some((user, password)) = login(master.users.as_ref()) {
        settings.push_str(&format!("sentinel auth-user {name} {user}\nsentinel auth-pass {name} {password}\n"));
    }
    let file = home.path().join(format!("sentinel-{port}.conf"));
    fs::write(&file, settings).with_context(|| format!("writing {}", file.display()))?;
    let mut launch = Launch::new(master.found.server(), home.path().join(format!("sentinel-{port}.log")));
    if let Some((name, value)) = master.found.env() {
        launch = launch.env(name, value);
    }
    launch.dir(home.path()).arg(file).arg("--sentinel").spawn()
}
