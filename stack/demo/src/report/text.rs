//! The report in the terminal.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use crate::load::{Code, Histogram};

use super::words::{count, duration, meaning, rate};
use super::{Phase, Report, Sizes};

/// The report as text, without colours.
pub fn text(report: &Report) -> String {
    let mut page = Page::default();
    page.line(format!("Droplane, {}", report.made_at.format("%Y-%m-%d %H:%M:%S UTC")));
    page.line(report.machine.sentence());
    page.line(&report.load);
    for phase in &report.phases {
        page.phase(phase);
    }
    page.line("");
    page.line("Own checks in Postgres");
    for check in &report.checks {
        page.line(format!("  {} {}: {}", mark(check.ok), check.name, check.found));
    }
    page.line("");
    page.line("The shop's audit");
    for check in &report.audit.checks {
        let (examined, violations) = (count(check.examined.unsigned_abs()), count(check.violations.unsigned_abs()));
        page.line(format!("  {} {}: {examined} examined, {violations} violations", mark(check.ok), check.name));
    }
    page.line("");
    page.line(format!("Verdict: {}", report.verdict()));
    page.0
}

fn mark(ok: bool) -> &'static str {
    if ok { "✔" } else { "✘" }
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, text: impl Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{text}");
    }

    fn row(&mut self, name: &str, value: impl Display) {
        self.line(format!("  {name:<34} {value}"));
    }

    fn phase(&mut self, phase: &Phase) {
        let tally = &phase.tally;
        self.line("");
        self.line(format!("{}: {} sent", phase.name, count(phase.sent as u64)));
        self.row("accepted", with_rate(tally.accepted, tally.accepted_per_second()));
        self.row("decided and committed", with_rate(tally.decided_count(), tally.decided_per_second()));
        self.row("  succeeded", count(tally.succeeded));
        self.codes("  refused in the line", &tally.refused);
        self.codes("turned away at the door", &tally.turned_away);
        self.codes("told to come back later", &tally.told_to_wait);
        self.latency("submit (sent → 202)", &tally.submit);
        self.latency("time to outcome (sent → known)", &tally.outcome);
        let sizes = Sizes::of(&phase.batches).map(|sizes| {
            let Sizes { batches, min, median, max, mean } = sizes;
            format!("{batches} batches of {min} to {max} commands, median {median}, mean {mean:.0}")
        });
        self.row("transactions", sizes.unwrap_or_else(|| "none".to_owned()));
    }

    /// One row a code; a row with 0 if there is none, so that nobody wonders.
    fn codes(&mut self, name: &str, codes: &BTreeMap<Code, u64>) {
        if codes.is_empty() {
            self.row(name, 0);
        }
        for (code, times) in codes {
            self.row(name, format!("{} × {code} {}", count(*times), meaning(code.as_str())));
        }
    }

    fn latency(&mut self, name: &str, histogram: &Histogram) {
        let [p50, p99] = [0.5, 0.99].map(|quantile| duration(histogram.quantile(quantile)));
        self.row(name, format!("p50 {p50}, p99 {p99}, longest {}", duration(histogram.max())));
    }
}

fn with_rate(number: u64, per_second: f64) -> String {
    format!("{} ({})", count(number), rate(per_second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn the_numbers_stand_apart() {
        let text = text(&samples::report());
        for line in [
            "Coupon claims: 10 sent",
            "  accepted                           3 (",
            "  decided and committed              3 (",
            "    succeeded                        2",
            "    refused in the line              1 × C001 coupon sold out",
            "  turned away at the door            7 × C001 coupon sold out",
            "  told to come back later            0",
            "  transactions                       2 batches of 1 to 2 commands, median 2, mean 2",
            "  ✔ nothing was oversold: 2 products, 0 wrong",
            "Verdict: every promise was kept",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_broken_promise_cannot_be_overlooked() {
        let mut report = samples::report();
        report.checks[0].ok = false;
        let text = text(&report);
        assert!(text.contains("  ✘ nothing was oversold") && text.contains("Verdict: A PROMISE WAS BROKEN"), "{text}");
    }
}
