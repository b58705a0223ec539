//! Random steps, each done on Redis and on the model, and compared.

use std::sync::{Arc, Mutex};

use lanes::{Acked, Append, Appended, Batch, ClaimLimits, Decided, Gate, IdempotencyKey, Lane, Lanes, Release};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use redis::aio::MultiplexedConnection;

use super::{legal, look, naive::Model};
use crate::support::{LONG_LEASE, MemoryArchive, command, lane, lanes_on};

const LANES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const DIGESTS: [&str; 5] = ["k1", "k2", "k3", "k4", "k5"];
const RELEASES: [Release; 3] = [Release::Unchanged, Release::Smaller, Release::Blamed];

/// A process: its link remembers the highest ticket that it was given.
struct Process {
    lanes: Lanes,
    seen: u64,
}

pub struct World {
    rng: StdRng,
    url: String,
    group: String,
    redis: MultiplexedConnection,
    archive: Arc<MemoryArchive>,
    processes: Vec<Process>,
    model: Model,
    sent: Vec<Append>,
    live: Vec<Batch>,
    ended: Vec<Batch>,
    log: Arc<Mutex<Vec<String>>>,
}

impl World {
    pub async fn new(url: &str, seed: u64, log: Arc<Mutex<Vec<String>>>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let depth_max = *[8, 30, 1000].choose(&mut rng).unwrap();
        let (group, archive) = (format!("model-{seed}"), Arc::default());
        let processes: Vec<_> =
            (0..2).map(|_| Process { lanes: lanes_on(url, &group, depth_max, &archive), seen: 0 }).collect();
        for process in &processes {
            process.lanes.link().connect().await.unwrap();
        }
        let redis = processes[0].lanes.link().servers().await.all().unwrap().remove(0).redis;
        let (live, ended, sent) = (Vec::new(), Vec::new(), Vec::new());
        let model = Model::new(depth_max);
        Self { rng, url: url.to_owned(), group, redis, archive, processes, model, sent, live, ended, log }
    }

    pub async fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..34 => self.append().await,
            34..56 => self.claim().await,
            56..70 => self.ack().await,
            70..78 => self.release().await,
            78..82 => self.expire().await,
            82..84 => self.reap().await,
            84..87 => self.renew().await,
            87..89 => self.stale().await,
            89..92 => self.pause().await,
            92..95 => self.resume().await,
            95..97 => self.raise_gate().await,
            97 => self.reticket().await,
            98 => self.lose_the_counter().await,
            _ => self.reconnect().await,
        }
        self.compare().await;
    }

    fn say(&self, step: String) {
        self.log.lock().unwrap().push(step);
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn any_process(&mut self) -> usize {
        self.rng.random_range(0..self.processes.len())
    }

    /// A lane, or rarely the whole group.
    fn any_lane(&mut self) -> Lane {
        if self.chance(15) { Lane::whole_group() } else { lane(LANES.choose(&mut self.rng).unwrap()) }
    }

    /// What a link would seed with: the archive's highest ticket, or one that this process was given.
    fn floor(&self, process: usize) -> u64 {
        self.model.highest_acked.max(self.processes[process].seen)
    }

    fn tell_archive(&self) {
        let paused: Vec<_> = self.model.paused.iter().map(String::as_str).collect();
        self.archive.set(self.processes[0].lanes.group(), self.model.highest_acked, &paused);
    }

    fn any_command(&mut self) -> Append {
        if self.chance(8)
            && let Some(repeated) = self.sent.choose(&mut self.rng)
        {
            return repeated.clone();
        }
        let count = *[1, 1, 1, 2, 2, 3, 4].choose(&mut self.rng).unwrap();
        let names: Vec<&str> = LANES.sample(&mut self.rng, count).copied().collect();
        let mut append = command(&names);
        if self.chance(20) {
            let digest = DIGESTS.choose(&mut self.rng).unwrap().to_string();
            let body = if self.chance(70) { "x" } else { "y" }.to_owned();
            append.key = Some(IdempotencyKey { digest, body });
        }
        if self.chance(30) {
            append.gate = Some(lane(names[0]));
        }
        // Any bytes may be in an envelope.
        append.envelope.extend([b'\n', 0, 255, b'W', self.rng.random()]);
        append
    }

    async fn append(&mut self) {
        let count = self.rng.random_range(1..=4);
        let commands: Vec<Append> = (0..count).map(|_| self.any_command()).collect();
        let process = self.any_process();
        let answers = self.processes[process].lanes.append(&commands).await.unwrap();
        self.say(format!("append {commands:?} -> {answers:?}"));
        self.model.mend_counter(self.floor(process));
        for (command, answer) in commands.iter().zip(&answers) {
            let mut expected = self.model.append(command);
            if let (
                Appended::Accepted { accepted_at_us: expected, .. },
                Appended::Accepted { accepted_at_us: got, ticket, .. },
            ) = (&mut expected, answer)
            {
                if *expected == 0 {
                    assert!(*got > self.model.last_accepted_at_us, "the clock goes on");
                    self.model.last_accepted_at_us = *got;
                    self.model.line.last_mut().unwrap().accepted_at_us = *got;
                    *expected = *got;
                }
                self.processes[process].seen = self.processes[process].seen.max(*ticket);
            }
            assert_eq!(*answer, expected);
        }
        self.sent.extend(commands);
    }

    async fn claim(&mut self) {
        let limits = ClaimLimits {
            commands_max: *[1, 2, 3, 5, 10, 1000].choose(&mut self.rng).unwrap(),
            entries_max: *[1, 3, 8, 1000, 1000].choose(&mut self.rng).unwrap(),
            lease: LONG_LEASE,
        };
        let process = self.any_process();
        let claim = self.processes[process].lanes.claim(limits).await.unwrap();
        self.say(format!("claim {limits:?} -> {claim:?}"));
        assert_eq!(claim.expired, self.model.reap(), "expired leases");
        self.forget_ended();
        legal::check(&mut self.model, claim.batch.as_ref(), limits);
        assert_eq!(claim.next_deadline.is_some(), !self.model.leases.is_empty(), "a deadline of somebody");
        self.live.extend(claim.batch);
    }

    /// Moves batches that are not leased any more to those that ended.
    fn forget_ended(&mut self) {
        let ended = self.live.extract_if(.., |batch| !self.model.leases.contains_key(&batch.token));
        self.ended.extend(ended);
    }

    fn any_live(&mut self) -> Option<Batch> {
        self.live.choose(&mut self.rng).cloned()
    }

    fn outcomes(batch: &Batch) -> Vec<Vec<u8>> {
        batch.entries.iter().map(|entry| format!("{}\n{}", entry.id, entry.ticket).into_bytes()).collect()
    }

    async fn ack(&mut self) {
        let Some(batch) = self.any_live() else { return };
        let mut decided = Decided { outcomes: Self::outcomes(&batch), gates: Vec::new() };
        if self.chance(20) {
            decided.gates.extend([self.any_gate(), self.any_gate()]);
        }
        let process = self.any_process();
        let acked = self.processes[process].lanes.ack(&batch, &decided).await.unwrap();
        self.say(format!("ack {} {:?} -> {acked:?}", batch.token, decided.gates));
        assert_eq!(acked, Acked::Done);
        self.model.ack(batch.token, &decided.outcomes);
        for gate in &decided.gates {
            self.model.raise_gate(gate.lane.as_str(), gate.used, gate.limit);
        }
        let highest = batch.entries.iter().map(|entry| entry.ticket).max().unwrap();
        self.model.highest_acked = self.model.highest_acked.max(highest);
        self.forget_ended();
        self.tell_archive();
    }

    async fn release(&mut self) {
        let Some(batch) = self.any_live() else { return };
        let release = *RELEASES.choose(&mut self.rng).unwrap();
        let process = self.any_process();
        let ours = self.processes[process].lanes.release(batch.token, release).await.unwrap();
        self.say(format!("release {} {release:?} -> {ours}", batch.token));
        assert!(ours);
        self.model.give_back(batch.token, release);
        self.forget_ended();
    }

    /// Moves a deadline into the past instead of waiting for it.
    async fn expire(&mut self) {
        let Some(batch) = self.any_live() else { return };
        self.say(format!("expire {}", batch.token));
        let leases = format!("{{{}}}:leases", self.group);
        let mut command = redis::cmd("ZADD");
        command.arg(leases).arg(1).arg(batch.token.to_string());
        command.query_async::<()>(&mut self.redis).await.unwrap();
        self.model.leases.get_mut(&batch.token).unwrap().expired = true;
    }

    async fn reap(&mut self) {
        let process = self.any_process();
        let reaped = self.processes[process].lanes.reap(100).await.unwrap();
        self.say(format!("reap -> {reaped}"));
        assert_eq!(reaped, self.model.reap());
        self.forget_ended();
    }

    /// A lease that expired and that nobody gave back is still ours.
    async fn renew(&mut self) {
        let Some(batch) = self.any_live() else { return };
        let process = self.any_process();
        let renewed = self.processes[process].lanes.renew(batch.token, LONG_LEASE).await.unwrap();
        self.say(format!("renew {} -> {renewed}", batch.token));
        assert!(renewed);
        self.model.leases.get_mut(&batch.token).unwrap().expired = false;
    }

    /// Whoever lost the lease can do nothing with it.
    async fn stale(&mut self) {
        let Some(batch) = self.ended.choose(&mut self.rng).cloned() else { return };
        self.say(format!("stale {}", batch.token));
        let process = self.any_process();
        let lanes = &self.processes[process].lanes;
        let decided = Decided { outcomes: Self::outcomes(&batch), gates: Vec::new() };
        assert_eq!(lanes.ack(&batch, &decided).await.unwrap(), Acked::Stale);
        assert!(!lanes.release(batch.token, Release::Blamed).await.unwrap());
        assert!(!lanes.renew(batch.token, LONG_LEASE).await.unwrap());
    }

    async fn pause(&mut self) {
        let (process, lane) = (self.any_process(), self.any_lane());
        let held = self.processes[process].lanes.pause(&lane).await.unwrap();
        self.say(format!("pause {lane} -> {held}"));
        self.model.paused.insert(lane.to_string());
        assert_eq!(held, self.model.held_by(lane.as_str()), "held by {lane}");
        self.tell_archive();
    }

    async fn resume(&mut self) {
        let paused: Vec<_> = self.model.paused.iter().cloned().collect();
        let lane = match paused.choose(&mut self.rng) {
            Some(name) if self.chance(90) => lane(name),
            _ => self.any_lane(),
        };
        self.resume_lane(lane).await;
    }

    async fn resume_lane(&mut self, lane: Lane) {
        let process = self.any_process();
        let was_paused = self.processes[process].lanes.resume(&lane).await.unwrap();
        self.say(format!("resume {lane} -> {was_paused}"));
        assert_eq!(was_paused, self.model.paused.remove(lane.as_str()));
        self.tell_archive();
    }

    fn any_gate(&mut self) -> Gate {
        let lane = lane(LANES.choose(&mut self.rng).unwrap());
        Gate { lane, used: self.rng.random_range(0..8), limit: self.rng.random_range(0..12) }
    }

    async fn raise_gate(&mut self) {
        let (process, gate) = (self.any_process(), self.any_gate());
        self.say(format!("raise {gate:?}"));
        self.processes[process].lanes.raise_gate(&gate).await.unwrap();
        self.model.raise_gate(gate.lane.as_str(), gate.used, gate.limit);
    }

    async fn reticket(&mut self) {
        let process = self.any_process();
        let moved = self.processes[process].lanes.reticket(0).await.unwrap();
        self.say(format!("reticket -> {moved}"));
        assert_eq!(moved, self.model.line.len() as u64);
        self.model.reticket(self.floor(process));
    }

    /// Somebody deletes the counter, or puts it back.
    async fn lose_the_counter(&mut self) {
        let key = format!("{{{}}}:counter", self.group);
        let put_back =
            if self.chance(50) { self.model.counter.map(|now| self.rng.random_range(0..=now)) } else { None };
        self.say(format!("counter := {put_back:?}"));
        let mut command = redis::cmd(if put_back.is_some() { "HSET" } else { "HDEL" });
        command.arg(key).arg("ticket").arg(put_back);
        command.query_async::<()>(&mut self.redis).await.unwrap();
        self.model.counter = put_back;
    }

    /// One process is replaced by another, whose link seeds.
    async fn reconnect(&mut self) {
        let process = self.any_process();
        self.say(format!("reconnect {process}"));
        let lanes = lanes_on(&self.url, &self.group, self.model.depth_max, &self.archive);
        lanes.link().connect().await.unwrap();
        self.processes[process] = Process { lanes, seen: 0 };
        self.model.seed(self.floor(process));
    }

    async fn compare(&mut self) {
        let prefix = format!("{{{}}}:", self.group);
        let lanes = &self.processes[0].lanes;
        let (old, waiting) = (self.sent.choose(&mut self.rng), self.model.line.choose(&mut self.rng));
        // All at once, so that a step costs two round trips instead of many.
        tokio::join!(
            look::check_keys(&self.model, &mut self.redis, &prefix),
            look::check_depth(&self.model, lanes),
            look::check_status(&self.model, lanes, old.map(|append| append.id).unwrap_or_default()),
            look::check_status(&self.model, lanes, waiting.map(|waiting| waiting.id).unwrap_or_default()),
        );
    }

    /// Lets everybody through and looks at what is left.
    pub async fn drain(&mut self) {
        for name in self.model.paused.clone() {
            self.resume_lane(lane(&name)).await;
        }
        while !self.live.is_empty() {
            self.ack().await;
            self.compare().await;
        }
        while !self.model.line.is_empty() {
            self.claim().await;
            assert!(!self.live.is_empty());
            self.ack().await;
            self.compare().await;
        }
        let prefix = format!("{{{}}}:", self.group);
        look::check_nothing_left(&self.model, &mut self.redis, &prefix).await;
    }

    /// How many got an outcome.
    pub fn decided(&self) -> usize {
        self.model.decided.len()
    }
}
