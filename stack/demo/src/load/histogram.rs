//! Latencies, counted in log-linear buckets: exact below a quarter of a millisecond, and everywhere to within 0.8 %.

use std::time::Duration;

/// Each power of two is cut into 2^7 buckets, so a bucket is at most 1/128 of its values wide.
const SUB_BITS: u32 = 7;
const SUB_BUCKETS: usize = 1 << SUB_BITS;

/// What takes longer (over an hour) counts as this.
const VALUE_MAX_US: u64 = (1 << 32) - 1;

const BUCKETS: usize = bucket_of(VALUE_MAX_US) + 1;

/// How many times something took how long.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max_us: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: vec![0; BUCKETS], total: 0, max_us: 0 }
    }
}

impl Histogram {
    /// Counts one duration, to the microsecond.
    pub fn record(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(VALUE_MAX_US);
        self.counts[bucket_of(us)] += 1;
        self.total += 1;
        self.max_us = self.max_us.max(us);
    }

    /// How many were counted.
    pub fn len(&self) -> u64 {
        self.total
    }

    /// Whether none was counted.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The longest; none if nothing was counted.
    pub fn max(&self) -> Option<Duration> {
        (self.total > 0).then(|| Duration::from_micros(self.max_us))
    }

    /// The duration that a part `quantile` (0 to 1) of all did not exceed; none if nothing was counted.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let wanted = (quantile * self.total as f64).max(1.0);
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen as f64 >= wanted
        })?;
        Some(Duration::from_micros(last_of(bucket).min(self.max_us)))
    }

    /// The buckets that hold something: the longest duration of each, and how many.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        let filled = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(|(bucket, count)| (Duration::from_micros(last_of(bucket)), *count))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "below 2^32, see VALUE_MAX_US; that fits everywhere")]
const fn bucket_of(us: u64) -> usize {
    if us < SUB_BUCKETS as u64 {
        return us as usize;
    }
    let shift = us.ilog2() - SUB_BITS;
    shift as usize * SUB_BUCKETS + (us >> shift) as usize
}

/// The longest duration that falls into a bucket, in microseconds.
const fn last_of(bucket: usize) -> u64 {
    if bucket < SUB_BUCKETS {
        return bucket as u64;
    }
    let shift = bucket / SUB_BUCKETS - 1;
    let leading = (bucket - shift * SUB_BUCKETS) as u64;
    ((leading + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_gaps() {
        for bucket in 0..BUCKETS {
            assert_eq!(bucket_of(last_of(bucket)), bucket);
            assert_eq!(bucket_of(last_of(bucket) + 1), bucket + 1);
        }
        assert_eq!(last_of(BUCKETS - 1), VALUE_MAX_US);
    }

    #[test]
    fn quantiles_are_as_close_as_promised() {
        fn check(values: impl Iterator<Item = u64>, quantile: f64, meant_us: u64) {
            let mut histogram = Histogram::default();
            values.for_each(|us| histogram.record(Duration::from_micros(us)));
            let found = histogram.quantile(quantile).unwrap().as_micros();
            let meant_us = u128::from(meant_us);
            assert!(found >= meant_us && found - meant_us <= meant_us / 128, "{found} for {meant_us}");
        }
        check(1..=1_000_000, 0.5, 500_000);
        check(1..=1_000_000, 0.99, 990_000);
        check(1..=1_000_000, 1.0, 1_000_000);
        check(0..=0, 0.99, 0);
        check([3, 200, 90_000].into_iter(), 0.5, 200);
        check([3, 200, 90_000].into_iter(), 0.67, 90_000);
        check(std::iter::once(u64::MAX), 0.5, VALUE_MAX_US);
    }

    #[test]
    fn an_empty_one_knows_nothing() {
        let empty = Histogram::default();
        assert!(empty.is_empty());
        assert_eq!((empty.quantile(0.5), empty.max(), empty.buckets().count()), (None, None, 0));
    }

    #[test]
    fn filled_buckets_hold_everything() {
        let mut histogram = Histogram::default();
        for us in [1, 1, 5_000_000] {
            histogram.record(Duration::from_micros(us));
        }
        let buckets: Vec<_> = histogram.buckets().collect();
        assert_eq!(buckets[0], (Duration::from_micros(1), 2));
        assert_eq!(buckets[1].1, 1);
        assert_eq!((buckets.len(), histogram.len()), (2, 3));
        assert_eq!(histogram.max(), Some(Duration::from_secs(5)));
    }
}
