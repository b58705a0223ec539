//! A private Redis Cluster.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Redis, RedisOptions, RedisUsers, arguments_of_replica, login, tcp_url};
use crate::ports::free_port;
use crate::wait::try_wait_for;

const SLOTS: usize = 16_384;

/// A node that is silent for so long is failed over, in milliseconds. Short, because tests wait for it, and longer than a
/// busy machine keeps a node from answering.
const NODE_TIMEOUT_MS: u32 = 2_000;

/// For the nodes to agree, also about a failover.
const AGREE_MAX: Duration = Duration::from_secs(60);

/// Keys that are moved to another node in one command.
const MOVED_TOGETHER: &str = "100";

/// Masters that share all slots, each with a replica. Ends on drop.
#[derive(Debug)]
pub struct RedisCluster {
    /// The masters, then the replica of each, as they were at the beginning.
    nodes: Vec<Redis>,
    users: Option<RedisUsers>,
}

impl RedisCluster {
    /// Starts a cluster of so many masters and as many replicas, all with the same users if any, and waits until it works.
    ///
    /// # Errors
    /// When a node does not start, or they do not find together.
    pub fn start(masters: usize, users: Option<RedisUsers>) -> Result<RedisCluster> {
        let start = |_| Redis::start(options(users.clone()));
        let nodes = (0..2 * masters).map(start).collect::<Result<Vec<_>>>()?;
        let mut cluster = RedisCluster { nodes, users };
        cluster.join(masters).context("joining the nodes of a Redis Cluster")?;
        Ok(cluster)
    }

    fn join(&mut self, masters: usize) -> Result<()> {
        for (number, node) in self.nodes[..masters].iter().enumerate() {
            let (first, next) = (number * SLOTS / masters, (number + 1) * SLOTS / masters);
            node.command(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &(next - 1).to_string()])?;
        }
        // Nodes that begin at the same number would choose one of two owners of a slot by their names.
        for (number, node) in self.nodes.iter().enumerate() {
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()])?;
        }
        let (first, others) = self.nodes.split_first().context("a cluster has nodes")?;
        for node in others {
            let bus = bus_port(node)?;
            first.command(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string(), &bus])?;
        }
        let all = self.nodes.len();
        self.agreed("all nodes to know each other", |node| node.known_nodes() == Some(all))?;
        for (master, replica) in self.nodes[..masters].iter().zip(&self.nodes[masters..]) {
            replica.command(&["CLUSTER", "REPLICATE", &master.cluster_id()?])?;
        }
        self.works()?;
        for replica in &self.nodes[masters..] {
            try_wait_for("a replica to have the data of its master", AGREE_MAX, || {
                replica.command(&["INFO", "replication"]).ok()?.contains("master_link_status:up").then_some(())
            })?;
        }
        Ok(())
    }

    fn agreed(&self, what: &str, agrees: impl Fn(&Redis) -> bool) -> Result<()> {
        try_wait_for(what, AGREE_MAX, || self.nodes.iter().all(&agrees).then_some(()))
    }

    /// Waits until all nodes say that the whole cluster works.
    ///
    /// # Errors
    /// When it does not come to that.
    pub fn works(&self) -> Result<()> {
        self.agreed("the cluster to work", |node| {
            node.command(&["CLUSTER", "INFO"]).is_ok_and(|info| info.contains("cluster_state:ok"))
        })
    }

    /// The addresses of all nodes, with commas, for one user with a password.
    pub fn url(&self, login: Option<(&str, &str)>) -> String {
        self.nodes.iter().map(|node| tcp_url(node.port, login)).collect::<Vec<_>>().join(",")
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// One node, to do something to.
    pub fn node_mut(&mut self, number: usize) -> &mut Redis {
        &mut self.nodes[number]
    }

    /// Which node serves this key now, if one does.
    pub fn master_of(&self, key: &str) -> Option<usize> {
        // A replica and whoever has not the slot say where else it is.
        self.nodes.iter().position(|node| node.command(&["EXISTS", key]).is_ok())
    }

    /// Moves the slot of this key, key by key, from the node that serves it to another master.
    ///
    /// # Errors
    /// When a node refuses.
    pub fn move_slot(&self, key: &str, to: usize) -> Result<()> {
        let from = self.master_of(key).context("nobody serves the key")?;
        ensure!(from != to, "the slot is there already");
        let (from, to) = (&self.nodes[from], &self.nodes[to]);
        let slot = from.command(&["CLUSTER", "KEYSLOT", key])?;
        let (from_id, to_id) = (from.cluster_id()?, to.cluster_id()?);
        to.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id])?;
        from.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id])?;
        loop {
            let keys = from.command(&["CLUSTER", "GETKEYSINSLOT", &slot, MOVED_TOGETHER])?;
            if keys.is_empty() {
                break;
            }
            let port = to.port().to_string();
            let mut moving = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000"];
            if let Some((user, password)) = login(self.users.as_ref()) {
                moving.extend(["AUTH2", user, password]);
            }
            moving.push("KEYS");
            moving.extend(keys.lines());
            from.command(&moving)?;
        }
        // The new owner first: it may not be asked before it knows.
        for node in [to, from] {
            node.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id])?;
        }
        Ok(())
    }
}

fn options(users: Option<RedisUsers>) -> RedisOptions {
    let bus = free_port().to_string();
    let (timeout, file) = (NODE_TIMEOUT_MS.to_string(), "nodes.conf");
    let extra = [
        ["--cluster-enabled", "yes"],
        ["--cluster-port", &bus],
        ["--cluster-config-file", file],
        ["--cluster-node-timeout", &timeout],
        // However long a replica was cut off, it takes over: tests let only one fail.
        ["--cluster-replica-validity-factor", "0"],
        ["--repl-diskless-sync-delay", "0"],
    ];
    let mut extra: Vec<String> = extra.as_flattened().iter().map(|&word| word.to_owned()).collect();
    extra.extend(arguments_of_replica(users.as_ref()));
    RedisOptions { extra, users, ..RedisOptions::default() }
}

fn bus_port(node: &Redis) -> Result<String> {
    let answer = node.command(&["CONFIG", "GET", "cluster-port"])?;
    answer.lines().nth(1).map(str::to_owned).context("the node has no bus")
}

impl Redis {
    fn cluster_id(&self) -> Result<String> {
        self.command(&["CLUSTER", "MYID"])
    }

    fn known_nodes(&self) -> Option<usize> {
        let info = self.command(&["CLUSTER", "INFO"]).ok()?;
        info.lines().find_map(|line| line.strip_prefix("cluster_known_nodes:"))?.trim().parse().ok()
    }
}
