//! How the programs are started, each with its end of every wire.

use std::path::Path;

use anyhow::Result;
use demo::rights::{APP, Secrets};
use runtime::fault_points::FOLDER_VARIABLE;
use stack::{Launch, free_port};

use super::{ADMIN_TOKEN, COPIES, Copy, DATABASE, LEASE, SYNC_SECRET, Wires};

pub(super) struct Launches<'a> {
    pub program: &'a Path,
    pub folder: &'a Path,
    pub wires: &'a Wires,
    pub secrets: &'a Secrets,
    pub more: &'a [(&'a str, String)],
}

impl Launches<'_> {
    /// With no more rights than in earnest.
    fn launch(&self, user: &str, number: usize, wire: usize, metrics_port: u16) -> Result<Launch> {
        let (name, password) = (format!("serve-{user}"), self.secrets.redis_password(user)?);
        let redis = format!("redis://{user}:{password}@{}", self.wires.redis[wire].address);
        let postgres = format!("postgres://{APP}@{}/{DATABASE}", self.wires.postgres[wire].address);
        let mut launch = Launch::new(self.program, self.folder.join(format!("{name}-{}.log", number + 1)))
            .only_env()
            .arg(&name)
            .env("DATABASE_URL", postgres)
            .env("REDIS_URL", redis)
            .env("METRICS_ADDR", format!("127.0.0.1:{metrics_port}"))
            .env("LANE_LEASE", format!("{}s", LEASE.as_secs()))
            .env("RUST_LOG", "info,workers=debug")
            .env(FOLDER_VARIABLE, self.folder.join("points"));
        for (name, value) in self.more {
            launch = launch.env(*name, value);
        }
        Ok(launch)
    }

    pub fn api(&self, number: usize, port: u16) -> Result<Copy> {
        let metrics_port = free_port();
        let launch = self
            .launch("api", number, number, metrics_port)?
            .env("API_ADDR", format!("127.0.0.1:{port}"))
            .env("AUTH_MODE", "off")
            .env("RATE_LIMIT_PER_USER", "off")
            .env("MIGRATE_ON_START", "false")
            .env("ADMIN_TOKEN", ADMIN_TOKEN);
        Copy::start(launch, metrics_port)
    }

    pub fn workers(&self, number: usize) -> Result<Copy> {
        let metrics_port = free_port();
        let launch = self
            .launch("workers", number, COPIES + number, metrics_port)?
            .env("ORDER_SYNC_URL", format!("http://{}/orders", self.wires.orders[number].address))
            .env("ORDER_SYNC_SECRET", SYNC_SECRET)
            .env("ORDER_SYNC_TIMEOUT", "2s")
            .env("ORDER_SYNC_RETRY_DELAYS", "1s,1s,1s")
            .env("PAYMENT_GATEWAY_URL", format!("http://{}", self.wires.gateway[number].address))
            .env("PAYMENT_GATEWAY_SECRET", "sk_test_any")
            .env("PAYMENT_GATEWAY_TIMEOUT", "2s")
            .env("SMTP_URL", format!("smtp://{}", self.wires.mail[number].address))
            .env("ALERT_EMAIL", "operators@example.com")
            .env("ALERT_WEBHOOK_URL", format!("http://{}/alerts", self.wires.alerts[number].address));
        Copy::start(launch, metrics_port)
    }
}
