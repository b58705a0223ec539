//! What was measured, as it is written to `bench.json`.

use serde::Serialize;

use super::cpu::Cores;
use super::series::Series;
use crate::machine::Machine;

/// Everything that was measured. What was not measured is empty.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Results {
    /// What it was measured on.
    pub machine: Machine,
    /// Connections of the closed loop.
    pub connections: usize,
    /// How many a second.
    pub rates: Vec<Rate>,
    /// How long it takes.
    pub latencies: Vec<Latency>,
    /// How soon a worker starts.
    pub start: Option<Start>,
    /// Claims of a coupon that is gone.
    pub sold_out: Option<SoldOut>,
    /// With a second workers process.
    pub second_workers: Vec<SecondWorker>,
    /// Telling an order system.
    pub order_sync: Option<OrderSync>,
    /// The popular products.
    pub popular: Option<PopularProducts>,
    /// Too many orders.
    pub overload: Option<Overload>,
    /// The usual way.
    pub usual_way: Option<UsualWay>,
    /// Whether everything that was done so fast was done right.
    pub audit: Audited,
}

/// What the audit said at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Audited {
    /// It was not asked yet.
    Not,
    /// Every promise was kept.
    Clean,
    /// A promise was broken: the figures mean nothing.
    Broken(String),
    /// It could not be made.
    Failed(String),
}

/// How many commands of one kind a second.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// The workload.
    pub name: &'static str,
    /// Commands in each measurement.
    pub commands: usize,
    /// Lines of an order, on average.
    pub mean_lines: Option<f64>,
    /// Answered with 202.
    pub accepted_per_second: Series,
    /// Committed in Postgres.
    pub committed_per_second: Series,
    /// Commands in a transaction, on average.
    pub batch_mean: Series,
    /// Who used the processors, on average.
    pub cores: Cores,
}

/// How long a shopper waits at a given rate.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// The workload.
    pub name: &'static str,
    /// Commands that were due a second.
    pub rate_per_second: f64,
    /// Outcomes that shoppers learnt a second: below the rate, the shop did not keep up.
    pub decided_per_second: Series,
    /// Half of all were quicker.
    pub p50_ms: Series,
    /// One in a hundred was slower.
    pub p99_ms: Series,
}

/// The time from a command's acceptance until a worker has it, in an idle shop.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    /// How many were looked at.
    pub claims: u64,
    /// Half of all were quicker.
    pub p50_ms: f64,
    /// One in a hundred was slower.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// Claims of a coupon that is gone, beside a plain read.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SoldOut {
    /// Certain noes.
    pub claims_per_second: Series,
    /// `GET /api/products/{id}`.
    pub reads_per_second: Series,
}

/// The rate with two workers processes as a part of the rate with one.
#[derive(Debug, Clone, Serialize)]
pub struct SecondWorker {
    /// The workload.
    pub name: &'static str,
    /// 1 is as much as with one.
    pub ratio: Series,
}

/// Telling an order system of orders.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderSync {
    /// How long the order system takes for an answer.
    pub answer_ms: u64,
    /// Orders sent and noted a second, by one workers process.
    pub sent_per_second: f64,
}

/// Counting the popular products of three days.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PopularProducts {
    /// Order lines of these days.
    pub lines: usize,
    /// A refresh.
    pub refresh_ms: Series,
    /// The same by going through all orders.
    pub through_all_ms: f64,
}

/// Three times as many orders as the shop can do, open loop, with a short line.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overload {
    /// Orders done a second when everybody waits for the outcome, before the crowd or after it, whichever was more: the
    /// capacity.
    pub capacity_per_second: f64,
    /// Orders sent a second.
    pub offered_per_second: f64,
    /// Answered with 202.
    pub accepted_per_second: f64,
    /// Answered with 429 or 503 and a time to come again.
    pub turned_away_per_second: f64,
    /// Orders committed while too many came, as a part of the capacity.
    pub goodput: f64,
    /// From sending to the 202: half of all were quicker.
    pub accepted_p50_ms: f64,
    /// One in a hundred was slower.
    pub accepted_p99_ms: f64,
    /// From sending to the 429 or 503, one in a hundred was slower.
    pub turned_away_p99_ms: f64,
    /// How late the load generator was, one time in a hundred: what it adds to an answer's time is not the shop's.
    pub sent_late_p99_ms: f64,
    /// Who used the processors while the capacity was measured.
    pub capacity_cores: Cores,
    /// Who used them while too many came.
    pub cores: Cores,
    /// By process.
    pub memory: std::collections::BTreeMap<&'static str, Memory>,
    /// From the last answer until everything accepted was committed.
    pub recovered_ms: f64,
}

/// Resident memory of a process.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// Before too many came.
    pub before_mib: f64,
    /// The most while they came.
    pub peak_mib: f64,
}

/// The usual way.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsualWay {
    /// Connections at once.
    pub connections: usize,
    /// Claims of one coupon.
    pub claims_per_second: Series,
    /// Two-product orders.
    pub orders_per_second: Series,
    /// Two-product orders that all have one product in common.
    pub hot_orders_per_second: Series,
    /// What one commit takes.
    pub commit: Commit,
}

/// What the commit of one row takes.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Commit {
    /// Half of all were quicker.
    pub p50_ms: f64,
    /// One in a hundred was slower.
    pub p99_ms: f64,
}

impl Results {
    /// Nothing yet.
    pub fn new(machine: Machine, connections: usize) -> Results {
        Results {
            machine,
            connections,
            rates: Vec::new(),
            latencies: Vec::new(),
            start: None,
            sold_out: None,
            second_workers: Vec::new(),
            order_sync: None,
            popular: None,
            overload: None,
            usual_way: None,
            audit: Audited::Not,
        }
    }

    /// The committed rate of a workload; 0 if it was not measured.
    pub fn rate_of(&self, name: &str) -> f64 {
        let found = self.rates.iter().find(|rate| rate.name == name);
        found.map_or(0.0, |rate| rate.committed_per_second.median)
    }
}
