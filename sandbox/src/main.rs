//! The program `sandbox`.

use std::process::ExitCode;

use clap::{Command, CommandFactory, FromArgMatches};
use sandbox::SandboxConfig;

const HEALTH: &str = "health";

fn command() -> Command {
    SandboxConfig::command()
        .subcommand(Command::new(HEALTH).about("Asks whether the sandbox of this configuration listens"))
}

#[expect(clippy::print_stderr, reason = "why a program ends is told even when logging did not begin")]
fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sandbox: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let matches = command().get_matches();
    let config = SandboxConfig::from_arg_matches(&matches)?;
    if matches.subcommand_matches(HEALTH).is_some() {
        return sandbox::ask_health(&config);
    }
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    threads.block_on(sandbox::run(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        command().debug_assert();
    }
}
