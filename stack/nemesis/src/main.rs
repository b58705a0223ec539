//! `cargo nemesis`: tries for as long as it is told whether the shop keeps its promises in trouble.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it tells in the terminal what it does and found")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::builder::{RangedU64ValueParser, TypedValueParser};
use clap::{Args, Parser};
use demo::programs::Program;
use nemesis::check::Verdict;
use nemesis::faults::Fault;
use nemesis::load::Goods;
use nemesis::run::{Plan, SHOPPERS, run};
use runtime::fault_points::{BUG_VARIABLE, Bug};

const SECONDS_PER_MINUTE: u64 = 60;

/// The exit code where nothing can be said of the promises; that of broken promises is 1.
const COULD_NOT_RUN: u8 = 2;

/// Tries whether the shop keeps its promises while everything around it fails
#[derive(Debug, Parser)]
#[command(name = "nemesis", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    args: NemesisArgs,
    #[command(subcommand)]
    program: Option<Program>,
}

#[derive(Debug, Args)]
struct NemesisArgs {
    /// For how long; every fault comes at least once
    #[arg(long, value_name = "MINUTES", default_value_t = 1)]
    minutes: u64,

    /// Makes the same run again, as far as the machine lets it; otherwise another one each time
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Only these faults
    #[arg(long, value_name = "FAULTS", value_delimiter = ',', value_enum)]
    faults: Vec<Fault>,

    /// So many faults strike at once, if they hit different things; others wait for their turn
    #[arg(long, value_name = "FAULTS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    at_once: u8,

    /// Replay the real orders of a folder with `orders.csv.gz` and `products.csv.gz` beside the rush for coupons
    #[arg(long, value_name = "FOLDER")]
    orders: Option<PathBuf>,

    /// Shoppers at once
    #[arg(long, value_name = "SHOPPERS", default_value_t = SHOPPERS, value_parser = shoppers())]
    shoppers: usize,

    /// Make this mistake in the programs, to see that it is found: no-fence, ack-before-commit, retry-to-the-tail, no-idempotency
    #[arg(long, value_name = "MISTAKE", value_parser = Bug::ALL.map(Bug::as_str))]
    bug: Option<String>,

    /// Where logs and data go; they are kept
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

/// More than one process can be at once, with a connection each.
const SHOPPERS_MAX: u64 = 20_000;

/// Nobody would feel a fault of an empty shop.
fn shoppers() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<u16>::new().range(1..=SHOPPERS_MAX).map(usize::from)
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.program {
        Some(program) => program.run().map(|()| ExitCode::SUCCESS),
        None => try_it(cli.args),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("nemesis: {error:#}");
        ExitCode::from(COULD_NOT_RUN)
    })
}

fn try_it(args: NemesisArgs) -> Result<ExitCode> {
    let seed = args.seed.unwrap_or_else(rand::random);
    let goods = args.orders.as_deref().map_or_else(|| Ok(Goods::made_up()), Goods::real)?;
    let folder = match &args.data {
        Some(folder) => folder.clone(),
        None => tempfile::Builder::new().prefix("nemesis-").tempdir().context("making a folder")?.keep(),
    };
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    println!("seed {seed}; logs and data are in {}", folder.display());
    if let Some(bug) = &args.bug {
        println!("the programs make a mistake: {bug}");
    }
    let faults = if args.faults.is_empty() { Plan::all_faults() } else { args.faults };
    let plan = Plan {
        at_once: args.at_once.into(),
        time: Duration::from_secs(args.minutes * SECONDS_PER_MINUTE),
        shoppers: args.shoppers,
        goods,
        more: args.bug.into_iter().map(|bug| (BUG_VARIABLE, bug)).collect(),
        ..Plan::of(std::env::current_exe().context("finding this program")?, seed, faults)
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting a runtime")?;
    let began = Instant::now();
    let report = runtime.block_on(run(&plan, &folder, |what| println!("{:5} s  {what}", began.elapsed().as_secs())));
    let report = report.with_context(|| format!("seed {seed}; logs and data are in {}", folder.display()))?;
    println!("{} commands, {} faults", report.commands, report.struck.len());
    report.verdicts.iter().for_each(tell);
    if report.is_clean() {
        println!("every promise was kept");
        if args.data.is_none() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    println!("a promise was broken, with seed {seed}; logs and data are in {}", folder.display());
    Ok(ExitCode::FAILURE)
}

fn tell(verdict: &Verdict) {
    let mark = if verdict.is_kept() { '✔' } else { '✘' };
    println!("  {mark} {}: {} examined, {} broken", verdict.promise, verdict.examined, verdict.broken);
    for example in &verdict.examples {
        println!("      {example}");
    }
}
