//! The workers.

use clap::Parser;
use workers::{Task, WorkersConfig};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<std::process::ExitCode> {
    let config = WorkersConfig::parse();
    match config.task {
        Some(Task::Audit) => workers::run_audit(&config).await,
        None => workers::run(config).await.map(|()| std::process::ExitCode::SUCCESS),
    }
}
