//! What the user sees while it runs: steps and progress bars in a terminal, plain lines elsewhere. It goes to stderr, so
//! that stdout holds the report and nothing else.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a step that takes long shows that it is alive.
const TICK_MS: u64 = 100;

/// Where progress is shown.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    terminal: bool,
}

/// A step that is being done.
#[derive(Debug)]
pub struct Step {
    /// Moves as the step goes on.
    pub bar: ProgressBar,
    text: String,
    began: Instant,
    terminal: bool,
}

impl Screen {
    /// The user's.
    pub fn new() -> Screen {
        Screen { terminal: std::io::stderr().is_terminal() }
    }

    /// A step of unknown length.
    pub fn step(self, text: &str) -> Step {
        let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("the template is correct");
        self.begin(text, ProgressBar::no_length(), style)
    }

    /// A step of known length.
    pub fn bar(self, text: &str, length: u64) -> Step {
        let template = "{spinner} {msg:<28} {wide_bar} {human_pos}/{human_len}  {per_sec:.0}  {elapsed}";
        let style = ProgressStyle::with_template(template).expect("the template is correct");
        self.begin(text, ProgressBar::new(length), style)
    }

    fn begin(self, text: &str, bar: ProgressBar, style: ProgressStyle) -> Step {
        bar.set_style(style);
        bar.set_message(text.to_owned());
        if self.terminal {
            bar.enable_steady_tick(Duration::from_millis(TICK_MS));
        } else {
            // Nobody would see it move.
            bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        Step { bar, text: text.to_owned(), began: Instant::now(), terminal: self.terminal }
    }
}

impl Default for Screen {
    fn default() -> Self {
        Screen::new()
    }
}

impl Step {
    /// Says something else about the same step.
    pub fn say(&self, text: &str) {
        self.bar.set_message(text.to_owned());
    }

    /// Adds what came of it to the line that stays.
    pub fn remark(&mut self, remark: &str) {
        self.text = format!("{}: {remark}", self.text);
    }

    /// It is done.
    #[expect(clippy::print_stderr, reason = "this is where progress is shown")]
    pub fn done(self) {
        let took = self.began.elapsed().as_secs_f64();
        self.bar.finish_and_clear();
        let mark = if self.terminal { "✔ " } else { "" };
        eprintln!("{mark}{} ({took:.1} s)", self.text);
    }
}
