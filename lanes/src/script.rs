//! The scripts, and how one is run.

use std::{
    fmt,
    sync::LazyLock,
    time::{Duration, Instant},
};

use redis::{RedisError, ScriptInvocation, Value};

use crate::{Error, Lanes, link::Connection};

/// A script of the protocol: the prelude and a body, sent by hash and loaded again whenever Redis forgot it.
pub(crate) struct Script {
    pub name: &'static str,
    script: redis::Script,
}

impl Script {
    fn new(name: &'static str, flags: &str, body: &str) -> Self {
        let prelude = include_str!("lua/prelude.lua");
        Self { name, script: redis::Script::new(&format!("#!lua{flags}\n{prelude}\n{body}")) }
    }

    /// A call on the keys of one group.
    pub fn invocation(&self, prefix: &str) -> ScriptInvocation<'_> {
        self.script.key(prefix)
    }
}

// Without flags Redis refuses a script before it starts when memory is full, so that nothing is half done. What ends a
// batch deletes more than it writes and must run on a full Redis too.
const REFUSED_WHEN_FULL: &str = "";
const RUNS_WHEN_FULL: &str = " flags=allow-oom";

/// A span of time as the scripts take it. Ours are bounded far below the largest.
pub(crate) fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

macro_rules! scripts {
    ($($name:ident = $file:literal, $flags:expr;)*) => {
        $(pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new($file, $flags, include_str!(concat!("lua/", $file, ".lua")))
        });)*

        /// The names of all scripts, as a [`ScriptObserver`] hears them.
        pub const SCRIPTS: &[&str] = &[$($file),*];
    };
}

scripts! {
    APPEND = "append", REFUSED_WHEN_FULL;
    CLAIM = "claim", RUNS_WHEN_FULL;
    ACK = "ack", RUNS_WHEN_FULL;
    TELL = "tell", REFUSED_WHEN_FULL;
    RELEASE = "release", RUNS_WHEN_FULL;
    RENEW = "renew", RUNS_WHEN_FULL;
    REAP = "reap", RUNS_WHEN_FULL;
    STATUS = "status", RUNS_WHEN_FULL;
    PAUSE = "pause", RUNS_WHEN_FULL;
    RESUME = "resume", RUNS_WHEN_FULL;
    RAISE_GATE = "raise_gate", RUNS_WHEN_FULL;
    SEED = "seed", RUNS_WHEN_FULL;
    RETICKET = "reticket", RUNS_WHEN_FULL;
    DEPTH = "depth", RUNS_WHEN_FULL;
}

/// Is told how long every script took, as this process saw it, and whether it failed.
pub type ScriptObserver = fn(script: &'static str, took: Duration, failed: bool);

impl Lanes {
    /// Runs a script on this group's keys.
    pub(crate) async fn run(
        &self,
        script: &'static LazyLock<Script>,
        arguments: impl Fn(&mut ScriptInvocation<'_>),
    ) -> Result<Value, Error> {
        Ok(self.run_somewhere(script, arguments).await?.0)
    }

    /// The same, and over which connection it ran. Refused because the group lives elsewhere, it is run there.
    #[expect(clippy::disallowed_methods, reason = "the verbs of this crate are where scripts are called")]
    pub(crate) async fn run_somewhere(
        &self,
        script: &'static LazyLock<Script>,
        arguments: impl Fn(&mut ScriptInvocation<'_>),
    ) -> Result<(Value, Connection), Error> {
        let mut may_go_on = true;
        loop {
            let mut connection = self.link.connection(&self.prefix, Some(&self.group)).await?;
            let mut invocation = script.invocation(&self.prefix);
            arguments(&mut invocation);
            let started = Instant::now();
            let answer = invocation.invoke_async(&mut connection.redis).await;
            self.link.observe(script.name, started.elapsed(), answer.is_err());
            let source: RedisError = match answer {
                Ok(value) => return Ok((value, connection)),
                Err(source) => source,
            };
            if self.link.failed(&self.prefix, &connection, &source) && may_go_on {
                may_go_on = false;
                continue;
            }
            return Err(Error::Script { script: script.name, source });
        }
    }
}

/// Reads the answers of scripts. Numbers come as integers or as decimal text.
pub(crate) struct Reader<'a> {
    script: &'static str,
    value: &'a Value,
}

impl<'a> Reader<'a> {
    pub fn new(script: &'static LazyLock<Script>, value: &'a Value) -> Self {
        Self { script: script.name, value }
    }

    pub fn unreadable(&self) -> Error {
        const SHOWN_CHARS: usize = 200;
        let answer = format!("{:?}", self.value).chars().take(SHOWN_CHARS).collect();
        Error::Answer { script: self.script, answer }
    }

    pub fn items(&self) -> Result<&'a [Value], Error> {
        match self.value {
            Value::Array(items) => Ok(items),
            _ => Err(self.unreadable()),
        }
    }

    pub fn at(&self, index: usize) -> Result<Reader<'a>, Error> {
        let value = self.items()?.get(index).ok_or_else(|| self.unreadable())?;
        Ok(Reader { script: self.script, value })
    }

    pub fn bytes(&self) -> Result<&'a [u8], Error> {
        match self.value {
            Value::BulkString(bytes) => Ok(bytes),
            _ => Err(self.unreadable()),
        }
    }

    pub fn text(&self) -> Result<&'a str, Error> {
        std::str::from_utf8(self.bytes()?).map_err(|_| self.unreadable())
    }

    pub fn parsed<T: std::str::FromStr>(&self) -> Result<T, Error> {
        self.text()?.parse().map_err(|_| self.unreadable())
    }

    pub fn integer(&self) -> Result<i64, Error> {
        match self.value {
            Value::Int(number) => Ok(*number),
            _ => self.parsed(),
        }
    }

    pub fn count(&self) -> Result<u64, Error> {
        u64::try_from(self.integer()?).map_err(|_| self.unreadable())
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Script").field(&self.name).finish()
    }
}
