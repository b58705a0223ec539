//! The benchmark: what this machine reaches, durably, with everything on it, the load generator included; and what the
//! usual way reaches beside it, in the same run.

mod cpu;
mod latency;
mod order_sync;
mod overload;
mod popular;
mod results;
mod second_worker;
mod series;
mod sold_out;
mod start;
mod table;
mod throughput;
mod usual_way;
mod workload;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::checks::connect;
use crate::machine::Machine;
use crate::sale;
use crate::screen::Screen;
use crate::shop::{Outside, Shop};

use throughput::Bench;
use workload::Workload;

pub use results::{Audited, Results};
pub use table::markdown;

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Part {
    /// Claims of one coupon
    Claims,
    /// Two-product orders over 1,000 products
    Orders,
    /// Two-product orders that all have one product in common
    Hot,
    /// Real orders; needs --orders
    Real,
    /// Time to outcome at 70 % of each measured rate
    Latency,
    /// From accepted to started, in an idle shop
    Start,
    /// Claims of a coupon that is gone
    SoldOut,
    /// A second workers process
    Workers,
    /// Telling an order system of orders
    Sync,
    /// Counting the popular products over many orders
    Popular,
    /// Three times as many orders as can be done
    Overload,
    /// The usual way
    Baseline,
}

/// How large the benchmark is.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Claims in one measurement.
    pub claims: usize,
    /// Two-product orders in one measurement.
    pub orders: usize,
    /// Users who send them; each many times, with money for all of it.
    pub users: usize,
    /// Measurements of each rate.
    pub rounds: usize,
    /// Pairs of measurements with one and with two workers processes.
    pub pairs: usize,
    /// Order lines that the popular products are counted over.
    pub popular_lines: usize,
    /// Single claims to an idle shop.
    pub starts: usize,
    /// How long latencies, and the usual way, are measured.
    pub during: Duration,
    /// How long too many orders come.
    pub overload: Duration,
}

impl Scale {
    /// For figures to be published.
    pub const FULL: Scale = Scale {
        claims: 200_000,
        orders: 60_000,
        users: 10_000,
        rounds: 5,
        pairs: 5,
        popular_lines: 10_000_000,
        starts: 200,
        during: Duration::from_secs(15),
        overload: Duration::from_secs(120),
    };
    /// For a test of the benchmark itself.
    pub const TINY: Scale = Scale {
        claims: 300,
        orders: 200,
        users: 100,
        rounds: 1,
        pairs: 1,
        popular_lines: 2_000,
        starts: 2,
        during: Duration::from_millis(300),
        overload: Duration::from_millis(300),
    };
    /// For a look.
    pub const QUICK: Scale = Scale {
        claims: 30_000,
        orders: 10_000,
        users: 10_000,
        rounds: 3,
        pairs: 3,
        popular_lines: 500_000,
        starts: 60,
        during: Duration::from_secs(4),
        overload: Duration::from_secs(20),
    };
}

/// How the benchmark shall be.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is measured.
    pub parts: Vec<Part>,
    /// How large it is.
    pub scale: Scale,
    /// Connections of the closed loop.
    pub connections: usize,
    /// Where real orders are, if they are to be measured.
    pub orders: Option<PathBuf>,
    /// Where data are kept; none: in a folder that goes with the benchmark.
    pub data: Option<PathBuf>,
}

impl Options {
    /// # Errors
    /// When a part is wanted without what it needs.
    fn check(&self) -> Result<()> {
        let rates = [Part::Claims, Part::Orders, Part::Hot, Part::Real];
        let has_rate = rates.into_iter().any(|part| self.has(part));
        ensure!(has_rate || !self.has(Part::Latency), "latency is measured at a part of a rate: add claims or orders");
        Ok(())
    }

    fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }
}

/// Measures.
///
/// # Errors
/// When anything that is measured is not done as it should be: a figure of refusals or faults would mean nothing.
pub async fn run(options: &Options, screen: Screen) -> Result<Results> {
    options.check()?;
    let opening = screen.step("opening the shop");
    let shop = Shop::open(options.data.clone(), Outside::Nobody, |what| opening.say(what))?;
    let mut connection = connect(&shop.database_url()).await?;
    let machine = Machine::this_one(&mut connection, &shop.stack.redis).await?;
    opening.done();

    let mut bench = Bench { shop, connection, connections: options.connections, screen };
    let scale = options.scale;
    let mut results = Results::new(machine, options.connections);
    let workloads = Workloads::of(options)?;
    for workload in workloads.to_create(options) {
        create(&bench, workload).await?;
    }
    for workload in workloads.wanted(options) {
        results.rates.push(throughput::measure(&mut bench, workload, scale.rounds).await?);
    }
    for workload in workloads.wanted(options).filter(|_| options.has(Part::Latency)) {
        let rate = results.rate_of(workload.name);
        results.latencies.push(latency::measure(&bench, workload, rate, scale).await?);
    }
    if options.has(Part::Start) {
        results.start = Some(start::measure(&mut bench, scale).await?);
    }
    if options.has(Part::SoldOut) {
        results.sold_out = Some(sold_out::measure(&bench, scale).await?);
    }
    if options.has(Part::Workers) {
        for workload in [&workloads.claims, &workloads.orders] {
            results.second_workers.push(second_worker::measure(&mut bench, workload, scale.pairs).await?);
        }
    }
    if options.has(Part::Sync) {
        results.order_sync = Some(order_sync::measure(&mut bench, &workloads.orders, scale).await?);
    }
    if options.has(Part::Popular) {
        results.popular = Some(popular::measure(&bench, scale).await?);
    }
    if options.has(Part::Overload) {
        results.overload = Some(overload::measure(bench.shop.folder(), bench.screen, &workloads.orders, scale).await?);
    }
    if options.has(Part::Baseline) {
        results.usual_way = Some(usual_way::measure(&bench, scale).await?);
    }
    results.audit = audit(&bench).await;
    Ok(results)
}

/// What may be measured.
struct Workloads {
    claims: Workload,
    orders: Workload,
    hot: Workload,
    real: Option<Workload>,
}

impl Workloads {
    fn of(options: &Options) -> Result<Workloads> {
        let scale = options.scale;
        let rounds_of_real = scale.rounds + throughput::WARMING_UP_ROUNDS + latency::ROUNDS;
        let folder = options.orders.as_ref().filter(|_| options.has(Part::Real));
        Ok(Workloads {
            claims: Workload::claims(scale.claims)?,
            orders: Workload::orders(scale.orders, scale.users)?,
            hot: Workload::hot_orders(scale.orders, scale.users)?,
            real: folder.map(|folder| Workload::real(folder, rounds_of_real)).transpose()?,
        })
    }

    /// Those whose rates shall be measured.
    fn wanted(&self, options: &Options) -> impl Iterator<Item = &Workload> {
        let all = [
            (Part::Claims, Some(&self.claims)),
            (Part::Orders, Some(&self.orders)),
            (Part::Hot, Some(&self.hot)),
            (Part::Real, self.real.as_ref()),
        ];
        all.into_iter().filter(|(part, _)| options.has(*part)).filter_map(|(_, workload)| workload)
    }

    /// Those whose goods and users must be there before. Hot orders are over the goods of the others, claims need none.
    fn to_create(&self, options: &Options) -> impl Iterator<Item = &Workload> {
        let orders = [Part::Orders, Part::Hot, Part::Workers, Part::Sync].iter().any(|part| options.has(*part));
        orders.then_some(&self.orders).into_iter().chain(&self.real)
    }
}

/// Asks the shop whether what was done so fast was done right. What took so long to measure is shown in any case.
async fn audit(bench: &Bench) -> Audited {
    let auditing = bench.screen.step("auditing everything");
    let audited = match bench.shop.admin().audit().await {
        Ok(audit) if audit.ok => Audited::Clean,
        Ok(audit) => Audited::Broken(format!("{audit:?}")),
        Err(error) => Audited::Failed(format!("{error:#}")),
    };
    auditing.done();
    audited
}

/// Creates what all measurements of a workload need.
async fn create(bench: &Bench, workload: &Workload) -> Result<()> {
    let creating = bench.screen.bar(&format!("creating goods for {}", workload.name), 0);
    sale::create(&bench.shop.admin(), &workload.sale, &creating.bar).await?;
    creating.done();
    Ok(())
}
