//! Telling admins what went wrong. An alert is a row, written in the transaction that found it out; the same rows say how
//! far it has come on each way. It is sent at least once, however long that takes.

mod raise;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use runtime::config::AlertArgs;
use runtime::metrics::{self, alert_kind};
use runtime::postgres::alone;
use serde_json::{Map, Value};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{answered, doubled, noted};
use crate::clients::http::Target;
use crate::clients::mail::{Mail, Mailer};

pub(crate) use raise::{Alert, raise, raise_once, resolve_charge, resolve_orders};

/// How long the webhook may take for one alert.
const SEND_MAX: Duration = Duration::from_secs(10);

/// A sweep begins no other alert after this; the next one goes on.
const SWEEP_MAX: Duration = Duration::from_secs(60);

/// How long a claim lasts: longer than a sweep with an alert that takes long at its end, as a mail does whose server is asked
/// twice whether it is there.
const CLAIM: Duration = Duration::from_secs(180);

/// The pause after the first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// The longest pause: an alert that nobody gets for an hour is worth another attempt.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// Alerts that one sweep sends on one way.
const SENT_TOGETHER_MAX: i64 = 20;

/// Alerts that one sweep adds to one way.
const ADDED_TOGETHER_MAX: i64 = 1_000;

/// Only alerts that are not older get a way that was configured after them: what is older was seen otherwise.
const NEW_FOR_DAYS: i32 = 7;

const WEBHOOK: &str = "webhook";
const MAIL: &str = "mail";

/// Sends alerts on the ways that are configured. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Alerts(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pool: PgPool,
    webhook: Option<Target>,
    mail: Option<(Mailer, String)>,
    shutdown: CancellationToken,
}

/// An alert that is ours to send for a while.
#[derive(sqlx::FromRow)]
struct Claimed {
    alert_id: Uuid,
    /// Until when it is ours; the next claim has another end.
    claimed_until: DateTime<Utc>,
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
        allow_private_http: bool,
        pool: PgPool,
        mailer: Option<Mailer>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Alerts> {
        let url = args.alert_webhook_url.as_ref().map(|url| url.expose()).filter(|url| !url.is_empty());
        let webhook = url.map(|url| Target::new(url, SEND_MAX, allow_private_http)).transpose();
        let address = args.alert_email.clone().filter(|address| !address.is_empty());
        let mail = match (mailer, address) {
            (Some(mailer), Some(address)) => Some((mailer, address)),
            (None, Some(_)) => anyhow::bail!("ALERT_EMAIL needs SMTP_URL"),
            (_, None) => None,
        };
        let webhook = webhook.context("ALERT_WEBHOOK_URL")?;
        Ok(Alerts(Arc::new(Shared { pool, webhook, mail, shutdown })))
    }

    /// Sends every alert that is due.
    ///
    /// # Errors
    /// When Postgres fails. What was claimed and not sent is due again when its claim has run out.
    pub async fn sweep(&self) -> anyhow::Result<()> {
        answered(self.show_open()).await?;
        // Side by side: a way that hangs must not hold up the other one.
        let (by_webhook, by_mail) = tokio::join!(self.sweep_way(WEBHOOK), self.sweep_way(MAIL));
        by_webhook.and(by_mail)
    }

    fn is_configured(&self, channel: &str) -> bool {
        if channel == WEBHOOK { self.0.webhook.is_some() } else { self.0.mail.is_some() }
    }

    /// Says in metrics what is open, and whether everybody was told of it.
    async fn show_open(&self) -> anyhow::Result<()> {
        let channels = [WEBHOOK, MAIL].into_iter().filter(|channel| self.is_configured(channel));
        let channels: Vec<&str> = channels.collect();
        let open: Vec<(String, i64)> =
            sqlx::query_as("select kind, count(*) from alerts where resolved_at is null group by kind")
                .fetch_all(&self.0.pool)
                .await
                .context("counting open alerts")?;
        for kind in alert_kind::ALL {
            let count = open.iter().find(|(open, _)| open == kind).map_or(0, |(_, count)| *count);
            metrics::alerts_open(kind).set(count as f64);
        }
        let undelivered_seconds: f64 = sqlx::query_scalar(
            "select coalesce(greatest(0, extract(epoch from clock_timestamp() - case
                      -- without a way nobody is told of anything
                      when cardinality($1::text[]) = 0
                      then (select min(raised_at) from alerts where resolved_at is null)
                      else (select min(raised_at)
                              from alert_deliveries
                              join alerts using (alert_id)
                             where delivered_at is null and channel = any($1))
                    end)), 0)::float8",
        )
        .bind(&channels)
        .fetch_one(&self.0.pool)
        .await
        .context("looking for alerts that are to go out")?;
        metrics::alerts_undelivered_seconds().set(undelivered_seconds);
        Ok(())
    }

    async fn sweep_way(&self, channel: &str) -> anyhow::Result<()> {
        if !self.is_configured(channel) {
            return Ok(());
        }
        let began = Instant::now();
        answered(self.add_new(channel)).await?;
        let claimed = answered(self.claim_due(channel)).await?;
        for alert in &claimed {
            // What has been begun is finished: an alert that is cut off is sent twice.
            if began.elapsed() > SWEEP_MAX || self.0.shutdown.is_cancelled() {
                break;
            }
            let error = if channel == WEBHOOK { self.post(alert).await } else { self.mail(alert).await };
            noted(|| self.note(alert, channel, error.as_deref())).await?;
        }
        answered(self.give_back(&claimed, channel)).await
    }

    /// Why the webhook did not take it; none: it did.
    async fn post(&self, alert: &Claimed) -> Option<String> {
        let webhook = self.0.webhook.as_ref()?;
        webhook.post(body_of(alert), HeaderMap::new()).await.error
    }

    /// Why it could not be mailed; none: it was.
    async fn mail(&self, alert: &Claimed) -> Option<String> {
        let (mailer, address) = self.0.mail.as_ref()?;
        let id = alert.alert_id.to_string();
        let mail = Mail { id: &id, to: address, subject: &subject_of(alert), text: &alert.text };
        mailer.send(mail).await.err().map(|error| error.in_words().to_owned())
    }

    /// Those that were not sent are due again at once, unless somebody else has claimed them.
    async fn give_back(&self, claimed: &[Claimed], channel: &str) -> anyhow::Result<()> {
        if claimed.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "update alert_deliveries
                set claimed_until = null
              where alert_id = any($1) and channel = $2 and claimed_until = $3",
        )
        .bind(claimed.iter().map(|alert| alert.alert_id).collect::<Vec<_>>())
        .bind(channel)
        .bind(claimed.first().map(|alert| alert.claimed_until))
        .execute(alone(&self.0.pool))
        .await
        .context("giving alerts back")?;
        Ok(())
    }

    async fn add_new(&self, channel: &str) -> anyhow::Result<()> {
        sqlx::query(
            "insert into alert_deliveries (alert_id, channel)
             select alert_id, $1
               from alerts
              where raised_at > now() - make_interval(days => $2)
                and not exists (select
                                  from alert_deliveries as known
                                 where known.alert_id = alerts.alert_id and known.channel = $1)
              order by raised_at
              limit $3
             on conflict do nothing",
        )
        .bind(channel)
        .bind(NEW_FOR_DAYS)
        .bind(ADDED_TOGETHER_MAX)
        .execute(alone(&self.0.pool))
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
                  and next_attempt_at <= now()
                  and (claimed_until is null or claimed_until <= now())
                order by next_attempt_at
                limit $2
                  for update skip locked
             ),
             claimed as (
               update alert_deliveries
                  set claimed_until = now() + make_interval(secs => $3)
                 from due
                where alert_deliveries.alert_id = due.alert_id and channel = $1
               returning alert_deliveries.alert_id, claimed_until, attempts
             )
             select alert_id, claimed_until, attempts, kind, text, details from claimed join alerts using (alert_id)",
        )
        .bind(channel)
        .bind(SENT_TOGETHER_MAX)
        .bind(CLAIM.as_secs_f64())
        .fetch_all(alone(&self.0.pool))
        .await
        .context("claiming alerts that are due")
    }

    /// When our claim has run out, somebody else may be sending it or have sent it: then it only counts that it was taken.
    async fn note(&self, alert: &Claimed, channel: &str, error: Option<&str>) -> anyhow::Result<()> {
        sqlx::query(
            "update alert_deliveries
                set attempts = attempts + 1,
                    claimed_until = null,
                    last_error = $3,
                    delivered_at = case when $3 is null then clock_timestamp() end,
                    next_attempt_at = clock_timestamp() + make_interval(secs => $4)
              where alert_id = $1 and channel = $2 and delivered_at is null
                and ($3 is null or claimed_until = $5)",
        )
        .bind(alert.alert_id)
        .bind(channel)
        .bind(error)
        .bind(doubled(FIRST_PAUSE, alert.attempts, LONGEST_PAUSE).as_secs_f64())
        .bind(alert.claimed_until)
        .execute(alone(&self.0.pool))
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
