//! The program `sandbox`.

use std::process::ExitCode;

use clap::Parser;
use sandbox::SandboxConfig;

#[expect(clippy::print_stderr, reason = "why a program ends is told even when logging did not begin")]
fn main() -> ExitCode {
    match run(SandboxConfig::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sandbox: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: SandboxConfig) -> anyhow::Result<()> {
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    threads.block_on(sandbox::run(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        SandboxConfig::command().debug_assert();
    }
}
