//! Charts as SVG inside the page: drawn here, so that the page needs no script and no network.

mod axis;
mod latency;
mod strip;
mod time;

pub use latency::latency;
pub use strip::{legend, strip};
pub use time::{batch_sizes, throughput};

use std::fmt::Write as _;

/// The drawing, and around it room for the labels.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 34.0;

/// A drawing in which x runs from 0 to 1 to the right and y from 0 to 1 upwards.
struct Drawing {
    svg: String,
}

impl Drawing {
    /// An empty drawing; `name` is read to those who cannot see it.
    fn new(name: &str) -> Drawing {
        let svg = format!(r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{}">"#, escape(name));
        Drawing { svg }
    }

    fn x(x: f64) -> f64 {
        LEFT + x * (WIDTH - LEFT - RIGHT)
    }

    fn y(y: f64) -> f64 {
        HEIGHT - BOTTOM - y * (HEIGHT - TOP - BOTTOM)
    }

    /// A line across, with its value at the left.
    fn y_mark(&mut self, y: f64, label: &str) {
        let (left, right, at) = (Self::x(0.0), Self::x(1.0), Self::y(y));
        self.add(format_args!(r#"<path class="grid" d="M{left:.1} {at:.1}H{right:.1}"/>"#));
        let (x, y) = (left - 6.0, at + 4.0);
        self.add(format_args!(r#"<text class="end" x="{x:.1}" y="{y:.1}">{}</text>"#, escape(label)));
    }

    /// A value below the drawing.
    fn x_mark(&mut self, x: f64, label: &str) {
        let (x, y) = (Self::x(x), HEIGHT - BOTTOM + 16.0);
        self.add(format_args!(r#"<text class="mid" x="{x:.1}" y="{y:.1}">{}</text>"#, escape(label)));
    }

    /// What the values below are.
    fn x_name(&mut self, name: &str) {
        let (x, y) = (Self::x(1.0), HEIGHT - 4.0);
        self.add(format_args!(r#"<text class="end" x="{x:.1}" y="{y:.1}">{}</text>"#, escape(name)));
    }

    /// A bar from the ground up to `y`, with a text for the pointer.
    fn bar(&mut self, class: &str, x: (f64, f64), y: f64, text: &str) {
        let (left, right, top) = (Self::x(x.0), Self::x(x.1), Self::y(y));
        let (width, height) = ((right - left).max(0.5), Self::y(0.0) - top);
        self.add(format_args!(
            r#"<rect class="{class}" x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}"><title>{}</title></rect>"#,
            escape(text)
        ));
    }

    /// A dashed line from top to bottom with a word beside it, in the first row of words, the second, ….
    fn flag(&mut self, x: f64, row: u8, label: &str) {
        let (at, top, ground) = (Self::x(x), Self::y(1.0), Self::y(0.0));
        self.add(format_args!(r#"<path class="flag" d="M{at:.1} {top:.1}V{ground:.1}"/>"#));
        // Near the right edge the word stands on the left.
        let (class, at) = if x > 0.8 { ("end", at - 4.0) } else { ("start", at + 4.0) };
        let y = top + 10.0 + 14.0 * f64::from(row);
        self.add(format_args!(r#"<text class="{class}" x="{at:.1}" y="{y:.1}">{}</text>"#, escape(label)));
    }

    /// A line through points.
    fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let mut path = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            let verb = if index == 0 { 'M' } else { 'L' };
            // Writing to a String cannot fail.
            let _ = write!(path, "{verb}{:.1} {:.1}", Self::x(*x), Self::y(*y));
        }
        self.add(format_args!(r#"<path class="{class}" d="{path}"/>"#));
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = self.svg.write_fmt(element);
    }

    fn finish(mut self) -> String {
        self.svg.push_str("</svg>");
        self.svg
    }
}

/// Text that can stand in HTML, also as an attribute.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}
