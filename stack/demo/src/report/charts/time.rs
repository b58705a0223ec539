//! What happened when.

use crate::load::{STEP_MS, Steps};
use crate::report::{Phase, words};

use super::Drawing;
use super::axis::round_values;

const X_MARKS: usize = 6;
const Y_MARKS: usize = 4;
/// Wide enough to be seen.
const BATCH_WIDTH: f64 = 0.003;
/// More points than this are drawn as means of several.
const POINTS_MAX: usize = 300;

/// Accepted and decided commands a second, over time.
pub fn throughput(phase: &Phase) -> String {
    let all = [("accepted", &phase.tally.accepted_steps), ("decided", &phase.tally.decided_steps)];
    let steps = all.iter().map(|(_, steps)| steps.0.len()).max().unwrap_or_default();
    if steps == 0 {
        return String::new();
    }
    let together = steps.div_ceil(POINTS_MAX);
    let rates = all.map(|(class, counted)| (class, rates(counted, steps, together)));
    let highest = rates.iter().flat_map(|(_, rates)| rates).copied().fold(0.0, f64::max);
    let seconds = (steps.next_multiple_of(together) as u64 * STEP_MS) as f64 / 1e3;

    let mut drawing = Drawing::new("accepted and decided commands a second over time");
    let top = mark_y(&mut drawing, highest);
    mark_seconds(&mut drawing, seconds);
    for (class, rates) in rates {
        let width = 1.0 / rates.len() as f64;
        let points: Vec<_> = rates
            .iter()
            .enumerate()
            .flat_map(|(index, rate)| {
                let left = index as f64 * width;
                [(left, rate / top), (left + width, rate / top)]
            })
            .collect();
        drawing.line(class, &points);
    }
    drawing.finish()
}

/// Means over so many steps, as rates a second.
fn rates(counted: &Steps, steps: usize, together: usize) -> Vec<f64> {
    let count = |step: usize| counted.0.get(step).copied().unwrap_or_default();
    let seconds = (together as u64 * STEP_MS) as f64 / 1e3;
    let groups = (0..steps).step_by(together);
    groups.map(|first| (first..first + together).map(count).sum::<u64>() as f64 / seconds).collect()
}

/// The size of each committed batch, at the time at which it was decided.
pub fn batch_sizes(phase: &Phase) -> String {
    let since = |batch: &crate::facts::Batch| (batch.decided_at - phase.began_at).as_seconds_f64().max(0.0);
    let Some(last) = phase.batches.iter().map(since).reduce(f64::max) else {
        return String::new();
    };
    let highest = phase.batches.iter().map(|batch| batch.size).max().unwrap_or_default();
    let seconds = last.max(STEP_MS as f64 / 1e3);

    let mut drawing = Drawing::new("sizes of batches over time");
    let top = mark_y(&mut drawing, f64::from(highest));
    mark_seconds(&mut drawing, seconds);
    // More batches than can be told apart are thinned out, evenly.
    let every = phase.batches.len().div_ceil(POINTS_MAX * 4).max(1);
    for batch in phase.batches.iter().step_by(every) {
        let x = since(batch) / seconds;
        let text = format!("{} commands", batch.size);
        drawing.bar("bar", (x, x + BATCH_WIDTH), f64::from(batch.size) / top, &text);
    }
    drawing.finish()
}

/// Marks the y axis, and gives the value at its top.
fn mark_y(drawing: &mut Drawing, highest: f64) -> f64 {
    let marks = round_values(highest, Y_MARKS);
    let top = marks.last().copied().unwrap_or(1.0);
    for mark in marks {
        drawing.y_mark(mark / top, &words::rounded(mark));
    }
    top
}

fn mark_seconds(drawing: &mut Drawing, seconds: f64) {
    for mark in round_values(seconds, X_MARKS).into_iter().filter(|mark| *mark <= seconds) {
        let label = format!("{mark:.2}");
        drawing.x_mark(mark / seconds, label.trim_end_matches('0').trim_end_matches('.'));
    }
    drawing.x_name("seconds");
}
