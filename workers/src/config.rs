//! How the workers are configured: by environment variables, or flags of the same names.

use clap::{Parser, ValueEnum};
use runtime::config::{LaneArgs, ServicesArgs, TelemetryArgs};

/// Takes commands from the lanes, decides them and commits them to Postgres.
#[derive(Debug, Clone, Parser)]
#[command(name = "workers", version, about)]
pub struct WorkersConfig {
    /// Postgres and Redis.
    #[command(flatten)]
    pub services: ServicesArgs,
    /// The line.
    #[command(flatten)]
    pub lane: LaneArgs,
    /// Logs and metrics.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
    /// Run only these parts.
    #[arg(long, value_name = "PARTS", value_delimiter = ',', value_enum, default_values_t = [Part::Lanes])]
    pub only: Vec<Part>,
}

/// A part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Decide what stands in the lanes.
    Lanes,
}
