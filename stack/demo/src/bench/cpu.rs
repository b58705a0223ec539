//! Which process uses the processors: where a figure falls short, this says where to look first.

use std::collections::BTreeMap;
use std::time::Instant;

/// What the kernel counts processor time in, whatever its own clock does: `sysconf(_SC_CLK_TCK)` on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// The load generator: ourselves.
const LOAD: &str = "load";

/// Processors in use, by process: 0.5 is half of one.
pub type Cores = BTreeMap<&'static str, f64>;

/// Processor time that each process had used at a moment.
#[derive(Debug)]
pub struct CpuClock {
    processes: Vec<(&'static str, u32)>,
    at: Instant,
    ticks: BTreeMap<&'static str, u64>,
}

impl CpuClock {
    /// Starts to look at these processes, their children, and ourselves.
    pub fn start(mut processes: Vec<(&'static str, u32)>) -> CpuClock {
        processes.push((LOAD, std::process::id()));
        let ticks = ticks(&processes);
        CpuClock { processes, at: Instant::now(), ticks }
    }

    /// What each one used since then.
    pub fn cores(&self) -> Cores {
        let seconds = self.at.elapsed().as_secs_f64();
        let used = ticks(&self.processes).into_iter().map(|(name, now)| {
            let before = self.ticks.get(name).copied().unwrap_or_default();
            (name, now.saturating_sub(before) as f64 / TICKS_PER_SECOND / seconds)
        });
        used.collect()
    }
}

/// The children of Postgres' first process do its work; everybody else's (the servers, when they are looked at from
/// here) are on the list themselves.
fn ticks(processes: &[(&'static str, u32)]) -> BTreeMap<&'static str, u64> {
    let stats: Vec<Stat> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|pid| Stat::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .collect();
    let mut all = BTreeMap::new();
    for (name, pid) in processes {
        let own = stats.iter().filter(|stat| stat.pid == *pid);
        let children = stats.iter().filter(|stat| stat.parent == *pid && *name != LOAD);
        *all.entry(*name).or_default() += own.chain(children).map(|stat| stat.ticks).sum::<u64>();
    }
    all
}

/// A line of `/proc/<pid>/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    pid: u32,
    parent: u32,
    ticks: u64,
}

impl Stat {
    fn parse(line: &str) -> Option<Stat> {
        // The name in brackets may contain anything, brackets and blanks included.
        let (head, rest) = line.rsplit_once(')')?;
        let pid = head.split_once(' ')?.0.parse().ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        // State, parent, …; then the time in user and kernel mode as the 12th and 13th.
        let parent = fields.get(1)?.parse().ok()?;
        Some(Stat { pid, parent, ticks: number(11)? + number(12)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_the_name() {
        let line = "42 (a ) b (c) S 7 42 42 0 -1 4194304 100 0 0 0 15 5 900 900 20 0 1 0 12345 1000 10";
        assert_eq!(Stat::parse(line), Some(Stat { pid: 42, parent: 7, ticks: 20 }));
        assert_eq!(Stat::parse("42 (short) S 7"), None);
    }

    #[test]
    fn we_are_seen_working() {
        let clock = CpuClock::start(Vec::new());
        let began = Instant::now();
        let mut sum = 0u64;
        while clock.cores()[LOAD] == 0.0 && began.elapsed().as_secs() < 20 {
            sum = (0..100_000u64).fold(sum, |sum, number| std::hint::black_box(sum.wrapping_add(number)));
        }
        assert!(clock.cores()[LOAD] > 0.0);
    }
}
