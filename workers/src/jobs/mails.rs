//! Writing the mails of products that are back, and sending all mails in their order. One worker at a time sends, so that
//! who registered first hears first. A mail server that is away delays them all and loses none; a mail may come twice if
//! the connection broke at its end, with the same Message-ID.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, Utc};
use runtime::postgres::{Timeouts, Transaction, alone, begin};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{answered, doubled, noted};
use crate::clients::mail::{Mail, MailError, Mailer};

/// Registrations that one transaction turns into mails.
const WRITTEN_TOGETHER_MAX: i64 = 1_000;

/// Mails that are claimed and sent in one go.
const SENT_TOGETHER_MAX: i64 = 50;

/// How long a claim lasts: longer than a sweep with a mail that takes long at its end, and the question, asked twice,
/// whether the server is there.
const CLAIM: Duration = Duration::from_secs(180);

/// A sweep begins no other mail after this; the next one goes on.
const SWEEP_MAX: Duration = Duration::from_secs(60);

/// The pause before a mail is tried again that the server did not take; each further attempt doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(60);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3_600);

/// Attempts after which a mail is given up: with these pauses, after three days. A server that is set up wrongly for some
/// hours must not cost a mail.
const ATTEMPTS_MAX: i32 = 20;

/// The locks under which mails are written and claimed; any numbers that nobody else uses.
const WRITE_LOCK: i64 = 0x006d_6169_6c01;
const CLAIM_LOCK: i64 = 0x006d_6169_6c02;

/// Mails that are on their way. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Mails(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pool: PgPool,
    mailer: Option<Mailer>,
    shutdown: CancellationToken,
}

#[derive(sqlx::FromRow)]
struct Claimed {
    mail_id: Uuid,
    /// Until when it is ours; the next claim has another end.
    claimed_until: DateTime<Utc>,
    attempts: i32,
    recipient: String,
    subject: String,
    body: String,
}

impl Mails {
    /// Without a mailer mails wait until there is one.
    pub(crate) fn new(pool: PgPool, mailer: Option<Mailer>, shutdown: CancellationToken) -> Mails {
        Mails(Arc::new(Shared { pool, mailer, shutdown }))
    }

    /// Writes the mails of products that are back, and sends those that wait.
    ///
    /// # Errors
    /// When Postgres fails, or the mail server cannot be reached; then all mails wait for the next sweep.
    pub async fn sweep(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        while !self.is_over(began) && answered(self.write_some()).await? {}
        let Some(mailer) = &self.0.mailer else {
            return Ok(());
        };
        while !self.is_over(began) {
            let claimed = answered(self.claim()).await?;
            if claimed.is_empty() {
                break;
            }
            let sent = self.send_all(mailer, &claimed, began).await;
            answered(self.give_back(&claimed)).await?;
            sent?;
        }
        Ok(())
    }

    /// Whether nothing more should be begun. What has been begun is finished: a mail that is cut off is sent twice.
    fn is_over(&self, began: Instant) -> bool {
        began.elapsed() > SWEEP_MAX || self.0.shutdown.is_cancelled()
    }

    /// Turns the next registrations of the oldest product that is back into mails, in their order; false when there are
    /// none.
    async fn write_some(&self) -> anyhow::Result<bool> {
        let mut transaction = begin(&self.0.pool, Timeouts::CHANGE).await.context("beginning to write mails")?;
        if !try_lock(&mut transaction, WRITE_LOCK).await? {
            return Ok(false);
        }
        let restock: Option<(i64, String, i64, String)> = sqlx::query_as(
            "select restock_id, product_id, up_to_entry, name
               from restocks
               join products using (product_id)
              order by restock_id
              limit 1",
        )
        .fetch_optional(&mut *transaction)
        .await
        .context("looking for products that are back")?;
        let Some((restock_id, product_id, up_to_entry, name)) = restock else {
            return Ok(false);
        };
        let recipients: Vec<String> = sqlx::query_scalar(
            "with next as (
               select product_id, email, entry
                 from restock_registrations
                where product_id = $1 and entry <= $2
                order by entry
                limit $3
             ),
             gone as (
               delete from restock_registrations as registered
                using next
                where registered.product_id = next.product_id and registered.email = next.email
               returning registered.email, registered.entry
             )
             select email from gone order by entry",
        )
        .bind(&product_id)
        .bind(up_to_entry)
        .bind(WRITTEN_TOGETHER_MAX)
        .fetch_all(&mut *transaction)
        .await
        .context("taking registrations")?;
        if recipients.is_empty() {
            sqlx::query("delete from restocks where restock_id = $1")
                .bind(restock_id)
                .execute(&mut *transaction)
                .await
                .context("ending a restock")?;
        } else {
            let (subject, body) = restock_text(&name);
            sqlx::query(
                "insert into mails (mail_id, recipient, subject, body)
                 select mail_id, recipient, $3, $4
                   from unnest($1::uuid[], $2::text[]) with ordinality as written (mail_id, recipient, number)
                  order by number",
            )
            .bind(recipients.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
            .bind(&recipients)
            .bind(subject)
            .bind(body)
            .execute(&mut *transaction)
            .await
            .context("writing mails")?;
        }
        transaction.commit().await.context("committing mails")?;
        Ok(true)
    }

    /// The next mails; none while somebody else is sending.
    async fn claim(&self) -> anyhow::Result<Vec<Claimed>> {
        let mut transaction = begin(&self.0.pool, Timeouts::CHANGE).await.context("beginning to claim mails")?;
        if !try_lock(&mut transaction, CLAIM_LOCK).await? {
            return Ok(Vec::new());
        }
        let mut claimed: Vec<Row> = sqlx::query_as(
            "update mails
                set claimed_until = now() + make_interval(secs => $1)
              where mail_id in (
                      select mail_id
                        from mails
                       where sent_at is null and refused_at is null and next_attempt_at <= clock_timestamp()
                       order by entry
                       limit $2)
                and not exists (select
                                  from mails as others
                                 where sent_at is null and refused_at is null
                                   and others.claimed_until > clock_timestamp())
             returning entry, mail_id, claimed_until, attempts, recipient, subject, body",
        )
        .bind(CLAIM.as_secs_f64())
        .bind(SENT_TOGETHER_MAX)
        .fetch_all(&mut *transaction)
        .await
        .context("claiming mails")?;
        transaction.commit().await.context("committing a claim of mails")?;
        claimed.sort_unstable_by_key(|row| row.entry);
        Ok(claimed.into_iter().map(|row| row.mail).collect())
    }

    async fn send_all(&self, mailer: &Mailer, claimed: &[Claimed], began: Instant) -> anyhow::Result<()> {
        for mail in claimed {
            if self.is_over(began) {
                break;
            }
            let id = mail.mail_id.to_string();
            let sent = Mail { id: &id, to: &mail.recipient, subject: &mail.subject, text: &mail.body };
            let (error, given_up) = match mailer.send(sent).await {
                Ok(()) => (None, false),
                Err(MailError::Unsendable(why)) => (Some(why), true),
                Err(MailError::NotTaken(why)) => (Some(why), mail.attempts + 1 >= ATTEMPTS_MAX),
                Err(MailError::Unreachable(why)) => anyhow::bail!("the mail server cannot be reached: {why}"),
            };
            if let (Some(why), true) = (&error, given_up) {
                tracing::warn!("mail {id} is given up: {why}");
            }
            noted(|| self.note(mail, error.as_deref(), given_up)).await?;
        }
        Ok(())
    }

    /// Without an error it was taken; one that is given up is never tried again. When our claim has run out, somebody else
    /// may be sending it or have sent it: then it only counts that it was taken.
    async fn note(&self, mail: &Claimed, error: Option<&str>, given_up: bool) -> anyhow::Result<()> {
        sqlx::query(
            "update mails
                set attempts = attempts + 1,
                    claimed_until = null,
                    last_error = $2,
                    sent_at = case when $2 is null then clock_timestamp() end,
                    refused_at = case when $3 then clock_timestamp() end,
                    next_attempt_at = clock_timestamp() + make_interval(secs => $4)
              where mail_id = $1 and sent_at is null and refused_at is null
                and ($2 is null or claimed_until = $5)",
        )
        .bind(mail.mail_id)
        .bind(error)
        .bind(given_up)
        .bind(doubled(FIRST_PAUSE, mail.attempts, LONGEST_PAUSE).as_secs_f64())
        .bind(mail.claimed_until)
        .execute(alone(&self.0.pool))
        .await
        .context("noting what came of a mail")?;
        Ok(())
    }

    /// Those that were not sent are due again at once, unless somebody else has claimed them.
    async fn give_back(&self, claimed: &[Claimed]) -> anyhow::Result<()> {
        sqlx::query("update mails set claimed_until = null where mail_id = any($1) and claimed_until = $2")
            .bind(claimed.iter().map(|mail| mail.mail_id).collect::<Vec<_>>())
            .bind(claimed.first().map(|mail| mail.claimed_until))
            .execute(alone(&self.0.pool))
            .await
            .context("giving mails back")?;
        Ok(())
    }
}

/// Takes a lock until the transaction ends; false when somebody else has it.
async fn try_lock(transaction: &mut Transaction, lock: i64) -> anyhow::Result<bool> {
    sqlx::query_scalar("select pg_try_advisory_xact_lock($1)")
        .bind(lock)
        .fetch_one(&mut **transaction)
        .await
        .context("taking a lock of mails")
}

#[derive(sqlx::FromRow)]
struct Row {
    entry: i64,
    #[sqlx(flatten)]
    mail: Claimed,
}

/// Subject and text for a product that is back, for readers of both languages.
fn restock_text(name: &str) -> (String, String) {
    // A subject is one line, whatever the product is called.
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let subject = format!("{name} 재입고 알림 / back in stock");
    let body = format!("{name} 상품이 재입고되었습니다.\n\n{name} is back in stock.\n");
    (subject, body)
}
