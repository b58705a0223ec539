//! The results as a table that can stand in a README.

use std::fmt::{Display, Write as _};

use super::results::{Audited, OrderSync, Overload, PopularProducts, Rate, Results, SoldOut, Start, UsualWay};
use super::series::Series;
use super::workload;
use crate::report::rounded;

/// The results as Markdown.
pub fn markdown(results: &Results) -> String {
    let mut table = Table::default();
    table.line(format!("{}.", results.machine.sentence()));
    table.line("Median of several measurements, and their range. Load generator, API, workers, Postgres (`fsync=on`,");
    table.line("`synchronous_commit=on`) and Redis (`appendfsync always`) share this machine.");
    table.line("");
    table.line("| what | median | range |");
    table.line("|---|---:|---:|");
    for rate in &results.rates {
        table.rate(rate);
    }
    for latency in &results.latencies {
        let name = format!("{} at {}/s (70 %): time to outcome", latency.name, rounded(latency.rate_per_second));
        table.row(&format!("{name}, p50"), &latency.p50_ms, |ms| format!("{ms:.1} ms"));
        table.row(&format!("{name}, p99"), &latency.p99_ms, |ms| format!("{ms:.1} ms"));
    }
    if let Some(Start { claims, p50_ms, p99_ms, max_ms }) = results.start {
        let name = format!("a claim to an idle shop, from accepted to started ({claims} claims): p50");
        table.line(format!("| {name} | **{p50_ms:.2} ms** | p99 {p99_ms:.2} ms, slowest {max_ms:.2} ms |"));
    }
    if let Some(SoldOut { claims_per_second, reads_per_second }) = &results.sold_out {
        let per_second = |value: f64| format!("{}/s", rounded(value));
        table.row("claims of a coupon that is gone, refused before the line", claims_per_second, per_second);
        table.row("beside them: reads of one product", reads_per_second, per_second);
    }
    for second in &results.second_workers {
        let name = format!("{}: two workers processes beside one", second.name);
        table.row(&name, &second.ratio, |ratio| format!("{:.0} %", ratio * 100.0));
    }
    if let Some(OrderSync { answer_ms, sent_per_second }) = results.order_sync {
        let sent = rounded(sent_per_second);
        table.line(format!("| orders sent to a receiver that answers in {answer_ms} ms | **{sent}/s** | |"));
    }
    if let Some(PopularProducts { lines, refresh_ms, through_all_ms }) = &results.popular {
        let name = format!("popular products of 3 days with {} order lines: a refresh", rounded(*lines as f64));
        table.row(&name, refresh_ms, |ms| format!("{ms:.0} ms"));
        table.line(format!("| the same by going through all orders | {through_all_ms:.0} ms | |"));
    }
    if let Some(overload) = &results.overload {
        table.overload(overload);
    }
    if let Some(usual) = &results.usual_way {
        table.usual_way(usual, results);
    }
    table.cores(&results.rates);
    table.line("");
    table.line(match &results.audit {
        Audited::Clean => "Audit afterwards: every promise was kept.".to_owned(),
        Audited::Not => "Not audited.".to_owned(),
        Audited::Broken(how) => format!("THE AUDIT FOUND BROKEN PROMISES: {how}"),
        Audited::Failed(why) => format!("THE AUDIT COULD NOT BE MADE: {why}"),
    });
    table.0
}

#[derive(Default)]
struct Table(String);

impl Table {
    fn line(&mut self, text: impl Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{text}");
    }

    fn row(&mut self, name: &str, series: &Series, show: impl Fn(f64) -> String) {
        let Series { median, min, max, .. } = series;
        self.line(format!("| {name} | **{}** | {} – {} |", show(*median), show(*min), show(*max)));
    }

    fn rate(&mut self, rate: &Rate) {
        let lines = rate.mean_lines.map(|lines| format!(", {lines:.0} lines each")).unwrap_or_default();
        let per_second = |value: f64| format!("{}/s", rounded(value));
        self.row(&format!("{}{lines}: accepted", rate.name), &rate.accepted_per_second, per_second);
        let batch = rounded(rate.batch_mean.median);
        let name = format!("{}{lines}: accepted **and committed** ({batch} a transaction)", rate.name);
        self.row(&name, &rate.committed_per_second, per_second);
    }

    fn overload(&mut self, overload: &Overload) {
        let (offered, capacity) = (rounded(overload.offered_per_second), rounded(overload.capacity_per_second));
        let name = format!("{offered} two-product orders a second where {capacity} can be done");
        let Overload { goodput, accepted_p99_ms, turned_away_p99_ms, recovered_ms, turned_away_per_second, .. } =
            overload;
        let turned_away = rounded(*turned_away_per_second);
        self.line(format!(
            "| {name}: done, as a part of that | **{:.0} %** | {turned_away}/s told to come again |",
            goodput * 100.0
        ));
        self.line(format!(
            "| of those accepted: until the 202, p99 | **{accepted_p99_ms:.0} ms** | others until the \"no\": {turned_away_p99_ms:.0} ms |"
        ));
        self.line(format!("| after it: until all that was accepted is done | {:.1} s | |", recovered_ms / 1e3));
        let memory = overload
            .memory
            .iter()
            .map(|(name, memory)| format!("{name} {:.0} → {:.0} MiB", memory.before_mib, memory.peak_mib));
        self.line(format!("| memory before and at most | {} | |", memory.collect::<Vec<_>>().join(", ")));
        for (when, cores) in [("at the capacity", &overload.capacity_cores), ("above it", &overload.cores)] {
            let used: Vec<String> = cores.iter().map(|(name, cores)| format!("{name} {cores:.2}")).collect();
            self.line(format!("| processors in use {when} | {} | |", used.join(", ")));
        }
    }

    fn usual_way(&mut self, usual: &UsualWay, results: &Results) {
        let connections = usual.connections;
        for (name, workload, series) in [
            ("coupon claims", workload::CLAIMS, &usual.claims_per_second),
            ("two-product orders", workload::ORDERS, &usual.orders_per_second),
            ("orders sharing one hot product", workload::HOT_ORDERS, &usual.hot_orders_per_second),
        ] {
            let described = format!("{name}, the usual way ({connections} connections, no HTTP)");
            self.row(&described, series, |value| format!("{}/s", rounded(value)));
            let rate = results.rate_of(workload);
            if rate > 0.0 && series.median > 0.0 {
                self.line(format!("| {name}: Droplane beside the usual way | **{:.1} ×** | |", rate / series.median));
            }
        }
        let commit = usual.commit;
        self.line(format!("| one row committed alone: p50 | {:.2} ms | p99 {:.2} ms |", commit.p50_ms, commit.p99_ms));
    }

    /// Who used the processors: what there is to be gained, and where.
    fn cores(&mut self, rates: &[Rate]) {
        for rate in rates {
            let used: Vec<String> = rate.cores.iter().map(|(name, cores)| format!("{name} {cores:.2}")).collect();
            self.line("");
            self.line(format!("Processors in use, {}: {}.", rate.name, used.join(", ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::{Commit, Latency, SecondWorker};
    use crate::machine::Machine;

    fn results() -> Results {
        let machine = Machine {
            cpu: "EPYC".to_owned(),
            cores: 2,
            memory_gib: 23,
            kernel: "linux 6".to_owned(),
            system: "Debian".to_owned(),
            postgres: "15".to_owned(),
            redis: "7".to_owned(),
            droplane: "0".to_owned(),
        };
        let mut results = Results::new(machine, 256);
        results.rates.push(Rate {
            name: workload::CLAIMS,
            commands: 1_000,
            mean_lines: None,
            accepted_per_second: Series::of([20_000.0]),
            committed_per_second: Series::of([15_000.0, 16_000.0, 17_000.0]),
            batch_mean: Series::of([812.4]),
            cores: [("api", 0.61)].into(),
        });
        results.latencies.push(Latency {
            name: workload::CLAIMS,
            rate_per_second: 11_200.0,
            decided_per_second: Series::of([11_200.0]),
            p50_ms: Series::of([12.0]),
            p99_ms: Series::of([80.25]),
        });
        results.start = Some(Start { claims: 200, p50_ms: 0.71, p99_ms: 1.5, max_ms: 2.25 });
        results.sold_out =
            Some(SoldOut { claims_per_second: Series::of([20_100.0]), reads_per_second: Series::of([21_000.0]) });
        results.second_workers.push(SecondWorker { name: workload::CLAIMS, ratio: Series::of([0.97, 1.02]) });
        results.order_sync = Some(OrderSync { answer_ms: 20, sent_per_second: 2_512.3 });
        results.popular =
            Some(PopularProducts { lines: 10_000_000, refresh_ms: Series::of([40.0]), through_all_ms: 9_000.0 });
        results.usual_way = Some(UsualWay {
            connections: 16,
            claims_per_second: Series::of([640.0]),
            orders_per_second: Series::of([800.0]),
            hot_orders_per_second: Series::of([300.0]),
            commit: Commit { p50_ms: 1.1, p99_ms: 3.25 },
        });
        results
    }

    #[test]
    fn the_table_says_what_was_measured() {
        let markdown = markdown(&results());
        for line in [
            "| coupon claims, one coupon: accepted | **20,000/s** | 20,000/s – 20,000/s |",
            "accepted **and committed** (812 a transaction) | **16,000/s** | 15,000/s – 17,000/s |",
            "| coupon claims, one coupon at 11,200/s (70 %): time to outcome, p99 | **80.2 ms** | 80.2 ms – 80.2 ms |",
            "accepted to started (200 claims): p50 | **0.71 ms** | p99 1.50 ms, slowest 2.25 ms |",
            "| orders sent to a receiver that answers in 20 ms | **2,512/s** | |",
            "popular products of 3 days with 10,000,000 order lines: a refresh | **40 ms** | 40 ms – 40 ms |",
            "| the same by going through all orders | 9000 ms | |",
            "refused before the line | **20,100/s** | 20,100/s – 20,100/s |",
            "| beside them: reads of one product | **21,000/s** |",
            "two workers processes beside one | **100 %** | 97 % – 102 % |",
            "| coupon claims, the usual way (16 connections, no HTTP) | **640/s** | 640/s – 640/s |",
            "| coupon claims: Droplane beside the usual way | **25.0 ×** | |",
            "| one row committed alone: p50 | 1.10 ms | p99 3.25 ms |",
            "Processors in use, coupon claims, one coupon: api 0.61.",
        ] {
            assert!(markdown.contains(line), "{line} is missing in\n{markdown}");
        }
        assert!(!markdown.contains("two-product orders: Droplane"), "what was not measured has no ratio");
    }
}
