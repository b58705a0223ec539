//! What the program is told at its start.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;

use crate::webhook::Verifier;

/// The outside world for development: a payment gateway, an order system, a mail server, whoever hears of alerts, and an
/// issuer of tokens, with switches that make each of them fail. Not for anything real: it gives a token to everybody.
#[derive(Debug, Clone, Parser)]
#[command(name = "sandbox", version, about, long_about = None)]
pub struct SandboxConfig {
    /// Where it listens: the page, and everything that speaks HTTP
    #[arg(long, env = "SANDBOX_ADDR", value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    pub sandbox_addr: SocketAddr,

    /// Where the mail server listens
    #[arg(long, env = "SANDBOX_SMTP_ADDR", value_name = "ADDRESS", default_value = "127.0.0.1:8025")]
    pub sandbox_smtp_addr: SocketAddr,

    /// What orders are signed with, as in ORDER_SYNC_SECRET; without it signatures are not checked
    #[arg(
        long,
        env = "SANDBOX_SYNC_SECRET",
        value_name = "SECRET",
        default_value = "",
        hide_default_value = true,
        hide_env_values = true
    )]
    pub sandbox_sync_secret: Verifier,

    /// The file that holds SANDBOX_SYNC_SECRET, instead of it
    #[arg(long, env = "SANDBOX_SYNC_SECRET_FILE", value_name = "FILE", conflicts_with = "sandbox_sync_secret")]
    pub sandbox_sync_secret_file: Option<PathBuf>,

    /// The issuer that tokens name, as in JWT_ISSUER
    #[arg(long, env = "SANDBOX_ISSUER", value_name = "NAME", default_value = crate::ISSUER_DEFAULT)]
    pub sandbox_issuer: String,

    /// The audience that tokens name, as in JWT_AUDIENCE
    #[arg(long, env = "SANDBOX_AUDIENCE", value_name = "NAME", default_value = crate::AUDIENCE_DEFAULT)]
    pub sandbox_audience: String,
}

impl SandboxConfig {
    /// What orders are signed with, from wherever it was given.
    ///
    /// # Errors
    /// A sentence when its file cannot be read, or holds something else.
    pub(crate) fn sync_secret(&self) -> anyhow::Result<Verifier> {
        let Some(path) = self.sandbox_sync_secret_file.as_ref().filter(|path| !path.as_os_str().is_empty()) else {
            return Ok(self.sandbox_sync_secret.clone());
        };
        let read = || std::fs::read_to_string(path)?.trim_end().parse();
        read().with_context(|| format!("SANDBOX_SYNC_SECRET_FILE names {}", path.display()))
    }
}
