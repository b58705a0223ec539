//! Several measurements of the same thing.

use serde::Serialize;

/// Several measurements: their median is the figure, their range says how much it is worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// As they were measured.
    pub values: Vec<f64>,
    /// The middle one; the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Series {
    /// Of at least one measurement; of none it is all 0.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Series {
        let values: Vec<f64> = values.into_iter().collect();
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = match sorted.len() {
            0 => 0.0,
            odd if odd % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        };
        let (min, max) = (sorted.first().copied(), sorted.last().copied());
        Series { values, median, min: min.unwrap_or_default(), max: max.unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let rows: [(&[f64], f64, f64, f64); 4] = [
            (&[], 0.0, 0.0, 0.0),
            (&[7.0], 7.0, 7.0, 7.0),
            (&[9.0, 1.0, 5.0], 5.0, 1.0, 9.0),
            (&[9.0, 1.0, 5.0, 6.0], 5.5, 1.0, 9.0),
        ];
        for (values, median, min, max) in rows {
            let series = Series::of(values.iter().copied());
            assert_eq!((series.median, series.min, series.max), (median, min, max), "{values:?}");
            assert_eq!(series.values, values, "they stay in the order in which they were measured");
        }
    }
}
