//! Installing the recorder, with a description and a first 0 for every series.

use super::{
    ALL, Kind, Metric, OUTCOMES, Process, STATUS_CLASSES, alert_kind, build_info, connection_state, cron_job,
    gateway_answer, popular_cache, process_start_time, refusal, sync_result,
};
use crate::postgres::Fault;
use metrics::{Key, Label, Level, Metadata, with_recorder};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::time::{SystemTime, UNIX_EPOCH};

/// The label values that only the program knows.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The groups of lanes, as in `group`.
    pub groups: Vec<String>,
    /// The scripts that are sent to Redis, as in `script`.
    pub scripts: Vec<&'static str>,
    /// The method and pattern of every route that is served, as in `method` and `route`.
    pub routes: Vec<(&'static str, &'static str)>,
}

/// Why nothing can be measured.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A histogram of the table has no buckets, or the process has a recorder already.
    #[error("cannot install the metrics recorder")]
    Recorder(#[from] BuildError),
}

/// Installs the recorder of the process and exports every series of `process` with 0.
///
/// # Errors
/// When the process has a recorder already.
pub fn install(process: Process, known: &Known) -> Result<PrometheusHandle, InstallError> {
    let handle = builder()?.install_recorder()?;
    describe_and_zero(process, known);
    Ok(handle)
}

pub(super) fn builder() -> Result<PrometheusBuilder, BuildError> {
    ALL.iter().try_fold(PrometheusBuilder::new(), |builder, metric| match metric.kind {
        Kind::Histogram(buckets) => builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets),
        Kind::Counter | Kind::Gauge => Ok(builder),
    })
}

/// Describes the metrics of `process` to the current recorder and makes all their series exist. [`install`] does it;
/// tests with a recorder of their own may, too.
pub fn describe_and_zero(process: Process, known: &Known) {
    for metric in ALL.iter().filter(|metric| metric.exported_by.contains(&process)) {
        describe(metric);
        for labels in series(metric, known) {
            create(metric, labels);
        }
    }
    build_info(process.as_str(), env!("CARGO_PKG_VERSION")).set(1.0);
    // A clock before 1970 is no reason not to start.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    process_start_time().set(now.as_secs_f64());
}

fn describe(metric: &Metric) {
    match metric.kind {
        Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
        Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
        Kind::Histogram(_) => metrics::describe_histogram!(metric.name, metric.help),
    }
}

fn create(metric: &Metric, labels: Vec<Label>) {
    let key = Key::from_parts(metric.name, labels);
    let from = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
    with_recorder(|recorder| match metric.kind {
        Kind::Counter => recorder.register_counter(&key, &from).increment(0),
        Kind::Gauge => recorder.register_gauge(&key, &from).set(0.0),
        Kind::Histogram(_) => drop(recorder.register_histogram(&key, &from)),
    });
}

/// The label values of every series that a metric can have. Labels that depend on each other are listed together;
/// the others are combined freely.
fn series(metric: &Metric, known: &Known) -> Vec<Vec<Label>> {
    match metric.labels {
        // Set once, with what they are.
        ["process", "version"] => Vec::new(),
        ["kind", "outcome"] => OUTCOMES
            .iter()
            .flat_map(|(kind, outcomes)| {
                outcomes.iter().map(|outcome| vec![Label::new("kind", *kind), Label::new("outcome", *outcome)])
            })
            .collect(),
        ["method", "route", rest @ ..] => {
            let routes = known
                .routes
                .iter()
                .map(|(method, route)| vec![Label::new("method", *method), Label::new("route", *route)]);
            rest.iter().fold(routes.collect(), |series, label| combine(series, label, known))
        }
        labels => labels.iter().fold(vec![Vec::new()], |series, label| combine(series, label, known)),
    }
}

fn combine(series: Vec<Vec<Label>>, label: &'static str, known: &Known) -> Vec<Vec<Label>> {
    let values = values(label, known);
    series
        .into_iter()
        .flat_map(|labels| {
            values.iter().map(move |value| {
                let mut labels = labels.clone();
                labels.push(Label::new(label, value.clone()));
                labels
            })
        })
        .collect()
}

fn values(label: &str, known: &Known) -> Vec<String> {
    let fixed = |values: &[&str]| values.iter().map(ToString::to_string).collect();
    match label {
        "group" => known.groups.clone(),
        "script" => fixed(&known.scripts),
        "reason" => fixed(&refusal::ALL),
        "cron_job" => fixed(&cron_job::ALL),
        "cache" => fixed(&popular_cache::ALL),
        "result" => fixed(&sync_result::ALL),
        "alert" => fixed(&alert_kind::ALL),
        "answer" => fixed(&gateway_answer::ALL),
        "state" => fixed(&connection_state::ALL),
        "status" => fixed(&STATUS_CLASSES),
        "fault" => fixed(&Fault::ALL.map(Fault::as_str)),
        unknown => unreachable!("the label {unknown} of the metrics table has no known values"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Kind;
    use std::collections::HashSet;

    fn known() -> Known {
        Known {
            groups: vec!["coupon".to_owned(), "order".to_owned()],
            scripts: vec!["append", "claim"],
            routes: vec![("GET", "/api/products/{id}"), ("POST", "/api/orders")],
        }
    }

    fn scraped(process: Process) -> String {
        let recorder = builder().expect("buckets").build_recorder();
        metrics::with_local_recorder(&recorder, || describe_and_zero(process, &known()));
        recorder.handle().render()
    }

    #[test]
    fn every_metric_is_described_and_exported_from_the_start() {
        for process in [Process::Api, Process::Workers] {
            let text = scraped(process);
            for metric in ALL {
                let (typed, series) = match metric.kind {
                    Kind::Counter => ("counter", metric.name.to_owned()),
                    Kind::Gauge => ("gauge", metric.name.to_owned()),
                    Kind::Histogram(_) => ("histogram", format!("{}_count", metric.name)),
                };
                let expected = metric.exported_by.contains(&process);
                let lines = [
                    format!("# HELP {} ", metric.name),
                    format!("# TYPE {} {typed}\n", metric.name),
                    format!("\n{series}{}", if metric.labels.is_empty() { " " } else { "{" }),
                ];
                for line in lines {
                    assert_eq!(text.contains(&line), expected, "{process:?} {line:?} in\n{text}");
                }
            }
        }
    }

    #[test]
    fn label_values_are_those_that_are_known() {
        let check = |process: Process, line: &str| {
            let text = scraped(process);
            assert!(text.contains(&format!("\n{line}\n")), "{line} in\n{text}");
        };
        check(Process::Api, r#"droplane_accepted_total{group="order"} 0"#);
        check(Process::Api, r#"droplane_refused_total{group="coupon",reason="sold_out"} 0"#);
        check(Process::Api, r#"droplane_http_requests_total{method="POST",route="/api/orders",status="5xx"} 0"#);
        check(
            Process::Api,
            r#"droplane_http_request_seconds_bucket{method="GET",route="/api/products/{id}",le="0.0005"} 0"#,
        );
        check(Process::Workers, r#"droplane_decided_total{kind="COUPON_ISSUE",outcome="C001"} 0"#);
        check(Process::Workers, r#"droplane_batch_size_bucket{group="coupon",le="5000"} 0"#);
        check(Process::Workers, r#"droplane_batch_faults_total{group="order",fault="timed_out"} 0"#);
        check(Process::Workers, r#"droplane_redis_script_errors_total{script="claim"} 0"#);
        check(Process::Workers, r#"droplane_build_info{process="workers",version="0.1.0"} 1"#);
    }

    #[test]
    fn what_is_measured_lands_in_the_series_that_was_there() {
        let recorder = builder().expect("buckets").build_recorder();
        metrics::with_local_recorder(&recorder, || {
            describe_and_zero(Process::Api, &known());
            crate::metrics::accepted("coupon").increment(2);
            crate::metrics::http_request_seconds("POST", "/api/orders").record(0.003);
        });
        let text = recorder.handle().render();
        for line in [
            "droplane_accepted_total{group=\"coupon\"} 2\n",
            "droplane_http_request_seconds_bucket{method=\"POST\",route=\"/api/orders\",le=\"0.0025\"} 0\n",
            "droplane_http_request_seconds_bucket{method=\"POST\",route=\"/api/orders\",le=\"0.005\"} 1\n",
        ] {
            assert_eq!(text.matches(line).count(), 1, "{line} in\n{text}");
        }
        let again = text.lines().filter(|line| line.starts_with("droplane_accepted_total{"));
        assert_eq!(again.count(), known().groups.len(), "{text}");
    }

    #[test]
    fn outcomes_are_listed_for_every_kind_of_command() {
        use common::group::Kind;
        let kinds = [Kind::CouponIssue, Kind::OrderPlacement, Kind::BalanceCharge].map(Kind::as_str);
        assert_eq!(OUTCOMES.map(|(kind, _)| kind), kinds);
        for (kind, outcomes) in OUTCOMES {
            // What every command can become, whatever its rules say.
            assert!(outcomes.contains(&"SUCCEEDED"), "{kind}");
            assert!(outcomes.contains(&common::Refusal::Internal.code()), "{kind}");
        }
    }

    #[test]
    fn names_follow_one_form() {
        let names: HashSet<_> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len(), "a name stands twice");
        for metric in ALL {
            assert!(metric.name.starts_with("droplane_"), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
            if let Kind::Histogram(buckets) = metric.kind {
                assert!(buckets.is_sorted_by(|a, b| a < b), "{}", metric.name);
            }
            assert!(
                !metric.labels.iter().any(|label| label.contains("id") || *label == "user"),
                "{} is labelled by an id",
                metric.name
            );
        }
    }
}
