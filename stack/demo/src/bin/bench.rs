//! `cargo benchmark`: how fast it is on this machine, and how fast the usual way.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark tells in the terminal what it found")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, ValueEnum};
use demo::bench::{Audited, Options, Part, Scale, markdown, run};
use demo::programs::Program;
use demo::screen::Screen;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures how many commands are accepted and committed a second, how long shoppers wait, and what the usual way
/// reaches on the same machine
#[derive(Debug, Parser)]
#[command(name = "bench", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    program: Option<Program>,
    #[command(flatten)]
    bench: BenchArgs,
}

#[derive(Debug, Args)]
struct BenchArgs {
    /// Short measurements, for a look
    #[arg(long)]
    quick: bool,

    /// As small as can be: a test of the benchmark, not of the shop
    #[arg(long, hide = true, conflicts_with = "quick")]
    tiny: bool,

    /// Measure only these parts
    #[arg(long, value_name = "PARTS", value_delimiter = ',', value_enum)]
    only: Vec<Part>,

    /// Measure real orders, too: a folder with orders.csv.gz and products.csv.gz
    #[arg(long, value_name = "DIR")]
    orders: Option<PathBuf>,

    /// Connections of the closed loop
    #[arg(long, value_name = "COUNT", default_value_t = 256)]
    connections: usize,

    /// Keep the data in this folder
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Where the results are written
    #[arg(long, value_name = "FILE", default_value = "bench.json")]
    json: PathBuf,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.program {
        Some(program) => program.run(),
        None => bench(cli.bench),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench(args: BenchArgs) -> Result<()> {
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: its figures mean nothing");
    }
    let parts = if args.only.is_empty() { Part::value_variants().to_vec() } else { args.only };
    let options = Options {
        parts,
        scale: match (args.tiny, args.quick) {
            (true, _) => Scale::TINY,
            (_, true) => Scale::QUICK,
            _ => Scale::FULL,
        },
        connections: args.connections.max(1),
        orders: args.orders,
        data: args.data,
    };
    // One thread: the load must leave the processors to the shop.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
    let results = runtime.block_on(run(&options, Screen::new()))?;
    print!("{}", markdown(&results));
    let json = serde_json::to_string_pretty(&results).context("writing the results")?;
    std::fs::write(&args.json, json).with_context(|| format!("writing {}", args.json.display()))?;
    ensure!(results.audit == Audited::Clean, "the figures are worth nothing without a clean audit");
    Ok(())
}
