//! Which servers have the groups, what it costs to find them, and how patiently they are asked.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use lanes::{Error, Group, LineLimits, Link, Servers};
use stack::{Redis, RedisCluster, RedisOptions, RedisSentinels, wait_for_async};

use crate::support::*;

/// As many as a shop may have of coupons.
const GROUPS: usize = 64;

const MASTERS: usize = 3;

/// For so long the driver would wait for an answer by itself.
const DRIVER_PATIENCE: Duration = Duration::from_millis(500);

/// Longer than that, and shorter than what Sentinels take for the end of a server, in milliseconds.
const STALL_MS: &str = "700";

fn link_to(url: &str) -> Link {
    link_through(Servers::new(url, None).unwrap())
}

fn link_through(servers: Servers) -> Link {
    link_waiting(servers, 0)
}

fn link_waiting(servers: Servers, replicas: u32) -> Link {
    let groups = (0..GROUPS).map(|number| group_named(&format!("g{number}"))).collect();
    Link::new(servers, groups, LineLimits::new(1_000), Arc::new(MemoryArchive::default()), None, replicas)
}

/// How often a server was connected to since it started, for this question, too.
fn connections(redis: &Redis) -> u64 {
    let stats = redis.command(&["INFO", "stats"]).unwrap();
    let count = stats.lines().find_map(|line| line.strip_prefix("total_connections_received:")).unwrap();
    count.trim().parse().unwrap()
}

/// Asks a link for its servers: the groups of each, and the connections that this took at each node.
async fn found(link: &Link, nodes: &[Redis]) -> (Vec<Vec<Group>>, Vec<u64>) {
    let before: Vec<_> = nodes.iter().map(connections).collect();
    let servers = link.servers().await.all().unwrap();
    let taken = nodes.iter().zip(before).map(|(node, before)| connections(node) - before - 1).collect();
    (servers.into_iter().map(|server| server.groups).collect(), taken)
}

#[tokio::test]
async fn one_connection_finds_all_groups_of_a_server() {
    let redis = Redis::start(RedisOptions::default()).unwrap();
    let link = link_to(&redis.url());
    let (groups, connections) = found(&link, std::slice::from_ref(&redis)).await;
    assert_eq!(groups, [link.groups()]);
    assert_eq!(connections, [1]);
}

#[tokio::test]
async fn one_connection_to_each_node_finds_all_groups_of_a_cluster() {
    let cluster = RedisCluster::start(MASTERS, None).unwrap();
    let link = link_to(&cluster.url(None));
    let (groups, connections) = found(&link, cluster.nodes()).await;
    assert_eq!(groups.len(), MASTERS);
    let distinct: HashSet<&Group> = groups.iter().flatten().collect();
    assert_eq!((distinct.len(), groups.iter().flatten().count()), (GROUPS, GROUPS));
    assert_eq!(connections, [1, 1, 1, 0, 0, 0], "the masters, and no replica");
}

#[tokio::test]
async fn a_master_that_stalls_while_it_is_looked_for_is_found() {
    let redis = RedisSentinels::start(None).unwrap();
    let servers = Servers::new(&redis.url(None), Some(RedisSentinels::MASTER)).unwrap();
    wait_for_async("an answer that the driver would not have waited for", DEADLINE, async || {
        redis.first.command(&["CLIENT", "PAUSE", STALL_MS, "ALL"]).unwrap();
        let began = Instant::now();
        link_through(servers.clone()).connect().await.unwrap();
        (began.elapsed() > DRIVER_PATIENCE).then_some(())
    })
    .await;
    assert_eq!(redis.first.command(&["EXISTS", "{g0}:counter"]).unwrap(), "1", "another server was found");
}

#[tokio::test]
async fn whoever_waits_for_replicas_must_be_allowed_to_ask_whose_data_it_is() {
    let redis = Redis::start(RedisOptions::default()).unwrap();
    redis.command(&["ACL", "SETUSER", "shop", "on", ">word", "~*", "&*", "+@all", "-info"]).unwrap();
    let servers = Servers::new(&format!("{}?user=shop&pass=word", redis.url()), None).unwrap();
    link_through(servers.clone()).connect().await.unwrap();
    let refused = link_waiting(servers, 1).connect().await.unwrap_err();
    let Error::Shared(refused) = refused else { panic!("{refused:?}") };
    assert!(matches!(&*refused, Error::History { source } if source.code() == Some("NOPERM")), "{refused:?}");
    assert!(refused.to_string().contains("INFO"), "{refused}");
}

#[tokio::test]
async fn a_remembered_node_shows_the_way_unless_its_address_is_somebody_elses() {
    let mut cluster = RedisCluster::start(MASTERS, None).unwrap();
    let link = link_to(cluster.url(None).split(',').next().unwrap());
    link.connect().await.unwrap();
    let remembered = cluster.nodes()[1].port();

    cluster.node_mut(0).kill9();
    wait_for_async("the way to all groups", DEADLINE, async || link.servers().await.all().ok()).await;

    for node in 1..2 * MASTERS {
        cluster.node_mut(node).kill9();
    }
    let extra = ["--port".to_owned(), remembered.to_string()].to_vec();
    let stranger = Redis::start(RedisOptions { extra, ..RedisOptions::default() }).unwrap();
    let (before, found) = (connections(&stranger), link.servers().await);
    assert!(connections(&stranger) > before + 1, "nobody asked at the address");
    assert!(found.servers.is_empty() && found.failure.is_some(), "{found:?}");
}
