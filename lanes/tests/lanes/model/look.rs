//! Compares everything that Redis holds, and everything that the crate answers, with the model.

use std::collections::{BTreeMap, BTreeSet};

use lanes::{Depth, Lanes, Status};
use redis::aio::MultiplexedConnection;
use uuid::Uuid;

use super::naive::Model;

type Scores = Vec<(String, f64)>;
type Names = BTreeSet<String>;
type Counts = BTreeMap<String, usize>;
type Answers = (Scores, Scores, Scores, Scores, Names, Names, Counts, Counts, Counts, Option<String>, Option<u64>);

/// The keys of the protocol, as the README names them.
pub async fn check_keys(model: &Model, redis: &mut MultiplexedConnection, prefix: &str) {
    let key = |name: &str| format!("{prefix}{name}");
    let mut pipe = redis::pipe();
    for name in ["line", "ready", "suspects", "leases"] {
        pipe.cmd("ZRANGE").arg(key(name)).arg(0).arg(-1).arg("WITHSCORES");
    }
    let batches: Vec<String> = model.leases.keys().map(|token| key(&format!("batch:{token}"))).collect();
    // An empty union is asked for by a name that is nobody's.
    pipe.cmd("SUNION").arg(key("batch:none")).arg(&batches);
    pipe.cmd("SMEMBERS").arg(key("paused"));
    for name in ["waiting", "shrunk", "alone"] {
        pipe.cmd("HGETALL").arg(key(name));
    }
    pipe.cmd("GET").arg(key("suspect"));
    pipe.cmd("HGET").arg(key("counter")).arg("ticket");
    let (line, ready, suspects, leases, in_flight, paused, waiting, shrunk, alone, suspect, counter): Answers =
        pipe.query_async(redis).await.unwrap();

    let all: Vec<usize> = (0..model.line.len()).collect();
    assert_eq!(line, scores(model, &all), "the line");
    assert_eq!(ready, scores(model, &model.ready(false)), "who may be claimed");
    assert_eq!(suspects, scores(model, &model.ready(true)), "which suspects may be claimed");
    let tokens = |wanted: fn(&super::naive::Lease) -> bool| {
        let live = model.leases.iter().filter(move |(_, lease)| wanted(lease));
        live.map(|(token, _)| token.to_string()).collect::<BTreeSet<_>>()
    };
    assert_eq!(leases.into_iter().map(|(token, _)| token).collect::<Names>(), tokens(|_| true), "leases");
    assert_eq!(suspect.into_iter().collect::<Names>(), tokens(|lease| lease.suspects), "the suspects in flight");
    assert_eq!(in_flight, text(model, |at| model.line[at].token.is_some()).into_iter().collect(), "in flight");
    assert_eq!(paused, model.paused, "paused lanes");
    assert_eq!(counter, model.counter, "the counter");

    let count = |number: fn(&Model, usize) -> Option<usize>| -> Counts {
        all.iter().filter_map(|&at| Some((model.line[at].id.to_string(), number(model, at)?))).collect()
    };
    let several = |model: &Model, at: usize| {
        (model.line[at].lanes.len() > 1).then(|| model.lanes_to_wait(at)).filter(|lanes| *lanes > 0)
    };
    assert_eq!(waiting, count(several), "lanes to wait for");
    assert_eq!(shrunk, count(|model, at| model.line[at].size_max), "sizes after a failure");
    assert_eq!(
        alone,
        count(|model, at| model.line[at].failures_alone.map(|failures| failures as usize)),
        "failures alone"
    );
}

fn scores(model: &Model, places: &[usize]) -> Scores {
    places.iter().map(|&at| (model.line[at].id.to_string(), model.line[at].ticket as f64)).collect()
}

fn text(model: &Model, wanted: impl Fn(usize) -> bool) -> Vec<String> {
    (0..model.line.len()).filter(|&at| wanted(at)).map(|at| model.line[at].id.to_string()).collect()
}

/// The operator's view.
pub async fn check_depth(model: &Model, lanes: &Lanes) {
    const SHOWN_LANES: usize = 3;
    let depth = lanes.depth(SHOWN_LANES).await.unwrap();
    assert_eq!(depth.oldest_age.is_some(), !model.line.is_empty(), "the age of the oldest: {:?}", depth.oldest_age);
    let mut paused = depth.paused;
    paused.sort();
    let seen = Depth { oldest_age: None, paused, ..depth };
    let longest = model.lengths().into_iter().take(SHOWN_LANES).collect();
    let expected = Depth {
        waiting: model.line.len() as u64,
        in_flight: text(model, |at| model.line[at].token.is_some()).len() as u64,
        leases: model.leases.len() as u64,
        oldest_age: None,
        ready: (model.ready(false).len() + model.ready(true).len()) as u64,
        longest,
        paused: model.paused.iter().cloned().collect(),
    };
    assert_eq!(seen, expected);
}

/// The shopper's view.
pub async fn check_status(model: &Model, lanes: &Lanes, id: Uuid) {
    let expected = match (model.find(id), model.decided.get(&id)) {
        (Some(at), _) => {
            let waiting = &model.line[at];
            Status::Waiting {
                ticket: waiting.ticket,
                accepted_at_us: waiting.accepted_at_us,
                in_flight: waiting.token.is_some(),
                position: model.position(at),
                may_be_decided: false,
                envelope: waiting.envelope.clone(),
            }
        }
        (None, Some(outcome)) => Status::Decided(outcome.clone()),
        (None, None) => Status::Unknown,
    };
    assert_eq!(lanes.status(id).await.unwrap(), expected);
}

/// When everybody has an outcome, only what is meant to stay may be left, and what is meant to go has a time to live.
pub async fn check_nothing_left(model: &Model, redis: &mut MultiplexedConnection, prefix: &str) {
    let keys: Vec<String> = redis::cmd("KEYS").arg(format!("{prefix}*")).query_async(redis).await.unwrap();
    let mut outcomes = 0;
    for key in &keys {
        let name = key.strip_prefix(prefix).unwrap();
        let ttl_ms: i64 = redis::cmd("PTTL").arg(key).query_async(redis).await.unwrap();
        let passes = name.starts_with("outcomes:") || name.starts_with("key:");
        if name.starts_with("outcomes:") {
            outcomes += redis::cmd("HLEN").arg(key).query_async::<usize>(redis).await.unwrap();
        }
        assert!(passes || name == "counter" || name == "idle" || name.starts_with("gate:"), "{name} was left over");
        assert_eq!(ttl_ms > 0, passes, "{name} lives for {ttl_ms} ms");
    }
    assert_eq!(outcomes, model.decided.len(), "outcomes that can still be asked for");
    redis::cmd("DEL").arg(&keys).query_async::<()>(redis).await.unwrap();
}
