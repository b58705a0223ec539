//! The shop's programs, for the browser tests to start: a test can only start programs of its own crate.

use clap::Parser;
use demo::programs::Program;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    program: Program,
}

fn main() -> anyhow::Result<()> {
    Cli::parse().program.run()
}
