//! The promises, checked over what shoppers and the world outside were told and what stands in Postgres.

mod outside;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use reqwest::Client;
use sqlx::{Executor, PgPool};
use uuid::Uuid;

use crate::house::House;
use crate::load::{document, hear};
use crate::log::{Accepted, Lost, Told};
use crate::pace::Compared;

/// So many breaches of one promise are told.
const TOLD_MAX: usize = 5;

/// Notices whoever changes the row of a lane without being the newest decision on it. It writes down what it saw and
/// forbids nothing: the fence is to be tried, not helped. A charge raises a balance, and an operator a stock, beside the lane of orders.
const WATCH: &str = "
    create table watched_writes (what text not null);
    create function watch_write() returns trigger language plpgsql security definer as $$
      begin
        insert into watched_writes
        values (format('%s %s was changed at ticket %s, after %s', tg_table_name, to_jsonb(old), new.last_ticket,
                       old.last_ticket));
        return new;
      end
    $$;
    create trigger watched after update on coupons for each row
      when (new.last_ticket <= old.last_ticket) execute function watch_write();
    create trigger watched after update on products for each row
      when (new.last_ticket <= old.last_ticket and new.stocked = old.stocked) execute function watch_write();
    create trigger watched after update on users for each row
      when (new.last_ticket < old.last_ticket or new.last_ticket = old.last_ticket and new.balance <= old.balance) execute function watch_write();";

/// How Postgres and Redis say that a role or a user may not do what it tried.
const REFUSALS: [&str; 2] = ["permission denied", "NOPERM"];

/// What is told of a command that nobody can decide.
const UNDECIDABLE: &str = "X003";

/// From the time that a decision bears, which is that of its transaction's statement, to its commit.
const COMMITTED_WITHIN: Duration = Duration::from_secs(5);

/// What Postgres knows of a request.
#[derive(Debug, sqlx::FromRow)]
struct Decided {
    request_id: Uuid,
    /// `SUCCEEDED`, or a code.
    outcome: String,
    decided_at: DateTime<Utc>,
    /// Whether an order came of it: a repeat of an earlier one has its outcome, and no order of its own.
    is_order: bool,
}

/// What came of one promise.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The promise.
    pub promise: &'static str,
    /// On how many things it was tried.
    pub examined: usize,
    /// How many broke it.
    pub broken: usize,
    /// Some of them, in words.
    pub examples: Vec<String>,
}

impl Verdict {
    /// Of so many that were examined, these broke it.
    pub fn new(promise: &'static str, examined: usize, broken: Vec<String>) -> Verdict {
        let count = broken.len();
        Verdict { promise, examined, broken: count, examples: broken.into_iter().take(TOLD_MAX).collect() }
    }

    /// Whether it was kept, and tried at all.
    pub fn is_kept(&self) -> bool {
        self.broken == 0 && self.examined > 0
    }
}

/// Begins to watch who changes the rows of lanes. To be called when goods are there and nothing is sold yet.
///
/// # Errors
/// When Postgres fails.
pub async fn watch(pool: &PgPool) -> Result<()> {
    pool.execute(WATCH).await.context("watching the rows of lanes")?;
    Ok(())
}

/// What is looked at: the shop, what shoppers were told, and whether everybody had an outcome in time.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// The shop, with nothing wrong any more.
    pub house: &'a House,
    /// By key.
    pub told: BTreeMap<String, Told>,
    /// Whether all waiting ended within the time that is promised.
    pub in_time: bool,
    /// What waited for longer after a fault before.
    pub late: Vec<String>,
    /// Commands that still stand in line.
    pub waiting: u64,
    /// The pace beside faults of one lane.
    pub paces: Vec<Compared>,
}

impl Evidence<'_> {
    /// Checks every promise.
    ///
    /// # Errors
    /// When somebody cannot be asked; that says nothing of the promises.
    pub async fn check(&self) -> Result<Vec<Verdict>> {
        let audit = audit::audit(&self.house.pool).await.context("running the audit")?;
        let decided = self.decided().await?;
        let arrived = self.house.world.arrived();
        let of_audit = |promise: &'static str, names: &[&str]| {
            let checks: Vec<_> = audit.checks.iter().filter(|check| names.contains(&check.name)).collect();
            let broken = checks.iter().filter(|check| !check.ok);
            let broken = broken.map(|check| format!("{}: {} {:?}", check.name, check.violations, check.samples));
            let examined = checks.iter().map(|check| usize::try_from(check.examined).unwrap_or_default()).sum();
            Verdict::new(promise, examined, broken.collect())
        };
        let all: Vec<&str> = audit.checks.iter().map(|check| check.name).collect();
        let mut verdicts = vec![
            of_audit("I1 no oversell", &["coupon_quantity", "coupon_counter", "stock_counter"]),
            of_audit("I2 balance = ledger", &["balance_is_ledger", "ledger_chain"]),
            self.one_outcome(&decided),
            of_audit("I4 outcomes in ticket order", &["first_come", "fence"]),
            self.decided_in_order().await?,
            self.tickets_in_order(),
            self.nothing_waits(),
            self.only_the_newest_writes().await?,
            self.every_order_is_told().await?,
            self.the_order_system_heard_right(&arrived).await?,
            self.final_is_final().await?,
            of_audit("the audit", &all),
            self.nobody_needs_more_rights()?,
        ];
        // Promises that not every plan tries.
        let paces = &self.paces;
        let slow = paces.iter().filter(|pace| !pace.is_kept());
        let slow = slow.map(|Compared { fault, before, during, after }| {
            format!("{fault}: {during} a slice of time, {before} before and {after} after")
        });
        let tried = [
            Verdict::new("I8 who is not touched keeps the pace", paces.len(), slow.collect()),
            self.cards_are_charged_once(&arrived.ledger).await?,
            self.every_mail_is_sent(&arrived).await?,
        ];
        verdicts.extend(tried.into_iter().filter(|verdict| verdict.examined > 0));
        Ok(verdicts)
    }

    /// The programs have the rights that they have in earnest, whatever they do to come back from a fault.
    fn nobody_needs_more_rights(&self) -> Result<Verdict> {
        let (mut lines, mut broken) = (0, Vec::new());
        for log in self.house.logs() {
            let file = File::open(&log).with_context(|| format!("opening {}", log.display()))?;
            for line in BufReader::new(file).split(b'\n') {
                let line = line.with_context(|| format!("reading {}", log.display()))?;
                let line = String::from_utf8_lossy(&line);
                lines += 1;
                if REFUSALS.iter().any(|refusal| line.contains(refusal)) {
                    broken.push(line.into_owned());
                }
            }
        }
        Ok(Verdict::new("nobody is refused what it needs", lines, broken))
    }

    /// The outcomes in Postgres, by request.
    async fn decided(&self) -> Result<HashMap<Uuid, Decided>> {
        let rows: Vec<Decided> = sqlx::query_as(
            "select request_id, case status when 'SUCCEEDED' then status else outcome ->> 'code' end as outcome, decided_at,
                    exists (select from orders where order_id = request_id) as is_order
               from requests",
        )
        .fetch_all(&self.house.pool)
        .await
        .context("reading the outcomes")?;
        Ok(rows.into_iter().map(|decided| (decided.request_id, decided)).collect())
    }

    fn accepted(&self) -> impl Iterator<Item = (&String, &Told, Accepted)> {
        self.told.iter().filter_map(|(key, told)| Some((key, told, told.accepted?)))
    }

    fn one_outcome(&self, decided: &HashMap<Uuid, Decided>) -> Verdict {
        let mut broken = Vec::new();
        for (key, told, _) in self.accepted() {
            let ids: BTreeSet<Uuid> = told.ids.iter().map(|it| it.id).chain(told.lost.iter().map(|it| it.id)).collect();
            let of_key = || ids.iter().filter_map(|id| decided.get(id));
            let outcomes: BTreeSet<_> = of_key().map(|decided| &decided.outcome).collect();
            // A Redis that lost its data has lost the keys, too: Postgres still knows them, so the outcome stays the same.
            let may_change = |pair: &[Accepted]| self.house.losses.between(pair[0].sent, pair[1].told);
            let changed = told.ids.windows(2).any(|pair| pair[0].id != pair[1].id && !may_change(pair));
            if changed || outcomes.len() > 1 || of_key().filter(|decided| decided.is_order).count() > 1 {
                broken.push(format!("key {key} stands for {ids:?}, which are {:?}", of_key().collect::<Vec<_>>()));
            }
            for Lost { id, asked } in &told.lost {
                let known = decided.get(id).filter(|decided| decided.decided_at + COMMITTED_WITHIN < *asked);
                broken.extend(known.map(|known| format!("{known:?}, and was unknown at {asked}")));
            }
            // What was lost may have been sent again, under another id.
            let Some(id) = told.id() else { continue };
            match decided.get(&id) {
                None => broken.push(format!("{id} was accepted and never decided")),
                Some(Decided { outcome, .. }) => {
                    // What cannot be read is put into the line past the shoppers.
                    if outcome == UNDECIDABLE {
                        broken.push(format!("{id} is good, and was called undecidable"));
                    }
                    let other = told.outcomes.iter().find(|told| *told != outcome);
                    broken.extend(other.map(|other| format!("{id} is {outcome}, and was told to be {other}")));
                }
            }
        }
        for (key, told) in &self.told {
            broken.extend(told.surprises.iter().map(|what| format!("key {key}: {what}")));
        }
        Verdict::new("I3 one outcome for each 202, one id for each key", self.accepted().count(), broken)
    }

    /// In every lane, decisions come in the order of the tickets that shoppers were told.
    async fn decided_in_order(&self) -> Result<Verdict> {
        let told: HashMap<Uuid, u64> =
            self.told.values().flat_map(|told| &told.ids).map(|accepted| (accepted.id, accepted.ticket)).collect();
        let rows: Vec<(String, Uuid)> =
            sqlx::query_as("select lane, request_id from requests, unnest(lanes) as lane order by lane, decision")
                .fetch_all(&self.house.pool)
                .await
                .context("reading the decisions of each lane")?;
        let known: Vec<(&str, Uuid, u64)> =
            rows.iter().filter_map(|(lane, id)| Some((lane.as_str(), *id, *told.get(id)?))).collect();
        let broken = known.windows(2).filter_map(|pair| match pair {
            [(lane, before, higher), (other, id, lower)] if lane == other && higher >= lower => {
                Some(format!("{lane}: {before} with ticket {higher} was decided before {id} with {lower}"))
            }
            _ => None,
        });
        Ok(Verdict::new("I4 decided in the order that was told", known.len(), broken.collect()))
    }

    /// Whoever was told of a ticket before somebody else began to send has the lower one.
    fn tickets_in_order(&self) -> Verdict {
        let mut broken = Vec::new();
        let mut by_group: BTreeMap<&str, Vec<Accepted>> = BTreeMap::new();
        for (_, told, accepted) in self.accepted() {
            by_group.entry(told.group).or_default().push(accepted);
        }
        for accepted in by_group.values() {
            let mut by_told = accepted.clone();
            by_told.sort_by_key(|accepted| accepted.told);
            let mut by_sent: Vec<&Accepted> = accepted.iter().collect();
            by_sent.sort_by_key(|accepted| accepted.sent);
            let mut earlier = by_told.iter().peekable();
            let mut highest: Option<Accepted> = None;
            for later in by_sent {
                while let Some(before) = earlier.next_if(|before| before.told < later.sent) {
                    if highest.is_none_or(|highest| highest.ticket < before.ticket) {
                        highest = Some(*before);
                    }
                }
                if let Some(before) = highest.filter(|before| before.ticket > later.ticket && !later.was_sent_before) {
                    broken.push(format!(
                        "{} had ticket {}, before {} was sent, which had {}",
                        before.id, before.ticket, later.id, later.ticket
                    ));
                }
            }
        }
        Verdict::new("I4 tickets in the order of arrival", self.accepted().count(), broken)
    }

    fn nothing_waits(&self) -> Verdict {
        let mut broken = self.late.clone();
        if !self.in_time {
            let open = self.told.values().filter(|told| !told.has_ended());
            broken.push(format!("{} shoppers waited longer than was promised", open.count()));
        }
        if self.waiting > 0 {
            broken.push(format!("{} commands still stand in line", self.waiting));
        }
        Verdict::new("I5 nothing waits for ever", self.told.len(), broken)
    }

    async fn only_the_newest_writes(&self) -> Result<Verdict> {
        let seen: Vec<String> = sqlx::query_scalar("select what from watched_writes")
            .fetch_all(&self.house.pool)
            .await
            .context("reading what was watched")?;
        Ok(Verdict::new("I6 no row changes after another has decided", self.accepted().count(), seen))
    }

    /// Asks again for every outcome that was told.
    async fn final_is_final(&self) -> Result<Verdict> {
        let client = Client::new();
        let mut broken = Vec::new();
        let mut examined = 0;
        for (number, (_, told, _)) in self.accepted().enumerate() {
            let (Some(first), Some(id)) = (told.outcomes.first(), told.id()) else { continue };
            examined += 1;
            let door = &self.house.doors[number % self.house.doors.len()];
            let heard = hear(client.get(format!("{door}/api/requests/{id}")).send().await).await;
            match document(heard.with_context(|| format!("asking again for {id}"))?) {
                Ok(Some(now)) if now.outcome == *first => {}
                Ok(now) => broken.push(format!("{id} was {first}, and is {now:?}")),
                Err(what) => broken.push(format!("{id} was {first}: {what}")),
            }
        }
        Ok(Verdict::new("I9 a final status never changes", examined, broken))
    }
}
