//! Which values stand at an axis.

use std::time::Duration;

/// From a microsecond to over an hour.
const POWERS_MAX: usize = 10;

/// Steps that people count in.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];

/// About `wanted` round values from 0 up to `max`, the last one at or above it.
pub fn round_values(max: f64, wanted: usize) -> Vec<f64> {
    let rough = (max / wanted as f64).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(rough.log10().floor());
    let step = STEPS.iter().map(|step| step * power).find(|step| *step >= rough).unwrap_or(10.0 * power);
    let mut values = vec![0.0];
    for index in 1..=wanted + 1 {
        values.push(index as f64 * step);
        if index as f64 * step >= max {
            break;
        }
    }
    values
}

/// Which of so many equal slots holds a place between 0 and 1; the last one holds 1 itself.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "both ends are cut off")]
pub fn slot(place: f64, slots: usize) -> usize {
    let last = slots.saturating_sub(1);
    ((place.max(0.0) * slots as f64) as usize).min(last)
}

/// A scale on which every power of ten is as wide as the next, from 100 µs or less to at least `max`.
#[derive(Debug, Clone, Copy)]
pub struct LogScale {
    first_power: f64,
    powers: usize,
}

impl LogScale {
    /// A scale for durations between these two.
    pub fn new(min: Duration, max: Duration) -> LogScale {
        let first_power = power(min).floor();
        let powers = (1..=POWERS_MAX).find(|powers| first_power + *powers as f64 >= power(max));
        LogScale { first_power, powers: powers.unwrap_or(POWERS_MAX) }
    }

    /// Where a duration stands, 0 to 1.
    pub fn at(self, duration: Duration) -> f64 {
        ((power(duration) - self.first_power) / self.powers as f64).clamp(0.0, 1.0)
    }

    /// The powers of ten with their names.
    pub fn marks(self) -> impl Iterator<Item = (f64, String)> {
        (0..=self.powers).map(move |index| {
            let seconds = 10f64.powf(self.first_power + index as f64);
            (index as f64 / self.powers as f64, name(seconds))
        })
    }

    /// How many powers of ten it spans.
    pub fn powers(self) -> usize {
        self.powers
    }
}

/// The power of ten that is so many seconds; nothing is shorter than a microsecond.
fn power(duration: Duration) -> f64 {
    const SHORTEST_SECONDS: f64 = 1e-6;
    duration.as_secs_f64().max(SHORTEST_SECONDS).log10()
}

fn name(seconds: f64) -> String {
    // Powers of ten are not exact; the limits stand half way between two of them.
    match seconds {
        ..0.000_5 => format!("{:.0} µs", seconds * 1e6),
        0.000_5..0.5 => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{seconds:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_round_and_reach_the_top() {
        let rows: [(f64, &[f64]); 4] = [
            (10.0, &[0.0, 5.0, 10.0]),
            (9_400.0, &[0.0, 5_000.0, 10_000.0]),
            (0.7, &[0.0, 0.5, 1.0]),
            (1_000.0, &[0.0, 500.0, 1_000.0]),
        ];
        for (max, meant) in rows {
            assert_eq!(round_values(max, 3), meant, "{max}");
        }
        assert!(round_values(0.0, 3).len() >= 2, "nothing at all can be drawn, too");
    }

    #[test]
    fn slots_cover_everything() {
        let rows = [(0.0, 0), (0.24, 0), (0.25, 1), (0.99, 3), (1.0, 3), (7.0, 3), (-1.0, 0)];
        for (place, meant) in rows {
            assert_eq!(slot(place, 4), meant, "{place}");
        }
    }

    #[test]
    fn powers_of_ten_are_named_and_placed() {
        let scale = LogScale::new(Duration::from_micros(300), Duration::from_millis(250));
        let marks: Vec<_> = scale.marks().collect();
        let meant = [(0.0, "100 µs"), (0.25, "1 ms"), (0.5, "10 ms"), (0.75, "100 ms"), (1.0, "1 s")];
        assert_eq!(marks, meant.map(|(at, name)| (at, name.to_owned())));
        assert!((scale.at(Duration::from_millis(10)) - 0.5).abs() < 1e-9);
        assert_eq!((scale.at(Duration::ZERO), scale.at(Duration::from_secs(9))), (0.0, 1.0));
    }
}
