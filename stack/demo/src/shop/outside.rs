//! The world outside of a shop: whom the workers tell of orders and alerts, who sends mails and takes
//! money, and who knows people from programs.

use std::path::Path;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt;

use crate::programs::{Running, SERVE_SANDBOX, Start};

/// A key that signs orders, as long as what it makes.
const SECRET_BYTES: usize = 32;

/// Whom alerts are mailed to; the sandbox keeps them all.
const ALERT_EMAIL: &str = "operators@example.com";

/// Whether a shop has a world outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// Nobody is there: orders, alerts and mails wait, and cost nothing that is being measured.
    Nobody,
    /// The sandbox plays all of it.
    Sandbox,
}

/// A sandbox that runs.
#[derive(Debug)]
pub(super) struct World {
    running: Running,
    secret: String,
}

impl World {
    pub fn open(outside: Outside, folder: &Path) -> Result<Option<World>> {
        if outside == Outside::Nobody {
            return Ok(None);
        }
        let secret = random_secret();
        let variables = |smtp_port: u16, port: u16| {
            vec![
                ("SANDBOX_ADDR", format!("127.0.0.1:{port}")),
                ("SANDBOX_SMTP_ADDR", format!("127.0.0.1:{smtp_port}")),
                ("SANDBOX_SYNC_SECRET", secret.clone()),
            ]
        };
        let running =
            Start { program: SERVE_SANDBOX, log: &folder.join("sandbox.log"), variables: &variables }.run()?;
        Ok(Some(World { running, secret }))
    }

    /// Where its page is, and everything else that speaks HTTP.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.running.metrics_port)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.running.process.pid()
    }

    /// The last lines of its log.
    pub fn last_words(&self, lines: usize) -> String {
        self.running.process.log_tail(lines)
    }

    /// What the API must be told to find it.
    pub fn variables_of_the_door(&self) -> Vec<(&'static str, String)> {
        vec![
            ("HUMAN_CHECK_URL", format!("{}/siteverify", self.url())),
            ("HUMAN_CHECK_SECRET", "any secret will do".to_owned()),
        ]
    }

    /// What workers must be told to find it.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let url = self.url();
        vec![
            ("ORDER_SYNC_URL", format!("{url}/orders")),
            ("ORDER_SYNC_SECRET", self.secret.clone()),
            ("ALERT_WEBHOOK_URL", format!("{url}/alerts")),
            ("ALERT_EMAIL", ALERT_EMAIL.to_owned()),
            ("SMTP_URL", format!("smtp://127.0.0.1:{}", self.running.port)),
            ("PAYMENT_GATEWAY_URL", url),
            ("PAYMENT_GATEWAY_SECRET", "sk_test_sandbox".to_owned()),
        ]
    }
}

fn random_secret() -> String {
    let bytes: [u8; SECRET_BYTES] = rand::rng().random();
    format!("whsec_{}", STANDARD.encode(bytes))
}
