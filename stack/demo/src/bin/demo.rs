//! `cargo demo`: a flash sale on this machine, and the proof that it went as promised.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a demo tells in the terminal what happened")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::builder::{RangedU64ValueParser, TypedValueParser};
use clap::{Args, Parser};
use demo::load::{Learn, Pace};
use demo::programs::Program;
use demo::report;
use demo::run::{Goods, Options, run};
use demo::sale::{Replay, Sale, Size, create, open_house};
use demo::screen::Screen;
use demo::shop::Shop;
use indicatif::ProgressBar;
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Opens a whole shop on this machine, holds a flash sale in it, and reports what happened
#[derive(Debug, Parser)]
#[command(name = "demo", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    program: Option<Program>,
    #[command(flatten)]
    demo: DemoArgs,
}

#[derive(Debug, Args)]
struct DemoArgs {
    /// End after the report, instead of keeping the shop open until Ctrl-C
    #[arg(long)]
    once: bool,

    /// Shoppers who claim a coupon, once each
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = count(1, 1_000_000))]
    shoppers: usize,

    /// Coupons of the campaign
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = count(1, 1_000_000))]
    coupons: usize,

    /// Orders of two products each
    #[arg(long, value_name = "COUNT", default_value_t = 5_000, value_parser = count(0, 1_000_000))]
    orders_count: usize,

    /// Products in the shop
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = count(2, 9_999))]
    products: usize,

    /// What the made-up sale is drawn from; the same seed gives the same sale
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,

    /// Replay real orders instead: a folder with orders.csv.gz and products.csv.gz
    #[arg(long, value_name = "DIR")]
    orders: Option<PathBuf>,

    /// Stock of each replayed product as a part of what was sold; below 1 some orders cannot be fulfilled
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, requires = "orders")]
    stock_factor: f64,

    /// Shoppers who are there at once, each with a connection of its own
    #[arg(long, value_name = "COUNT", default_value_t = 512, value_parser = count(1, 20_000))]
    connections: usize,

    /// Open loop: so many commands a second, whether the shop keeps up or not (default: closed loop)
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    rate: Option<f64>,

    /// Learn the outcome with the command itself (Prefer: wait) instead of asking for it
    #[arg(long, conflicts_with = "poll")]
    prefer_wait: bool,

    /// Learn the outcome by asking again and again, as often as the API says
    #[arg(long)]
    poll: bool,

    /// Keep the data in this folder, for another demo to find them
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Where the report is written as a page
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    report: PathBuf,
}

fn count(min: u32, max: u32) -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<u32>::new().range(u64::from(min)..=u64::from(max)).map(|count| count as usize)
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if rate.is_finite() && rate > 0.0 { Ok(rate) } else { Err("must be above 0".to_owned()) }
}

impl DemoArgs {
    fn options(self) -> Options {
        let goods = match self.orders {
            Some(folder) => {
                Goods::Replay { folder, how: Replay { stock_factor: self.stock_factor.max(0.0), rounds: 1 } }
            }
            None => Goods::MadeUp {
                size: Size {
                    shoppers: self.shoppers,
                    coupons: self.coupons,
                    orders: self.orders_count,
                    products: self.products,
                },
                seed: self.seed,
            },
        };
        let learn = match (self.prefer_wait, self.poll) {
            (true, _) => Learn::ByWaiting,
            (_, true) => Learn::ByPolling,
            _ => Learn::ByAsking,
        };
        let pace = self.rate.map_or(Pace::AsSoonAsFree, Pace::PerSecond);
        Options { goods, pace, connections: self.connections, learn, data: self.data, page: self.report }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.program {
        Some(program) => program.run().map(|()| ExitCode::SUCCESS),
        None => run_demo(cli.demo),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("demo: {error:#}");
        ExitCode::FAILURE
    })
}

fn run_demo(args: DemoArgs) -> Result<ExitCode> {
    // One thread: the load must leave the processors to the shop.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
    runtime.block_on(demo(args))
}

async fn demo(args: DemoArgs) -> Result<ExitCode> {
    let once = args.once;
    let options = args.options();
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let ended = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    tokio::pin!(ended);

    let (shop, report) = tokio::select! {
        done = run(&options, Screen::new()) => done?,
        () = &mut ended => {
            eprintln!("ended before the sale was over");
            return Ok(ExitCode::FAILURE);
        }
    };
    print!("{}", report::text(&report));
    println!("Report: {}", options.page.display());
    let code = if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if !once {
        let left = open_house();
        create(&shop.admin(), &left, &ProgressBar::hidden()).await.context("leaving something to try")?;
        print_addresses(&shop, &left);
        let mut gone = Vec::new();
        loop {
            tokio::select! {
                () = &mut ended => break,
                (name, pid) = shop.until_one_ends(&gone) => {
                    eprintln!("{name} has ended; the rest of the shop stays open, and nobody starts it again");
                    gone.push(pid);
                }
            }
        }
        eprintln!("closing the shop");
    }
    Ok(code)
}

fn print_addresses(shop: &Shop, left: &Sale) {
    let sandbox = shop.sandbox_url().map(|url| format!(" SANDBOX={url}")).unwrap_or_default();
    println!();
    println!("The shop stays open until Ctrl-C:");
    println!("  export API=http://{} ADMIN_TOKEN={}{sandbox}", shop.address(), shop.token());
    println!();
    println!("  shop      http://{}/", shop.address());
    println!("  console   http://{}/admin  for operators; it asks for the ADMIN_TOKEN", shop.address());
    let coupons: Vec<&str> = left.campaign.iter().map(|campaign| campaign.coupon_id.as_str()).collect();
    let shoppers: Vec<&str> = left.users.iter().map(|user| user.user_id.as_str()).collect();
    println!("  to try    coupon {}, shoppers {}", coupons.join(", "), shoppers.join(", "));
    for (name, address) in shop.metrics_addresses() {
        println!("  {name:<9} http://{address}/metrics");
    }
    if let Some(url) = shop.sandbox_url() {
        println!("  sandbox   {url}/  the world outside: what arrived there, and switches that make it fail");
    }
    println!("  Postgres  {}", shop.database_url());
    println!("  Redis     {}", shop.stack.redis.url());
    println!("  logs      {}  (gone when it closes, unless --data keeps them)", shop.folder().display());
}
