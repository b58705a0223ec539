//! Telling admins what went wrong. An alert is a row, written in the transaction that found it out; the same rows say how
//! far it has come on each way. It is sent at least once, however long that takes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use reqwest::header::HeaderMap;
use runtime::config::{AlertArgs, SyncArgs};
use runtime::metrics::{self, alert_kind};
use runtime::postgres::Transaction;
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::clients::http::Target;
use crate::clients::mail::{Mail, Mailer};

/// How long sending one alert may take.
const SEND_MAX: Duration = Duration::from_secs(10);

/// How long a claim outlasts it.
const CLAIM_MARGIN: Duration = Duration::from_secs(20);

/// The pause after the first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// The longest pause: an alert that nobody gets for an hour is worth another attempt.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// Alerts that one sweep sends on one way.
const SENT_TOGETHER_MAX: i64 = 20;

/// Only alerts that are not older get a way that was configured after them: what is older was seen otherwise.
const NEW_FOR_HOURS: i32 = 24;

const WEBHOOK: &str = "webhook";
const MAIL: &str = "mail";

/// What an admin must hear of.
#[derive(Debug)]
pub(crate) struct Alert {
    kind: &'static str,
    text: String,
    details: Value,
}

impl Alert {
    /// An order that the order system did not take, however often it was tried.
    pub(crate) fn sync_failed(order_id: Uuid, attempts: i32, last_error: String) -> Alert {
        let text = format!(
            "Order {order_id} could not be sent to the order system in {attempts} attempts; the last one {last_error}. \
             The order itself is good. Mend the cause, then retry or resolve it at the sync desk."
        );
        let details = json!({"orderId": order_id, "attempts": attempts, "lastError": last_error});
        Alert { kind: alert_kind::ORDER_SYNC_FAILED, text, details }
    }
}

/// Writes an alert in the transaction that found it out.
///
/// # Errors
/// When Postgres fails.
pub(crate) async fn raise(transaction: &mut Transaction, alert: Alert) -> anyhow::Result<()> {
    sqlx::query("insert into alerts (alert_id, kind, text, details) values ($1, $2, $3, $4)")
        .bind(Uuid::now_v7())
        .bind(alert.kind)
        .bind(&alert.text)
        .bind(&alert.details)
        .execute(&mut **transaction)
        .await
        .context("raising an alert")?;
    metrics::alerts_raised(alert.kind).increment(1);
    tracing::error!("{}", alert.text);
    Ok(())
}

/// Ends the alerts of orders that the order system has taken after all.
///
/// # Errors
/// When Postgres fails.
pub(crate) async fn resolve_orders(transaction: &mut Transaction, orders: &[Uuid]) -> anyhow::Result<()> {
    sqlx::query(
        "update alerts
            set resolved_at = clock_timestamp()
          where kind = $1 and resolved_at is null and details ->> 'orderId' = any($2)",
    )
    .bind(alert_kind::ORDER_SYNC_FAILED)
    .bind(orders.iter().map(Uuid::to_string).collect::<Vec<_>>())
    .execute(&mut **transaction)
    .await
    .context("resolving alerts")?;
    Ok(())
}

/// Sends alerts on the ways that are configured. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Alerts(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pool: PgPool,
    webhook: Option<Target>,
    mail: Option<(Mailer, String)>,
}

/// An alert that is ours to send for a while.
#[derive(sqlx::FromRow)]
struct Claimed {
    alert_id: Uuid,
    attempts: i32,
    kind: String,
    text: String,
    details: Value,
}

impl Alerts {
    /// The ways as they are configured.
    ///
    /// # Errors
    /// A sentence that names the variable that cannot work.
    pub(crate) fn new(
        args: &AlertArgs,
        sync: &SyncArgs,
        pool: PgPool,
        mailer: Option<Mailer>,
    ) -> anyhow::Result<Alerts> {
        let url = args.alert_webhook_url.as_ref().map(|url| url.expose()).filter(|url| !url.is_empty());
        let webhook = url.map(|url| Target::new(url, SEND_MAX, sync.allow_private_http_targets)).transpose();
        let address = args.alert_email.clone().filter(|address| !address.is_empty());
        let mail = match (mailer, address) {
            (Some(mailer), Some(address)) => Some((mailer, address)),
            (None, Some(_)) => anyhow::bail!("ALERT_EMAIL needs SMTP_URL"),
            (_, None) => None,
        };
        Ok(Alerts(Arc::new(Shared { pool, webhook: webhook.context("ALERT_WEBHOOK_URL")?, mail })))
    }

    /// Sends every alert that is due.
    ///
    /// # Errors
    /// When Postgres fails. What was claimed and not sent is due again when its claim has run out.
    pub async fn sweep(&self) -> anyhow::Result<()> {
        if let Some(webhook) = &self.0.webhook {
            self.add_new(WEBHOOK).await?;
            for alert in self.claim_due(WEBHOOK).await? {
                let attempt = webhook.post(body_of(&alert), HeaderMap::new()).await;
                self.note(&alert, WEBHOOK, attempt.error).await?;
            }
        }
        if let Some((mailer, address)) = &self.0.mail {
            self.add_new(MAIL).await?;
            for alert in self.claim_due(MAIL).await? {
                let id = alert.alert_id.to_string();
                let mail = Mail { id: &id, to: address, subject: &subject_of(&alert), text: &alert.text };
                let error = mailer.send(mail).await.err().map(|error| error.in_words().to_owned());
                self.note(&alert, MAIL, error).await?;
            }
        }
        Ok(())
    }

    async fn add_new(&self, channel: &str) -> anyhow::Result<()> {
        sqlx::query(
            "insert into alert_deliveries (alert_id, channel)
             select alert_id, $1
               from alerts
              where raised_at > now() - make_interval(hours => $2)
             on conflict do nothing",
        )
        .bind(channel)
        .bind(NEW_FOR_HOURS)
        .execute(&self.0.pool)
        .await
        .context("looking for new alerts")?;
        Ok(())
    }

    async fn claim_due(&self, channel: &str) -> anyhow::Result<Vec<Claimed>> {
        sqlx::query_as(
            "with due as (
               select alert_id
                 from alert_deliveries
                where channel = $1
                  and delivered_at is null
                  and next_attempt_at <= clock_timestamp()
                  and (claimed_until is null or claimed_until <= clock_timestamp())
                order by next_attempt_at
                limit $2
                  for update skip locked
             ),
             claimed as (
               update alert_deliveries
                  set claimed_until = clock_timestamp() + make_interval(secs => $3)
                 from due
                where alert_deliveries.alert_id = due.alert_id and channel = $1
               returning alert_deliveries.alert_id, attempts
             )
             select alert_id, attempts, kind, text, details from claimed join alerts using (alert_id)",
        )
        .bind(channel)
        .bind(SENT_TOGETHER_MAX)
        .bind((SEND_MAX * u32::try_from(SENT_TOGETHER_MAX).unwrap_or(u32::MAX) + CLAIM_MARGIN).as_secs_f64())
        .fetch_all(&self.0.pool)
        .await
        .context("claiming alerts that are due")
    }

    async fn note(&self, alert: &Claimed, channel: &str, error: Option<String>) -> anyhow::Result<()> {
        sqlx::query(
            "update alert_deliveries
                set attempts = attempts + 1,
                    claimed_until = null,
                    last_error = $3,
                    delivered_at = case when $3 is null then clock_timestamp() end,
                    next_attempt_at = clock_timestamp() + make_interval(secs => $4)
              where alert_id = $1 and channel = $2 and delivered_at is null",
        )
        .bind(alert.alert_id)
        .bind(channel)
        .bind(&error)
        .bind(pause_after(alert.attempts).as_secs_f64())
        .execute(&self.0.pool)
        .await
        .context("noting what came of an alert")?;
        if let Some(error) = error {
            tracing::warn!("alert {} could not be sent by {channel}, and will be tried again: {error}", alert.alert_id);
        }
        Ok(())
    }
}

/// `{text, …}` with the details of its kind beside it.
fn body_of(alert: &Claimed) -> String {
    let mut body = Map::new();
    body.insert("text".to_owned(), alert.text.clone().into());
    if let Value::Object(details) = &alert.details {
        body.extend(details.clone());
    }
    Value::Object(body).to_string()
}

/// One line that names the order, if it is about one.
fn subject_of(alert: &Claimed) -> String {
    match alert.details.get("orderId").and_then(Value::as_str) {
        Some(order) => format!("[Droplane] {} {order}", alert.kind),
        None => format!("[Droplane] {}", alert.kind),
    }
}

fn pause_after(failures_before: i32) -> Duration {
    let doublings = u32::try_from(failures_before).unwrap_or(0).min(20);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour() {
        let seconds = [0, 1, 2, 9, 10, 1_000].map(|failures| pause_after(failures).as_secs());
        assert_eq!(seconds, [5, 10, 20, 2_560, 3_600, 3_600]);
    }
}
