//! The program `api`.

use std::process::ExitCode;

use api::ApiConfig;
use clap::{Args, Command, FromArgMatches};
use runtime::config::{API_METRICS_ADDR, Secret, TelemetryArgs, with_secret_files};
use runtime::health::{self, HEALTH, HealthArgs};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MIGRATE: &str = "migrate";

#[derive(Debug, Args)]
struct MigrateArgs {
    /// Postgres: postgres://user@host/database, or postgres:///database?host=/socket/folder
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Secret,
    /// The role that runs api and workers, if it is not the owner of the tables: it gets the rights that they need, and no more
    #[arg(long, value_name = "ROLE")]
    grant_to: Option<String>,
    #[command(flatten)]
    telemetry: TelemetryArgs,
}

/// Built by hand, because the arguments of serving are demanded only when nothing else is asked for.
fn command() -> Command {
    // Said last, because the text above a flattened group of arguments would take its place.
    let migrate = MigrateArgs::augment_args(Command::new(MIGRATE)).about("Applies the migrations and ends");
    let health =
        HealthArgs::augment_args(Command::new(HEALTH)).about("Asks the api of this machine whether it is ready");
    ApiConfig::augment_args(Command::new("api"))
        .about("Droplane's door: takes commands into line and tells their outcomes")
        .version(env!("CARGO_PKG_VERSION"))
        .args_conflicts_with_subcommands(true)
        .subcommand_negates_reqs(true)
        .subcommand(migrate)
        .subcommand(health)
}

#[expect(clippy::print_stderr, reason = "why a program ends is told even when logging did not begin")]
fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let matches = with_secret_files(command())?.get_matches();
    runtime::lifecycle::install_tls_provider();
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match matches.subcommand() {
        Some((MIGRATE, matches)) => {
            let args = MigrateArgs::from_arg_matches(matches)?;
            runtime::telemetry::init(&args.telemetry)?;
            threads.block_on(api::migrate(args.database_url.expose(), args.grant_to.as_deref()))
        }
        Some((HEALTH, matches)) => Ok(health::ask(&HealthArgs::from_arg_matches(matches)?, API_METRICS_ADDR)?),
        _ => {
            let config = ApiConfig::from_arg_matches(&matches)?;
            runtime::telemetry::init(&config.telemetry)?;
            threads.block_on(api::run(config))
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
