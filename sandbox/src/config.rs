//! What the program is told at its start.

use std::net::SocketAddr;

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

    /// The issuer that tokens name, as in JWT_ISSUER
    #[arg(long, env = "SANDBOX_ISSUER", value_name = "NAME", default_value = crate::ISSUER_DEFAULT)]
    pub sandbox_issuer: String,

    /// The audience that tokens name, as in JWT_AUDIENCE
    #[arg(long, env = "SANDBOX_AUDIENCE", value_name = "NAME", default_value = crate::AUDIENCE_DEFAULT)]
    pub sandbox_audience: String,
}
