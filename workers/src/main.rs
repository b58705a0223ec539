//! The program `workers`.

use std::process::ExitCode;

use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches};
use runtime::config::{DatabasePooler, Secret, WORKERS_METRICS_ADDR, with_secret_files};
use runtime::health::{self, HEALTH, HealthArgs};
use workers::WorkersConfig;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const AUDIT: &str = "audit";

#[derive(Debug, Args)]
struct AuditArgs {
    /// Postgres: postgres://user@host/database, or postgres:///database?host=/socket/folder
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Secret,
    /// What stands between us and Postgres
    #[arg(long, env = "DATABASE_POOLER", value_enum, default_value_t = DatabasePooler::None)]
    database_pooler: DatabasePooler,
}

/// Built by hand, because the arguments of working are demanded only when nothing else is asked for.
fn command() -> Command {
    let audit = Command::new(AUDIT)
        .about("Checks every promise against all rows, prints the verdict as JSON, and exits with 1 if one is broken, 2 if they could not be checked");
    let health =
        HealthArgs::augment_args(Command::new(HEALTH)).about("Asks the workers of this machine whether they are ready");
    WorkersConfig::command()
        .args_conflicts_with_subcommands(true)
        .subcommand_negates_reqs(true)
        .subcommand(AuditArgs::augment_args(audit))
        .subcommand(health)
}

/// What the audit exits with when it could not be made: 1 says that a promise is broken.
const NOT_AUDITED: u8 = 2;

#[expect(clippy::print_stderr, reason = "why a program ends is told even when logging did not begin")]
fn main() -> ExitCode {
    let (ended, failure) = match with_secret_files(command()).map(Command::get_matches) {
        Ok(matches) => match matches.subcommand() {
            Some((AUDIT, matches)) => (audit(matches), ExitCode::from(NOT_AUDITED)),
            Some((HEALTH, matches)) => (ask_health(matches), ExitCode::FAILURE),
            _ => (work(&matches), ExitCode::FAILURE),
        },
        // As clap ends for any other setting that is wrong; it also says that nothing was audited.
        Err(error) => (Err(error.into()), ExitCode::from(NOT_AUDITED)),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("workers: {error:#}");
        failure
    })
}

fn audit(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let args = AuditArgs::from_arg_matches(matches)?;
    threads()?.block_on(workers::run_audit(args.database_url.expose(), args.database_pooler))
}

fn ask_health(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    health::ask(&HealthArgs::from_arg_matches(matches)?, WORKERS_METRICS_ADDR)?;
    Ok(ExitCode::SUCCESS)
}

fn work(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let config = WorkersConfig::from_arg_matches(matches)?;
    threads()?.block_on(workers::run(config)).map(|()| ExitCode::SUCCESS)
}

fn threads() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        command().debug_assert();
    }
}
