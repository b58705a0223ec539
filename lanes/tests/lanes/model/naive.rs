//! The line as anybody would write it who has all the time in the world: one list in order of arrival, and every
//! question answered by looking at all of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use lanes::{Append, Appended, Release, limits::SEED_MARGIN_TICKETS};
use uuid::Uuid;

/// A command without an outcome.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub id: Uuid,
    pub lanes: Vec<String>,
    pub envelope: Vec<u8>,
    pub ticket: u64,
    pub accepted_at_us: i64,
    /// Its place in the order of arrival, which no re-ticketing changes.
    pub arrival: u64,
    /// The batch that has it.
    pub token: Option<Uuid>,
    /// Set once a batch with it failed: the most commands of its next one.
    pub size_max: Option<usize>,
    /// Set once a batch with it was blamed.
    pub failures_alone: Option<u32>,
}

/// A leased batch.
#[derive(Debug, Clone)]
pub struct Lease {
    pub members: Vec<Uuid>,
    pub suspects: bool,
    pub expired: bool,
}

#[derive(Debug)]
pub struct Model {
    pub depth_max: u64,
    pub line: Vec<Waiting>,
    pub decided: HashMap<Uuid, Vec<u8>>,
    pub leases: HashMap<Uuid, Lease>,
    /// The ticket of the suspect that flew first last time, unless that flight succeeded.
    pub turn: Option<u64>,
    pub keys: HashMap<String, (Uuid, String)>,
    pub paused: BTreeSet<String>,
    pub gates: BTreeMap<String, (u64, u64)>,
    /// The counter in Redis; nothing once Redis forgot it.
    pub counter: Option<u64>,
    pub last_accepted_at_us: i64,
    pub arrivals: u64,
    /// The arrival of whoever was acked last in each lane.
    pub last_acked: HashMap<String, u64>,
    /// The highest ticket that was ever acked.
    pub highest_acked: u64,
}

impl Model {
    pub fn new(depth_max: u64) -> Self {
        Self {
            depth_max,
            line: Vec::new(),
            decided: HashMap::new(),
            leases: HashMap::new(),
            turn: None,
            keys: HashMap::new(),
            paused: BTreeSet::new(),
            gates: BTreeMap::new(),
            counter: Some(0),
            last_accepted_at_us: 0,
            arrivals: 0,
            last_acked: HashMap::new(),
            highest_acked: 0,
        }
    }

    pub fn find(&self, id: Uuid) -> Option<usize> {
        self.line.iter().position(|waiting| waiting.id == id)
    }

    /// How many stand before the command at `at` in one of its lanes.
    pub fn ahead(&self, at: usize, lane: &str) -> usize {
        self.line[..at].iter().filter(|other| other.lanes.iter().any(|name| name == lane)).count()
    }

    pub fn position(&self, at: usize) -> u64 {
        let longest = self.line[at].lanes.iter().map(|lane| self.ahead(at, lane)).max();
        longest.unwrap_or(0) as u64
    }

    /// In how many of its lanes somebody is before it.
    pub fn lanes_to_wait(&self, at: usize) -> usize {
        self.line[at].lanes.iter().filter(|lane| self.ahead(at, lane) > 0).count()
    }

    pub fn in_paused_lane(&self, at: usize) -> bool {
        self.line[at].lanes.iter().any(|lane| self.paused.contains(lane))
    }

    /// Whether a worker could take it at once, if the group as a whole is not paused.
    pub fn is_ready(&self, at: usize) -> bool {
        self.line[at].token.is_none() && self.lanes_to_wait(at) == 0 && !self.in_paused_lane(at)
    }

    pub fn ready(&self, suspects: bool) -> Vec<usize> {
        let kind = |&at: &usize| self.line[at].size_max.is_some() == suspects;
        (0..self.line.len()).filter(kind).filter(|&at| self.is_ready(at)).collect()
    }

    /// Lanes with somebody in them, longest first, names falling among equals as Redis has it.
    pub fn lengths(&self) -> Vec<(String, u64)> {
        let mut lengths = BTreeMap::<&str, u64>::new();
        for lane in self.line.iter().flat_map(|waiting| &waiting.lanes) {
            *lengths.entry(lane).or_default() += 1;
        }
        let mut lengths: Vec<_> = lengths.into_iter().map(|(lane, length)| (lane.to_owned(), length)).collect();
        lengths.sort_by(|a, b| (b.1, &b.0).cmp(&(a.1, &a.0)));
        lengths
    }

    /// What every append does first: whoever waits was here before, whatever the counter says.
    pub fn mend_counter(&mut self, floor: u64) {
        if self.counter.is_none() {
            self.seed(floor);
        }
        self.counter = self.counter.max(self.line.last().map(|last| last.ticket));
    }

    /// The answer to an append, whose command then stands in line.
    pub fn append(&mut self, append: &Append) -> Appended {
        if self.decided.contains_key(&append.id) {
            return Appended::Decided;
        }
        if let Some(at) = self.find(append.id) {
            let waiting = &self.line[at];
            let (ticket, accepted_at_us) = (waiting.ticket, waiting.accepted_at_us);
            return Appended::Accepted { ticket, accepted_at_us, position: self.position(at) };
        }
        if let Some(key) = &append.key
            && let Some((id, body)) = self.keys.get(&key.digest)
        {
            return if *body == key.body { Appended::Repeated(*id) } else { Appended::KeyReused(*id) };
        }
        if let Some(gate) = &append.gate
            && self.gates.get(gate.as_str()).is_some_and(|(used, limit)| used >= limit)
        {
            return Appended::GateClosed;
        }
        let lengths: HashMap<_, _> = self.lengths().into_iter().collect();
        let full = |lane: &lanes::Lane| lengths.get(lane.as_str()).is_some_and(|&n| n >= self.depth_max / 2);
        if self.line.len() as u64 >= self.depth_max {
            return Appended::Full;
        }
        if append.lanes.iter().any(full) {
            return Appended::LaneFull;
        }
        self.stand_in_line(append)
    }

    fn stand_in_line(&mut self, append: &Append) -> Appended {
        let ticket = self.counter.expect("the door mended it") + 1;
        self.counter = Some(ticket);
        self.arrivals += 1;
        self.line.push(Waiting {
            id: append.id,
            lanes: append.lanes.iter().map(|lane| lane.as_str().to_owned()).collect(),
            envelope: append.envelope.clone(),
            ticket,
            accepted_at_us: 0, // Redis' clock says; whoever compares fills it in.
            arrival: self.arrivals,
            token: None,
            size_max: None,
            failures_alone: None,
        });
        if let Some(key) = &append.key {
            self.keys.insert(key.digest.clone(), (append.id, key.body.clone()));
        }
        Appended::Accepted { ticket, accepted_at_us: 0, position: self.position(self.line.len() - 1) }
    }

    fn margin(&self) -> u64 {
        self.depth_max + SEED_MARGIN_TICKETS
    }

    /// What a link does when it connects.
    pub fn seed(&mut self, floor: u64) {
        match self.counter {
            Some(counter) if counter >= floor => {}
            None if floor == 0 => self.counter = Some(0),
            _ => self.counter = Some(floor + self.margin()),
        }
    }

    pub fn reticket(&mut self, floor: u64) {
        let shift = floor + self.margin();
        let highest = self.line.last().map_or(0, |last| last.ticket);
        self.counter = Some(self.counter.unwrap_or(0).max(highest) + shift);
        self.line.iter_mut().for_each(|waiting| waiting.ticket += shift);
    }

    /// A batch ends without an outcome.
    pub fn give_back(&mut self, token: Uuid, release: Release) {
        let Some(lease) = self.leases.remove(&token) else { return };
        let size = lease.members.len();
        for waiting in self.line.iter_mut().filter(|waiting| waiting.token == Some(token)) {
            waiting.token = None;
            if release != Release::Unchanged {
                waiting.size_max = Some((size / 4).max(1));
            }
            if release == Release::Blamed {
                *waiting.failures_alone.get_or_insert_default() += u32::from(size == 1);
            }
        }
    }

    /// Gives back what has expired; how many batches.
    pub fn reap(&mut self) -> u64 {
        let expired: Vec<_> = self.leases.iter().filter(|(_, lease)| lease.expired).map(|(token, _)| *token).collect();
        expired.iter().for_each(|&token| self.give_back(token, Release::Blamed));
        expired.len() as u64
    }

    /// A batch leaves the line: in each of its lanes nobody may have been passed.
    pub fn ack(&mut self, token: Uuid, outcomes: &[Vec<u8>]) {
        let lease = self.leases.remove(&token).expect("the lease is live");
        if lease.suspects {
            self.turn = None;
        }
        for (&id, outcome) in lease.members.iter().zip(outcomes) {
            let at = self.find(id).expect("a member is in line");
            let waiting = self.line.remove(at);
            for lane in &waiting.lanes {
                let before = self.last_acked.insert(lane.clone(), waiting.arrival).unwrap_or(0);
                assert!(before < waiting.arrival, "{lane}: arrival {} acked after {before}", waiting.arrival);
                let passed = self.line.iter().any(|o| o.arrival < waiting.arrival && o.lanes.contains(lane));
                assert!(!passed, "{lane}: arrival {} passed somebody", waiting.arrival);
            }
            self.decided.insert(id, outcome.clone());
        }
    }

    pub fn raise_gate(&mut self, lane: &str, used: u64, limit: u64) {
        let gate = self.gates.entry(lane.to_owned()).or_default();
        *gate = (gate.0.max(used), gate.1.max(limit));
    }

    /// How many wait because of a paused lane: those in it, and whoever stands behind one of them anywhere.
    pub fn held_by(&self, lane: &str) -> u64 {
        let free = |at: &usize| self.line[*at].token.is_none();
        if lane == "*" {
            return (0..self.line.len()).filter(free).count() as u64;
        }
        let mut behind: HashSet<&str> = HashSet::from([lane]);
        let mut held = 0;
        // In order of arrival, whoever touches a lane in which somebody is held stands behind that one.
        for at in (0..self.line.len()).filter(free) {
            if self.line[at].lanes.iter().any(|lane| behind.contains(lane.as_str())) {
                held += 1;
                behind.extend(self.line[at].lanes.iter().map(String::as_str));
            }
        }
        held
    }

    pub fn suspects_fly(&self) -> bool {
        self.leases.values().any(|lease| lease.suspects)
    }
}
