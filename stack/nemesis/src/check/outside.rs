//! What the world outside was told, by its own record: it keeps everything that arrives, with its answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context, Result, ensure};
use sandbox::{Arrived, Order, Signature, Taken};
use uuid::Uuid;

use super::{Evidence, Verdict};

/// What HTTP servers and mail servers say when they have taken something.
const TAKEN: u16 = 200;
const MAIL_TAKEN: u16 = 250;

impl Evidence<'_> {
    pub(super) async fn every_order_is_told(&self) -> Result<Verdict> {
        let rows: Vec<(Uuid, bool, i64)> = sqlx::query_as(
            "select order_id, synced_at is not null,
                    (select count(*) from alerts where details ->> 'orderId' = orders.order_id::text)
               from orders
               left join order_syncs using (order_id)",
        )
        .fetch_all(&self.house.pool)
        .await
        .context("reading what was told of orders")?;
        let broken = rows.iter().filter(|(_, synced, alerts)| *alerts > 1 || !synced && *alerts != 1);
        let broken =
            broken.map(|(id, synced, alerts)| format!("order {id}: sent {synced}, and alerted {alerts} times"));
        Ok(Verdict::new("I7 every order is sent, or alerted once", rows.len(), broken.collect()))
    }

    /// What the gateway took is what was credited: the money of each charge that succeeded, once, and no other.
    pub(super) async fn cards_are_charged_once(&self, ledger: &[Taken]) -> Result<Verdict> {
        let rows: Vec<(Uuid, i64, String)> =
            sqlx::query_as("select charge_id, amount, status from charges where repeat_of is null")
                .fetch_all(&self.house.pool)
                .await
                .context("reading charges")?;
        let mut taken: HashMap<Uuid, Vec<i64>> = HashMap::new();
        for entry in ledger {
            let id =
                entry.charge_id.as_ref().and_then(|id| id.parse().ok()).context("money was taken for no charge")?;
            taken.entry(id).or_default().push(entry.amount);
        }
        let mut broken = Vec::new();
        for (id, amount, status) in &rows {
            let amounts = taken.remove(id).unwrap_or_default();
            let meant: &[i64] = if status == "SUCCEEDED" { &[*amount] } else { &[] };
            if status == "PENDING" || amounts != meant {
                broken.push(format!("charge {id} over {amount} won is {status}, and the gateway took {amounts:?}"));
            }
        }
        broken.extend(
            taken.iter().map(|(id, amounts)| format!("the gateway took {amounts:?} for {id}, which is no charge")),
        );
        Ok(Verdict::new("I7 a card is charged once, and the money credited", rows.len(), broken))
    }

    /// Every attempt was one to tell of an order that there is, with the same words as before, and signed; and the order system
    /// has taken what we say that it took.
    pub(super) async fn the_order_system_heard_right(&self, arrived: &Arrived) -> Result<Verdict> {
        ensure!(arrived.orders.len() as u64 == arrived.totals.orders, "the order system has forgotten what arrived");
        let rows: Vec<(String, bool)> = sqlx::query_as(
            "select order_id::text, synced_at is not null from orders left join order_syncs using (order_id)",
        )
        .fetch_all(&self.house.pool)
        .await
        .context("reading orders")?;
        let mut heard: BTreeMap<&str, Vec<&Order>> = BTreeMap::new();
        let mut broken = Vec::new();
        for order in &arrived.orders {
            // A clock that is wrong makes a good signature stale.
            if !matches!(order.signature, Signature::Good | Signature::Stale) {
                broken.push(format!("the signature of {} is {:?}", order.body, order.signature));
            }
            heard.entry(order.webhook_id.as_deref().unwrap_or_default()).or_default().push(order);
        }
        for (id, is_synced) in &rows {
            let attempts = heard.remove(id.as_str()).unwrap_or_default();
            let names_it = |order: &&Order| order.json()["orderId"] == id.as_str();
            if !attempts.windows(2).all(|pair| pair[0].body == pair[1].body) || !attempts.iter().all(names_it) {
                broken.push(format!("order {id} was told of as {attempts:?}"));
            }
            if *is_synced && !attempts.iter().any(|order| order.answer == Some(TAKEN)) {
                broken.push(format!("order {id} was never taken: {attempts:?}"));
            }
        }
        broken.extend(heard.iter().map(|(id, attempts)| format!("{id} is no order, and was told of: {attempts:?}")));
        Ok(Verdict::new("I7 the order system heard of every order, and of no other", arrived.orders.len(), broken))
    }

    /// Mails and alerts that wait are none, and those that were sent were taken.
    pub(super) async fn every_mail_is_sent(&self, arrived: &Arrived) -> Result<Verdict> {
        ensure!(arrived.mails.len() as u64 == arrived.totals.mails, "the mail server has forgotten what arrived");
        ensure!(arrived.alerts.len() as u64 == arrived.totals.alerts, "who hears of alerts has forgotten what arrived");
        let rows: Vec<(String, bool, String)> = sqlx::query_as(
            "select 'mail', sent_at is not null, mail_id::text from mails
              union all
             select 'nobody wrote', false, 'to ' || email || ', for ' || product_id from restock_registrations
              union all
             select coalesce(channel, 'no way'), delivered_at is not null, case channel when 'mail' then alert_id::text else text end
               from alerts
               left join alert_deliveries using (alert_id)",
        )
        .fetch_all(&self.house.pool)
        .await
        .context("reading mails")?;
        let mails = arrived.mails.iter().filter(|mail| mail.answer == Some(MAIL_TAKEN));
        let mails: BTreeSet<&str> = mails.filter_map(|mail| Some(mail.message_id.split_once('@')?.0)).collect();
        let alerts: BTreeSet<String> = arrived
            .alerts
            .iter()
            .filter(|alert| alert.answer == Some(TAKEN))
            .filter_map(|alert| Some(alert.json()["text"].as_str()?.to_owned()))
            .collect();
        let mut broken = Vec::new();
        for (way, is_sent, what) in &rows {
            let was_taken = if way == "mail" { mails.contains(what.as_str()) } else { alerts.contains(what) };
            if !is_sent || !was_taken {
                broken.push(format!("{way}: {what} was sent {is_sent}, and taken {was_taken}"));
            }
        }
        Ok(Verdict::new("I7 every mail and every alert is sent, and taken", rows.len(), broken))
    }
}
