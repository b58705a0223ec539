//! Shared by the tests of the lanes: a private Redis, an archive in memory, and short ways to say what is meant.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use lanes::{
    Acked, Append, Appended, Archive, ArchiveError, Batch, ClaimLimits, Decided, Depth, Floor, Group, IdempotencyKey,
    Lane, Lanes, LineLimits, Link, Status,
    limits::{APPEND_COMMANDS_MAX, LEASE_MAX},
};
use stack::{Redis, RedisOptions};
use uuid::Uuid;

/// How long a test waits for a condition that must come true.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A lease that no test outlives.
pub const LONG_LEASE: Duration = LEASE_MAX;

/// What Postgres is to the shop: it knows the highest decided ticket and the pauses, and may fail.
#[derive(Default)]
pub struct MemoryArchive {
    floors: Mutex<HashMap<String, Floor>>,
    asked: AtomicU64,
    refusals_left: AtomicU64,
}

impl MemoryArchive {
    pub fn set(&self, group: &Group, highest_ticket: u64, paused: &[&str]) {
        let paused = paused.iter().map(|&lane| lane.to_owned()).collect();
        self.floors.lock().unwrap().insert(group.to_string(), Floor { highest_ticket, paused });
    }

    /// How often it was asked.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// Makes the next `times` questions fail.
    pub fn refuse(&self, times: u64) {
        self.refusals_left.store(times, Ordering::SeqCst);
    }
}

impl Archive for MemoryArchive {
    fn floor<'a>(&'a self, group: &'a Group) -> BoxFuture<'a, Result<Floor, ArchiveError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let refused =
            self.refusals_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        let floor = self.floors.lock().unwrap().get(group.as_str()).cloned().unwrap_or_default();
        async move { if refused { Err("the archive is away".into()) } else { Ok(floor) } }.boxed()
    }
}

/// A Redis of the test's own and the lanes of one group on it.
pub struct Line {
    pub redis: Redis,
    pub archive: Arc<MemoryArchive>,
    pub lanes: Lanes,
}

/// A line with room for `depth_max` commands.
pub fn line_of(depth_max: u64, options: RedisOptions) -> Line {
    let redis = Redis::start(options).unwrap();
    let archive = Arc::new(MemoryArchive::default());
    let lanes = lanes_on(&redis.url(), "test", depth_max, &archive);
    Line { redis, archive, lanes }
}

/// A line with room for more than any test puts in.
pub fn line() -> Line {
    line_of(1_000_000, RedisOptions::default())
}

/// Another process, as far as Redis can tell: its own link to the same group.
pub fn lanes_on(url: &str, group: &str, depth_max: u64, archive: &Arc<MemoryArchive>) -> Lanes {
    let limits = LineLimits::new(depth_max);
    let group = group_named(group);
    let servers = lanes::Servers::new(url, None).unwrap();
    let link = Link::new(servers, vec![group.clone()], limits, Arc::clone(archive) as Arc<dyn Archive>, None, 0);
    Lanes::new(link, group, limits)
}

pub fn group_named(name: &str) -> Group {
    name.parse().unwrap()
}

pub fn lane(name: &str) -> Lane {
    name.parse().unwrap()
}

/// A command for these lanes, with nothing special about it.
pub fn command(lanes: &[&str]) -> Append {
    let id = Uuid::now_v7();
    let lanes = lanes.iter().map(|name| lane(name)).collect();
    Append { id, lanes, key: None, gate: None, quota: None, envelope: id.to_string().into_bytes() }
}

pub fn keyed(lanes: &[&str], digest: &str, body: &str) -> Append {
    Append { key: Some(IdempotencyKey { digest: digest.to_owned(), body: body.to_owned() }), ..command(lanes) }
}

/// Appends one command that must be accepted; gives its id and ticket.
pub async fn accepted(lanes: &Lanes, names: &[&str]) -> (Uuid, u64) {
    let command = command(names);
    let id = command.id;
    match lanes.append(&[command]).await.unwrap().remove(0) {
        Appended::Accepted { ticket, .. } => (id, ticket),
        other => panic!("not accepted: {other:?}"),
    }
}

/// At most this many commands, and lane entries without end.
pub fn at_most(commands_max: usize) -> ClaimLimits {
    ClaimLimits { commands_max, entries_max: usize::MAX >> 12, lease: LONG_LEASE }
}

/// Claims a batch that must be there.
pub async fn claimed(lanes: &Lanes, commands_max: usize) -> Batch {
    lanes.claim(at_most(commands_max)).await.unwrap().batch.expect("somebody is ready")
}

/// Claims and must find nobody.
pub async fn nobody_ready(lanes: &Lanes) {
    let claim = lanes.claim(at_most(1000)).await.unwrap();
    assert_eq!(claim.batch, None);
}

pub fn ids(batch: &Batch) -> Vec<Uuid> {
    batch.entries.iter().map(|entry| entry.id).collect()
}

/// Outcomes for all commands of a batch: `done <ticket>`.
pub fn done(batch: &Batch) -> Decided {
    Decided { outcomes: batch.entries.iter().map(outcome).collect(), gates: Vec::new() }
}

fn outcome(entry: &lanes::Entry) -> Vec<u8> {
    format!("done {}", entry.ticket).into_bytes()
}

/// Appends `count` commands, as many at once as a script takes; `names` says in which lanes each stands.
pub async fn crowd(lanes: &Lanes, count: usize, names: impl Fn(usize) -> Vec<String>) -> Vec<Uuid> {
    let mut ids = Vec::with_capacity(count);
    for first in (0..count).step_by(APPEND_COMMANDS_MAX) {
        let here = first..count.min(first + APPEND_COMMANDS_MAX);
        let commands: Vec<Append> =
            here.map(|i| command(&names(i).iter().map(String::as_str).collect::<Vec<_>>())).collect();
        let answers = lanes.append(&commands).await.unwrap();
        assert!(answers.iter().all(|answer| matches!(answer, Appended::Accepted { .. })), "{answers:?}");
        ids.extend(commands.iter().map(|command| command.id));
    }
    ids
}

/// The position of a command that waits.
pub async fn position(lanes: &Lanes, id: Uuid) -> u64 {
    match lanes.status(id).await.unwrap() {
        Status::Waiting { position, .. } => position,
        other => panic!("{id} does not wait: {other:?}"),
    }
}

pub async fn ack(lanes: &Lanes, batch: &Batch) {
    assert_eq!(lanes.ack(batch, &done(batch)).await.unwrap(), Acked::Done);
}

/// Nobody waits, nobody is in flight, no lane has a length.
pub async fn assert_drained(lanes: &Lanes) {
    assert_eq!(lanes.depth(10).await.unwrap(), Depth::default());
}

/// Ends every lease now, by moving the deadlines into the past, and wakes whoever sleeps until one ends.
pub fn expire_all(line: &Line) {
    let prefix = format!("{{{}}}:", line.lanes.group());
    let tokens = line.redis.command(&["ZRANGE", &format!("{prefix}leases"), "0", "-1"]).unwrap();
    assert!(!tokens.is_empty(), "there is no lease to end");
    for token in tokens.lines() {
        line.redis.command(&["ZADD", &format!("{prefix}leases"), "1", token]).unwrap();
    }
    line.redis.command(&["PUBLISH", &format!("{prefix}wake"), ""]).unwrap();
}

/// How often Redis was sent a command of this name.
pub fn calls_of(redis: &Redis, name: &str) -> u64 {
    let stats = redis.command(&["INFO", "commandstats"]).unwrap();
    let begins = format!("cmdstat_{name}:calls=");
    let line = stats.lines().find_map(|line| line.strip_prefix(begins.as_str()));
    line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}
