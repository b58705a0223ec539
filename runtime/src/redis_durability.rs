//! Whether this Redis keeps what it accepted: the promise behind every 202.

use crate::config::QueueDurability;
use crate::metrics;
use futures::future::join_all;
use lanes::{Link, Reached, Server};
use redis::aio::ConnectionLike;
use redis::{InfoDict, RedisError, RedisResult};
use std::collections::HashMap;

/// The first version whose scripts can say `allow-oom`; the lanes need it.
const REDIS_MIN_MAJOR: u32 = 7;

/// What Redis says about itself. `None` is what it does not let us see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durability {
    /// Whether every write is appended to a file.
    pub append_only: Option<bool>,
    /// When that file is flushed to the disk: `always`, `everysec` or `no`.
    pub append_fsync: Option<String>,
    /// What happens when memory is full.
    pub maxmemory_policy: Option<String>,
    /// The version, `7.0.15`.
    pub version: String,
    /// Replicas that are connected.
    pub replicas: u32,
}

/// What follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// An accepted request is on disk.
    Durable,
    /// It works, but accepted requests may be lost: the sentence says how. Shown by `/readyz`.
    GivesUp(String),
    /// The process must not start: the sentence says why, and what to do.
    Refused(String),
}

impl Verdict {
    /// The outcome as a readiness check answers it.
    ///
    /// # Errors
    /// The sentence of a refusal.
    pub fn into_check(self) -> Result<Option<String>, String> {
        match self {
            Verdict::Durable => Ok(None),
            Verdict::GivesUp(sentence) => Ok(Some(sentence)),
            Verdict::Refused(sentence) => Err(sentence),
        }
    }
}

/// What the servers that keep the lines say about themselves, as far as they could be asked.
#[derive(Debug)]
pub struct Found {
    /// Those that answered, and what they said.
    pub servers: Vec<(Server, Durability)>,
    /// Why the lines of some groups are missing among them; none: all are there.
    pub failure: Option<lanes::Error>,
}

impl Found {
    /// What all servers say.
    ///
    /// # Errors
    /// When one is missing.
    pub fn all(self) -> Result<Vec<Durability>, lanes::Error> {
        let durability = self.servers.into_iter().map(|(_, durability)| durability).collect();
        self.failure.map_or(Ok(durability), Err)
    }
}

/// Asks every server that keeps a part of the lines, over connections of its own, and shows in metrics whether all of them
/// keep what they accept.
pub async fn check_all(link: &Link) -> Found {
    let Reached { servers, failure } = link.servers().await;
    let mut found = Found { servers: Vec::with_capacity(servers.len()), failure };
    let asked = servers.into_iter().map(async |mut server| {
        let said = check(&mut server.redis).await;
        (server, said)
    });
    for (server, said) in join_all(asked).await {
        match said {
            Ok(durability) => found.servers.push((server, durability)),
            Err(source) => found.failure = Some(lanes::Error::Connect(source)),
        }
    }
    let is_durable = judge_all(found.servers.iter().map(|(_, said)| said), QueueDurability::Strict) == Verdict::Durable;
    // Of a server that is missing nobody knows whether it still is what it was.
    if !is_durable || found.failure.is_none() {
        metrics::redis_durable().set(f64::from(u8::from(is_durable)));
    }
    found
}

/// The worst of what follows from several servers: the lines are as durable as the one that keeps least.
pub fn judge_all<'a>(all: impl IntoIterator<Item = &'a Durability>, demanded: QueueDurability) -> Verdict {
    let worst = |verdict: &Verdict| match verdict {
        Verdict::Durable => 0,
        Verdict::GivesUp(_) => 1,
        Verdict::Refused(_) => 2,
    };
    all.into_iter().map(|one| judge(one, demanded)).max_by_key(worst).unwrap_or(Verdict::Durable)
}

/// Asks one server. Where `CONFIG` is not permitted, `INFO` tells part of it.
///
/// # Errors
/// When Redis does not answer.
pub async fn check(connection: &mut impl ConnectionLike) -> RedisResult<Durability> {
    let info = info(connection).await?;
    let version: String = info.get("redis_version").unwrap_or_default();
    let append_only: Option<u8> = info.get("aof_enabled");
    let seen = Durability {
        append_only: append_only.map(|enabled| enabled == 1),
        append_fsync: None,
        maxmemory_policy: info.get("maxmemory_policy"),
        version,
        replicas: info.get("connected_slaves").unwrap_or_default(),
    };
    let seen = match config(connection).await? {
        Some(mut settings) => Durability {
            append_only: settings.remove("appendonly").map(|value| value == "yes").or(seen.append_only),
            append_fsync: settings.remove("appendfsync"),
            maxmemory_policy: settings.remove("maxmemory-policy").or(seen.maxmemory_policy),
            ..seen
        },
        None => seen,
    };
    Ok(seen)
}

async fn info(connection: &mut impl ConnectionLike) -> RedisResult<InfoDict> {
    redis::cmd("INFO").query_async(connection).await
}

/// The three settings, or `None` where Redis answers that we may not read them.
async fn config(connection: &mut impl ConnectionLike) -> RedisResult<Option<HashMap<String, String>>> {
    let mut settings = HashMap::new();
    // One name at a time: several in one call are understood only since 7.0, and 6.2 should be told its version.
    for name in ["appendonly", "appendfsync", "maxmemory-policy"] {
        let answer: RedisResult<HashMap<String, String>> =
            redis::cmd("CONFIG").arg("GET").arg(name).query_async(connection).await;
        match answer {
            Ok(found) => settings.extend(found),
            Err(error) if is_refusal(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(settings))
}

/// Whether the server answered with a no: not permitted, or (where CONFIG is renamed away) not known.
fn is_refusal(error: &RedisError) -> bool {
    matches!(error.code(), Some("NOPERM" | "ERR"))
}

/// Judges what Redis said by what is demanded.
pub fn judge(durability: &Durability, demanded: QueueDurability) -> Verdict {
    if major(&durability.version).is_none_or(|major| major < REDIS_MIN_MAJOR) {
        return Verdict::Refused(format!(
            "Redis {REDIS_MIN_MAJOR} or newer is needed, this one is {}",
            if durability.version.is_empty() { "of unknown version" } else { &durability.version }
        ));
    }
    let gaps = Gaps::of(durability);
    if gaps.is_empty() {
        return Verdict::Durable;
    }
    match demanded {
        QueueDurability::Strict => Verdict::Refused(gaps.refusal()),
        QueueDurability::Relaxed => Verdict::GivesUp(gaps.given_up()),
    }
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

/// One thing that keeps Redis from promising.
struct Gap {
    found: String,
    setting: &'static str,
    wanted: &'static str,
    costs: &'static str,
}

struct Gaps(Vec<Gap>);

impl Gaps {
    fn of(durability: &Durability) -> Gaps {
        let append_only = durability.append_only.map(|on| if on { "yes" } else { "no" }.to_owned());
        let rows = [
            (
                append_only,
                "appendonly",
                "yes",
                "a restart of Redis loses every request accepted since its last snapshot",
            ),
            (
                durability.append_fsync.clone(),
                "appendfsync",
                "always",
                "a crash of the machine loses the requests accepted in its last second or more",
            ),
            (
                durability.maxmemory_policy.clone(),
                "maxmemory-policy",
                "noeviction",
                "when memory is full Redis throws away accepted requests instead of refusing new ones",
            ),
        ];
        Gaps(
            rows.into_iter()
                .filter(|(value, _, wanted, _)| value.as_deref() != Some(*wanted))
                .map(|(value, setting, wanted, costs)| Gap {
                    found: value.map_or_else(
                        || format!("{setting} is unknown (CONFIG GET is not permitted)"),
                        |value| format!("{setting} is {value}"),
                    ),
                    setting,
                    wanted,
                    costs,
                })
                .collect(),
        )
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn refusal(&self) -> String {
        let commands = self.list("; ", |gap| format!("CONFIG SET {} {}", gap.setting, gap.wanted));
        let lines = self.list(", ", |gap| format!("\"{} {}\"", gap.setting, gap.wanted));
        format!(
            "this Redis cannot promise to keep accepted requests: {}. Turn it on with {commands} (then CONFIG REWRITE), \
             or with the lines {lines} in redis.conf; or set QUEUE_DURABILITY=relaxed and accept the loss",
            self.found()
        )
    }

    fn given_up(&self) -> String {
        let costs = self.list("; ", |gap| gap.costs.to_owned());
        format!("QUEUE_DURABILITY=relaxed: {}, so {costs}", self.found())
    }

    fn found(&self) -> String {
        self.list(", ", |gap| gap.found.clone())
    }

    fn list(&self, between: &str, show: impl Fn(&Gap) -> String) -> String {
        self.0.iter().map(show).collect::<Vec<_>>().join(between)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redis(version: &str, append_only: Option<bool>, fsync: Option<&str>, policy: Option<&str>) -> Durability {
        Durability {
            append_only,
            append_fsync: fsync.map(str::to_owned),
            maxmemory_policy: policy.map(str::to_owned),
            version: version.to_owned(),
            replicas: 0,
        }
    }

    /// `named` must stand in the sentence; both modes are judged.
    fn check(durability: &Durability, strict: &str, relaxed: &str, named: &[&str]) {
        for (mode, expected) in [(QueueDurability::Strict, strict), (QueueDurability::Relaxed, relaxed)] {
            let (found, sentence) = match judge(durability, mode) {
                Verdict::Durable => ("durable", String::new()),
                Verdict::GivesUp(sentence) => ("gives up", sentence),
                Verdict::Refused(sentence) => ("refused", sentence),
            };
            assert_eq!(found, expected, "{mode:?} {durability:?}: {sentence}");
            for name in named {
                assert!(sentence.contains(name), "{mode:?}: no {name} in {sentence}");
            }
        }
    }

    #[test]
    fn verdicts() {
        let (yes, always, keep) = (Some(true), Some("always"), Some("noeviction"));
        check(&redis("7.0.15", yes, always, keep), "durable", "durable", &[]);
        check(&redis("8.2.1", yes, always, keep), "durable", "durable", &[]);
        check(&redis("10.0", yes, always, keep), "durable", "durable", &[]);
        let old = ["Redis 7 or newer", "6.2.14"];
        check(&redis("6.2.14", yes, always, keep), "refused", "refused", &old);
        check(&redis("", yes, always, keep), "refused", "refused", &["unknown version"]);
        let off = ["appendonly is no"];
        check(&redis("7.2", Some(false), always, keep), "refused", "gives up", &off);
        let every_second = ["appendfsync is everysec"];
        check(&redis("7.2", yes, Some("everysec"), keep), "refused", "gives up", &every_second);
        let evicts = ["maxmemory-policy is allkeys-lru"];
        check(&redis("7.2", yes, always, Some("allkeys-lru")), "refused", "gives up", &evicts);
        let unknown = ["appendfsync is unknown (CONFIG GET is not permitted)"];
        check(&redis("7.2", yes, None, keep), "refused", "gives up", &unknown);
        let all = ["appendonly is unknown", "appendfsync is unknown", "maxmemory-policy is unknown"];
        check(&redis("7.2", None, None, None), "refused", "gives up", &all);
    }

    #[test]
    fn the_worst_server_decides() {
        let good = redis("7.0.15", Some(true), Some("always"), Some("noeviction"));
        let bad = redis("7.0.15", Some(false), Some("always"), Some("noeviction"));
        let rows: [(&[&Durability], Verdict); 3] = [
            (&[&good, &good], Verdict::Durable),
            (&[&good, &bad], judge(&bad, QueueDurability::Relaxed)),
            (&[&bad, &good], judge(&bad, QueueDurability::Relaxed)),
        ];
        for (all, want) in rows {
            let all: Vec<_> = all.iter().copied().cloned().collect();
            assert_eq!(judge_all(&all, QueueDurability::Relaxed), want, "{all:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let found = redis("7.0.15", Some(false), Some("everysec"), Some("noeviction"));
        let Verdict::Refused(sentence) = judge(&found, QueueDurability::Strict) else {
            panic!("must be refused");
        };
        assert_eq!(
            sentence,
            "this Redis cannot promise to keep accepted requests: appendonly is no, appendfsync is everysec. \
             Turn it on with CONFIG SET appendonly yes; CONFIG SET appendfsync always (then CONFIG REWRITE), \
             or with the lines \"appendonly yes\", \"appendfsync always\" in redis.conf; \
             or set QUEUE_DURABILITY=relaxed and accept the loss"
        );
    }
}
