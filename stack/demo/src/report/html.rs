//! The report as a page that needs nothing but itself: no script, no font, no picture from elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::load::{Code, Tally};

use super::charts::{self, escape};
use super::words::{count, duration, meaning, rate};
use super::{Phase, Report, SHOWN_TICKETS, Sizes};

const STYLE: &str = include_str!("style.css");

/// The report as HTML.
pub fn html(report: &Report) -> String {
    let mut page = String::new();
    let verdict = if report.ok() { "kept" } else { "broken" };
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Droplane: a flash sale</title><style>{STYLE}</style></head><body><main>\
         <h1>Droplane: a flash sale</h1><p class=\"verdict {verdict}\">{}</p>\
         <p class=\"small\">{}<br>{}<br>{}</p>",
        sentence(report.verdict()),
        report.made_at.format("%Y-%m-%d %H:%M:%S UTC"),
        escape(&report.machine.sentence()),
        escape(&report.load),
    );
    for phase in &report.phases {
        page.push_str(&section(phase));
    }
    page.push_str(&promises(report));
    page.push_str("</main></body></html>\n");
    page
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}

fn section(phase: &Phase) -> String {
    let tally = &phase.tally;
    let mut html = format!("<section><h2>{}</h2>{}", phase.name, tiles(tally));
    html.push_str(&numbers(phase));
    if !phase.tickets.is_empty() {
        let shown = count(phase.tickets.len().min(SHOWN_TICKETS) as u64);
        let _ = write!(
            html,
            "<figure><figcaption>The first {shown} tickets in the order of arrival, each coloured by its outcome\
             </figcaption>{}{}</figure>",
            charts::strip(&phase.tickets),
            charts::legend(&phase.tickets)
        );
    }
    html.push_str("<div class=\"pair\">");
    figure(
        &mut html,
        "Commands a second over time: <b class=\"accepted\">accepted</b> and <b class=\"decided\">decided</b>",
        &charts::throughput(phase),
    );
    figure(&mut html, "Commands in each transaction, over time", &charts::batch_sizes(phase));
    figure(&mut html, "Submit: from sending to 202", &charts::latency("time to 202", &tally.submit));
    figure(
        &mut html,
        "Time to outcome: from sending until the shopper knows",
        &charts::latency("time to outcome", &tally.outcome),
    );
    html.push_str("</div></section>");
    html
}

fn figure(html: &mut String, caption: &str, chart: &str) {
    if !chart.is_empty() {
        let _ = write!(html, "<figure><figcaption>{caption}</figcaption>{chart}</figure>");
    }
}

/// What one would tell first.
fn tiles(tally: &Tally) -> String {
    let tiles = [
        (rate(tally.accepted_per_second()), "accepted"),
        (rate(tally.decided_per_second()), "decided and committed"),
        (duration(tally.submit.quantile(0.99)), "p99 of submit"),
        (duration(tally.outcome.quantile(0.99)), "p99 of time to outcome"),
    ];
    let tile = |(value, name): (String, &str)| format!("<div><b>{value}</b>{name}</div>");
    format!("<div class=\"tiles\">{}</div>", tiles.map(tile).concat())
}

fn numbers(phase: &Phase) -> String {
    let tally = &phase.tally;
    let mut rows = vec![
        ("sent".to_owned(), count(phase.sent as u64)),
        ("accepted".to_owned(), count(tally.accepted)),
        ("decided and committed".to_owned(), count(tally.decided_count())),
        ("succeeded".to_owned(), count(tally.succeeded)),
    ];
    rows.extend(codes("refused in the line", &tally.refused));
    rows.extend(codes("turned away at the door", &tally.turned_away));
    rows.extend(codes("told to come back later", &tally.told_to_wait));
    for (name, histogram) in [("submit", &tally.submit), ("time to outcome", &tally.outcome)] {
        let [p50, p99] = [0.5, 0.99].map(|quantile| duration(histogram.quantile(quantile)));
        let longest = duration(histogram.max());
        rows.push((format!("{name}, p50 / p99 / longest"), format!("{p50} / {p99} / {longest}")));
    }
    if let Some(Sizes { batches, min, median, max, mean }) = Sizes::of(&phase.batches) {
        let sizes = format!("{} of {min} to {max} commands, median {median}, mean {mean:.0}", count(batches as u64));
        rows.push(("transactions".to_owned(), sizes));
    }
    let row =
        |(name, value): &(String, String)| format!("<tr><th>{}</th><td>{}</td></tr>", escape(name), escape(value));
    format!("<table>{}</table>", rows.iter().map(row).collect::<String>())
}

fn codes<'a>(name: &'a str, codes: &'a BTreeMap<Code, u64>) -> impl Iterator<Item = (String, String)> + 'a {
    let row = move |(code, times): (&Code, &u64)| (format!("{name}: {code} {}", meaning(code.as_str())), count(*times));
    codes.iter().map(row)
}

/// All checks, ours and the shop's.
fn promises(report: &Report) -> String {
    let row = |ok: bool, name: &str, found: &str| {
        let (class, mark) = if ok { ("kept", "✔") } else { ("broken", "✘") };
        format!("<tr><td class=\"{class}\">{mark}</td><th>{}</th><td>{}</td></tr>", escape(name), escape(found))
    };
    let own: String = report.checks.iter().map(|check| row(check.ok, check.name, &check.found)).collect();
    let audit = report.audit.checks.iter().map(|check| {
        let (examined, violations) = (count(check.examined.unsigned_abs()), count(check.violations.unsigned_abs()));
        row(check.ok, &check.name, &format!("{examined} examined, {violations} violations"))
    });
    format!(
        "<section><h2>Promises</h2><h3>Looked up in Postgres</h3><table>{own}</table>\
         <h3>The shop's audit of itself</h3><table>{}</table></section>",
        audit.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = html(&samples::report()).to_lowercase();
        for foreign in ["http://", "https://", "<script", "src=", "href=", "@import", "url(", "<link"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn the_page_tells_everything() {
        let page = html(&samples::report());
        for part in [
            "A &amp; B &lt;fast&gt;",
            "Every promise was kept.",
            "refused in the line: C001 coupon sold out",
            "turned away at the door: C001 coupon sold out",
            "1–2: SUCCEEDED",
            "nothing was oversold",
            "no-oversell",
        ] {
            assert!(page.contains(part), "{part} is missing");
        }
        assert_eq!(page.matches("<svg").count(), 5);
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    }

    #[test]
    fn an_empty_sale_can_be_shown() {
        let mut report = samples::report();
        let phase = &mut report.phases[0];
        phase.tally = Tally::new(std::time::Instant::now());
        phase.batches.clear();
        phase.tickets.clear();
        assert_eq!(html(&report).matches("<svg").count(), 0);
    }
}
