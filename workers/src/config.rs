//! How the workers are configured: by environment variables, or flags of the same names.

use clap::{Parser, ValueEnum};
use cron::Schedule;
use runtime::config::{
    AlertArgs, GatewayArgs, LaneArgs, MailArgs, PopularArgs, RetentionArgs, ServicesArgs, SyncArgs, TargetArgs,
    TelemetryArgs,
};

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
    /// The popular products.
    #[command(flatten)]
    pub popular: PopularArgs,
    /// When the usual list of popular products is counted anew: second, minute, hour, day, month, weekday, in UTC
    #[arg(
        long,
        env = "POPULAR_REFRESH_CRON",
        value_name = "SCHEDULE",
        default_value = "0 * * * * *",
        help_heading = "Popular products"
    )]
    pub popular_refresh_cron: Schedule,
    /// How long requests are kept.
    #[command(flatten)]
    pub retention: RetentionArgs,
    /// The order system.
    #[command(flatten)]
    pub sync: SyncArgs,
    /// The admins.
    #[command(flatten)]
    pub alerts: AlertArgs,
    /// Mails.
    #[command(flatten)]
    pub mails: MailArgs,
    /// The payment gateway.
    #[command(flatten)]
    pub gateway: GatewayArgs,
    /// Whom they may talk to.
    #[command(flatten)]
    pub targets: TargetArgs,
    /// Run only these parts.
    #[arg(long, value_name = "PARTS", value_delimiter = ',', value_enum, default_values_t = [Part::Lanes, Part::Sync, Part::Cron])]
    pub only: Vec<Part>,
}

/// A part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Decide what stands in the lanes.
    Lanes,
    /// Tell the order system of orders, admins of what went wrong, and shoppers of products that are back; find out what
    /// came of charges.
    Sync,
    /// Do what runs by a schedule.
    Cron,
}
