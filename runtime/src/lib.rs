//! What both binaries need before they can do their work: configuration, logs, metric names, Postgres, the judgement
//! of Redis' durability, readiness, and a clean end. Nothing here knows a coupon or an order.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod admin_listener;
pub mod archive;
pub mod causes;
pub mod config;
pub mod fault_points;
pub mod health;
pub mod lifecycle;
pub mod limits;
pub mod line_gauges;
pub mod metrics;
pub mod postgres;
pub mod readiness;
pub mod redis_durability;
pub mod telemetry;
pub mod traces;
