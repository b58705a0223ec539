//! How long it took, and how often.

use crate::load::Histogram;
use crate::report::words;

use super::Drawing;
use super::axis::{LogScale, round_values, slot};

/// Bars for each power of ten.
const BARS_PER_POWER: usize = 16;
const Y_MARKS: usize = 4;

/// A histogram of durations; an empty text if nothing was counted.
pub fn latency(name: &str, histogram: &Histogram) -> String {
    let (Some((min, _)), Some(max)) = (histogram.buckets().next(), histogram.max()) else {
        return String::new();
    };
    let scale = LogScale::new(min, max);
    let mut bars = vec![0; scale.powers() * BARS_PER_POWER];
    for (duration, count) in histogram.buckets() {
        let bar = slot(scale.at(duration), bars.len());
        bars[bar] += count;
    }
    let highest = bars.iter().copied().max().unwrap_or_default();
    let marks = round_values(highest as f64, Y_MARKS);
    let top = marks.last().copied().unwrap_or(1.0);

    let mut drawing = Drawing::new(name);
    for mark in &marks {
        drawing.y_mark(mark / top, &words::rounded(*mark));
    }
    for (x, label) in scale.marks() {
        drawing.x_mark(x, &label);
    }
    let width = 1.0 / bars.len() as f64;
    for (index, count) in bars.iter().enumerate().filter(|(_, count)| **count > 0) {
        let left = index as f64 * width;
        drawing.bar("bar", (left, left + width), *count as f64 / top, &words::count(*count));
    }
    for (row, quantile, label) in [(0, 0.5, "p50"), (1, 0.99, "p99")] {
        if let Some(duration) = histogram.quantile(quantile) {
            drawing.flag(scale.at(duration), row, &format!("{label} {}", words::duration(Some(duration))));
        }
    }
    drawing.finish()
}
