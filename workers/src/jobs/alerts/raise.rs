//! Writing down what went wrong, and that it is over.

use anyhow::Context;
use runtime::metrics::{self, alert_kind};
use runtime::postgres::Transaction;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

/// What an admin must hear of.
#[derive(Debug)]
pub(crate) struct Alert {
    kind: &'static str,
    text: String,
    details: Value,
}

impl Alert {
    /// Counts it and tells the log, once it is committed.
    pub(crate) fn told(&self) {
        metrics::alerts_raised(self.kind).increment(1);
        tracing::error!("{}", self.text);
    }

    /// An order that the order system did not take, however often it was tried.
    pub(crate) fn sync_failed(order_id: Uuid, attempts: i32, last_error: String) -> Alert {
        let text = format!(
            "Order {order_id} could not be sent to the order system in {attempts} attempts; the last one {last_error}. \
             The order itself is good. Mend the cause, then retry or resolve it at the sync desk."
        );
        let details = json!({"orderId": order_id, "attempts": attempts, "lastError": last_error});
        Alert { kind: alert_kind::ORDER_SYNC_FAILED, text, details }
    }

    /// A charge of which nobody knows whether its money was taken, however often the gateway was asked.
    pub(crate) fn charge_unsettled(charge_id: Uuid, user_id: &str, amount: i64, last_error: Option<&str>) -> Alert {
        let last_error = last_error.unwrap_or("said nothing");
        let text = format!(
            "Nobody knows whether the {amount} won of charge {charge_id} of {user_id} were taken: the gateway {last_error}, and \
             may have forgotten the charge by now. Look for its chargeId in the gateway's own records, then resolve it."
        );
        let details = json!({"chargeId": charge_id, "userId": user_id, "amount": amount, "lastError": last_error});
        Alert { kind: alert_kind::CHARGE_UNSETTLED, text, details }
    }

    /// The gateway says something else of a charge than what it was settled as.
    pub(crate) fn charge_contradicted(charge_id: Uuid, settled_as: &str, said: &str) -> Alert {
        let text = format!(
            "Charge {charge_id} was settled as {settled_as}, and the gateway says now: {said}. Look for its chargeId in the \
             gateway's own records, and give back or collect the money."
        );
        let details = json!({"chargeId": charge_id, "settledAs": settled_as, "said": said});
        Alert { kind: alert_kind::CHARGE_CONTRADICTED, text, details }
    }
}

/// Writes an alert in the transaction that found it out.
///
/// # Errors
/// When Postgres fails.
pub(crate) async fn raise(transaction: &mut Transaction, alert: &Alert) -> anyhow::Result<()> {
    sqlx::query("insert into alerts (alert_id, kind, text, details) values ($1, $2, $3, $4)")
        .bind(Uuid::now_v7())
        .bind(alert.kind)
        .bind(&alert.text)
        .bind(&alert.details)
        .execute(&mut **transaction)
        .await
        .context("raising an alert")?;
    Ok(())
}

/// Writes an alert of a charge, unless there is one of its kind already; says whether it was written.
///
/// # Errors
/// When Postgres fails.
pub(crate) async fn raise_once(connection: &mut PgConnection, alert: &Alert) -> Result<bool, sqlx::Error> {
    let raised = sqlx::query(
        "insert into alerts (alert_id, kind, text, details)
         select $1, $2, $3, $4
          where not exists (select from alerts where kind = $2 and details ->> 'chargeId' = $4 ->> 'chargeId')",
    )
    .bind(Uuid::now_v7())
    .bind(alert.kind)
    .bind(&alert.text)
    .bind(&alert.details)
    .execute(connection)
    .await?;
    Ok(raised.rows_affected() == 1)
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

/// Ends the alert of a charge that is settled after all.
///
/// # Errors
/// When Postgres fails.
pub(crate) async fn resolve_charge(connection: &mut PgConnection, charge_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update alerts
            set resolved_at = clock_timestamp()
          where kind = $1 and resolved_at is null and details ->> 'chargeId' = $2",
    )
    .bind(alert_kind::CHARGE_UNSETTLED)
    .bind(charge_id.to_string())
    .execute(connection)
    .await?;
    Ok(())
}
