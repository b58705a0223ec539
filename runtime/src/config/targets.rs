//! Where the workers send to, and who must hear of it when that fails.

use std::net::IpAddr;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgAction, Args};

use super::durations::{duration_between, parse_durations};
use super::secret::Secret;
use crate::limits::{SYNC_RETRIES_MAX, TARGET_TIMEOUT_MAX_SECONDS, TARGET_TIMEOUT_MIN_MS};

/// The order system.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Order sync")]
pub struct SyncArgs {
    /// Where every order is sent; without it orders wait to be sent
    #[arg(long, env = "ORDER_SYNC_URL", value_name = "URL")]
    pub order_sync_url: Option<String>,

    /// The key that signs them: whsec_ and 24 to 64 bytes in base64, as Standard Webhooks has it
    #[arg(long, env = "ORDER_SYNC_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub order_sync_secret: Option<Secret>,

    /// How long one attempt may take (100ms–60s)
    #[arg(long, env = "ORDER_SYNC_TIMEOUT", value_name = "DURATION", default_value = "10s", value_parser = parse_timeout)]
    pub order_sync_timeout: Duration,

    /// The pause before each retry, as a list; after the last one the admins are alerted
    #[arg(long, env = "ORDER_SYNC_RETRY_DELAYS", value_name = "DURATIONS", default_value = "5m,15m,45m",
          value_parser = RetryDelays::parse)]
    pub order_sync_retry_delays: RetryDelays,
}

/// Whom either program may talk to.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Targets")]
pub struct TargetArgs {
    /// Whether targets, and the address of published keys, may be plain HTTP on other machines
    #[arg(long, env = "ALLOW_PRIVATE_HTTP_TARGETS", value_name = "BOOL", default_value_t = false, action = ArgAction::Set)]
    pub allow_private_http_targets: bool,
}

/// The payment gateway.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Payment")]
pub struct GatewayArgs {
    /// Where money is taken, in Stripe's words; without it charges wait in their line
    #[arg(long, env = "PAYMENT_GATEWAY_URL", value_name = "URL")]
    pub payment_gateway_url: Option<String>,

    /// The secret key that the gateway knows us by
    #[arg(long, env = "PAYMENT_GATEWAY_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub payment_gateway_secret: Option<Secret>,

    /// How a charge is paid that names no method
    #[arg(long, env = "PAYMENT_DEFAULT_METHOD", value_name = "METHOD", default_value = "pm_card_visa",
          value_parser = NonEmptyStringValueParser::new())]
    pub payment_default_method: String,

    /// How long asking the gateway may take (100ms–60s); then it is asked again later
    #[arg(long, env = "PAYMENT_GATEWAY_TIMEOUT", value_name = "DURATION", default_value = "8s",
          value_parser = parse_timeout)]
    pub payment_gateway_timeout: Duration,
}

/// Who hears of alerts.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Alerts")]
pub struct AlertArgs {
    /// Where alerts are sent as JSON whose `text` chat tools show
    #[arg(long, env = "ALERT_WEBHOOK_URL", value_name = "URL", hide_env_values = true)]
    pub alert_webhook_url: Option<Secret>,

    /// The address that alerts are mailed to
    #[arg(long, env = "ALERT_EMAIL", value_name = "ADDRESS")]
    pub alert_email: Option<String>,
}

/// The mail server.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Mails")]
pub struct MailArgs {
    /// The mail server: smtp://host:port, or smtps://user:password@host; without it mails wait to be sent
    #[arg(long, env = "SMTP_URL", value_name = "URL", hide_env_values = true)]
    pub smtp_url: Option<Secret>,

    /// Who sends them
    #[arg(long, env = "MAIL_FROM", value_name = "ADDRESS", default_value = "Droplane <shop@localhost.localdomain>")]
    pub mail_from: String,
}

/// The pauses before retries, the first one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryDelays(Vec<Duration>);

impl RetryDelays {
    fn parse(text: &str) -> Result<RetryDelays, String> {
        let delays = parse_durations(text)?;
        if delays.len() > SYNC_RETRIES_MAX {
            return Err(format!("at most {SYNC_RETRIES_MAX} retries"));
        }
        Ok(RetryDelays(delays))
    }

    /// The pause after so many attempts that failed; none: there is no retry after them.
    pub fn after(&self, failed_attempts: usize) -> Option<Duration> {
        self.0.get(failed_attempts.checked_sub(1)?).copied()
    }
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    duration_between(
        text,
        Duration::from_millis(TARGET_TIMEOUT_MIN_MS),
        Duration::from_secs(TARGET_TIMEOUT_MAX_SECONDS),
    )
}

/// Whether what is sent to this URL can be read on its way: only https keeps it from that, and a loopback has no way.
///
/// # Errors
/// A sentence that says what to change.
pub fn check_target(scheme: &str, host: Option<&str>, allow_private_http: bool) -> Result<(), String> {
    let host = host.filter(|host| !host.is_empty()).ok_or("it names no host")?;
    match scheme {
        "https" => Ok(()),
        "http" if allow_private_http || is_loopback(host) => Ok(()),
        "http" => Err(format!(
            "http://{host} could be read on its way; use https, or allow it with ALLOW_PRIVATE_HTTP_TARGETS=true"
        )),
        other => Err(format!("`{other}` is neither http nor https")),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_can_read_is_sent_to() {
        let rows = [
            ("https", Some("orders.example"), false, true),
            ("http", Some("127.0.0.1"), false, true),
            ("http", Some("[::1]"), false, true),
            ("http", Some("LocalHost"), false, true),
            ("http", Some("localhost.orders.example"), false, false),
            ("http", Some("10.0.0.7"), false, false),
            ("http", Some("10.0.0.7"), true, true),
            ("ftp", Some("127.0.0.1"), true, false),
            ("https", None, false, false),
            ("https", Some(""), false, false),
        ];
        for (scheme, host, allowed, meant) in rows {
            assert_eq!(check_target(scheme, host, allowed).is_ok(), meant, "{scheme} {host:?} {allowed}");
        }
    }

    #[test]
    fn each_retry_has_its_pause() {
        let delays = RetryDelays::parse("5m,15m,45m").unwrap();
        let minutes = |failed| delays.after(failed).map(|delay| delay.as_secs() / 60);
        assert_eq!([0, 1, 2, 3, 4].map(minutes), [None, Some(5), Some(15), Some(45), None]);
        assert_eq!(RetryDelays::parse("").unwrap().after(1), None);
        assert!(RetryDelays::parse(&["1s"; 21].join(",")).is_err());
    }
}
