//! The program `workers`.

use std::process::ExitCode;

use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches};
use runtime::config::Secret;
use workers::WorkersConfig;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const AUDIT: &str = "audit";

#[derive(Debug, Args)]
struct AuditArgs {
    /// Postgres: postgres://user@host/database, or postgres:///database?host=/socket/folder
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Secret,
}

/// Built by hand, because the arguments of working are demanded only when nothing else is asked for.
fn command() -> Command {
    let audit = Command::new(AUDIT)
        .about("Checks every promise against all rows, prints the verdict as JSON, and exits with 1 if one is broken");
    WorkersConfig::command()
        .args_conflicts_with_subcommands(true)
        .subcommand_negates_reqs(true)
        .subcommand(AuditArgs::augment_args(audit))
}

fn main() -> anyhow::Result<ExitCode> {
    run(&command().get_matches())
}

fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match matches.subcommand() {
        Some((AUDIT, matches)) => {
            let args = AuditArgs::from_arg_matches(matches)?;
            threads.block_on(workers::run_audit(args.database_url.expose()))
        }
        _ => {
            let config = WorkersConfig::from_arg_matches(matches)?;
            threads.block_on(workers::run(config)).map(|()| ExitCode::SUCCESS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        command().debug_assert();
    }
}
