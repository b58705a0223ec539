//! What `api` is told at its start.

use clap::Args;
use runtime::config::{AuthArgs, DoorArgs, HumanArgs, LaneArgs, PopularArgs, ServicesArgs, TargetArgs, TelemetryArgs};

/// The configuration of `api`, from flags or environment variables.
#[derive(Debug, Clone, Args)]
pub struct ApiConfig {
    /// Postgres and Redis.
    #[command(flatten)]
    pub services: ServicesArgs,
    /// The public door.
    #[command(flatten)]
    pub door: DoorArgs,
    /// Who may do what.
    #[command(flatten)]
    pub auth: AuthArgs,
    /// Who says whether a claim was made by a person.
    #[command(flatten)]
    pub human: HumanArgs,
    /// Whom it may talk to.
    #[command(flatten)]
    pub targets: TargetArgs,
    /// The lines; `api` needs their depth and how coupons are spread.
    #[command(flatten)]
    pub lanes: LaneArgs,
    /// The popular products.
    #[command(flatten)]
    pub popular: PopularArgs,
    /// Logs and metrics.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}
