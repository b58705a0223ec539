//! The operator, as far as the demo needs one.

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::load::{Connection, Door, Header, Letter};

/// Speaks to the admin part of an API.
#[derive(Debug, Clone)]
pub struct Admin {
    door: Door,
    token: String,
}

/// The audit's verdict.
#[derive(Debug, Clone, Deserialize)]
pub struct Audit {
    /// Whether every check holds.
    pub ok: bool,
    /// The checks.
    pub checks: Vec<AuditCheck>,
}

/// One check of the audit.
#[derive(Debug, Clone, Deserialize)]
pub struct AuditCheck {
    /// Its name.
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// Rows that it looked at.
    pub examined: i64,
    /// Rows that break it.
    pub violations: i64,
}

impl Admin {
    /// An operator with this bearer token, of visible ASCII.
    pub fn new(door: Door, token: &str) -> Admin {
        Admin { door, token: token.to_owned() }
    }

    /// Where the API is.
    pub fn door(&self) -> Door {
        self.door
    }

    /// A change, ready to be sent.
    pub fn post(&self, path: &str, json: &serde_json::Value) -> Letter {
        Letter::post(&self.door, path, &[Header::Token(&self.token)], &json.to_string())
    }

    /// Asks the shop to check itself: every promise, over all rows.
    ///
    /// # Errors
    /// When the audit cannot be made. A broken promise is a verdict, not an error.
    pub async fn audit(&self) -> Result<Audit> {
        let letter = Letter::get(&self.door, "/api/admin/audit", &[Header::Token(&self.token)]);
        let mut connection = Connection::open(self.door.address()).await?;
        let answer = connection.send(&letter).await.context("asking for the audit")?;
        if answer.status != 200 {
            bail!("asking for the audit: {} {}", answer.status, String::from_utf8_lossy(answer.body));
        }
        serde_json::from_slice(answer.body).context("reading the audit's verdict")
    }
}
