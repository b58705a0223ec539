//! The certain no before the line. A closed gate says that the last unit of a coupon is committed; what the shopper is
//! told is what the line would say, so Postgres is asked. After a coupon is gone nearly every claim ends here, so many
//! shoppers share one question.

use chrono::{DateTime, Utc};
use common::{ClaimCoupon, Refusal};
use lanes::Gate;
use runtime::postgres::BoundedPool;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::limits::{GATE_QUESTIONS_IN_FLIGHT_MAX, GATE_QUESTIONS_MAX, GATE_QUEUE_ANSWERS_MAX};
use crate::lines::coupon_lane;

/// What Postgres says about a claim whose gate is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The line would refuse, like this.
    No(Refusal),
    /// There are units again: an operator raised the total and the gate has not heard of it. It is told these numbers.
    Open(Gate),
    /// It cannot be known here: the line must say.
    AskTheLine,
}

struct Question {
    claim: ClaimCoupon,
    /// The digest of its idempotency key.
    key: Option<Vec<u8>>,
    answer: oneshot::Sender<Answer>,
}

/// Asks Postgres for many shoppers at once. Nobody waits for company: whoever comes while questions are under way
/// goes with the next one.
#[derive(Debug, Clone)]
pub struct SoldOut {
    questions: mpsc::Sender<Question>,
}

impl SoldOut {
    /// Starts the task that asks. It ends when the last clone is gone.
    pub fn start(pool: BoundedPool) -> SoldOut {
        let (questions, waiting) = mpsc::channel(GATE_QUEUE_ANSWERS_MAX);
        tokio::spawn(ask_all(pool, waiting));
        SoldOut { questions }
    }

    /// What the line would say to this claim, which came with an idempotency key of this digest.
    pub async fn answer(&self, claim: &ClaimCoupon, key: Option<Vec<u8>>) -> Answer {
        let (answer, answered) = oneshot::channel();
        if self.questions.try_send(Question { claim: claim.clone(), key, answer }).is_err() {
            return Answer::AskTheLine;
        }
        answered.await.unwrap_or(Answer::AskTheLine)
    }
}

async fn ask_all(pool: BoundedPool, mut waiting: mpsc::Receiver<Question>) {
    let under_way = Arc::new(Semaphore::new(GATE_QUESTIONS_IN_FLIGHT_MAX));
    loop {
        let permit = Arc::clone(&under_way).acquire_owned().await.expect("the semaphore is never closed");
        let mut together = Vec::new();
        if waiting.recv_many(&mut together, GATE_QUESTIONS_MAX).await == 0 {
            return;
        }
        let pool = pool.clone();
        tokio::spawn(async move {
            answer_all(&pool, together).await;
            drop(permit);
        });
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    held: bool,
    repeats: bool,
    ends_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    issued_quantity: Option<i64>,
    total_quantity: Option<i64>,
}

async fn answer_all(pool: &BoundedPool, questions: Vec<Question>) {
    let users: Vec<&str> = questions.iter().map(|q| q.claim.user_id.as_str()).collect();
    let coupons: Vec<&str> = questions.iter().map(|q| q.claim.coupon_id.as_str()).collect();
    let keys: Vec<Option<&[u8]>> = questions.iter().map(|q| q.key.as_deref()).collect();
    let rows: Result<Vec<Row>, sqlx::Error> = sqlx::query_as(
        "select held.user_id is not null as held,
                -- a key that Redis has lost: what was decided under it is the answer, and the line finds it
                asked.key is not null and exists (select from requests where idempotency_key = asked.key) as repeats,
                coupons.ends_at, coupons.issued_quantity, coupons.total_quantity,
                clock_timestamp() as now
           from unnest($1::text[], $2::text[], $3::bytea[]) with ordinality as asked (user_id, coupon_id, key, number)
           left join coupons using (coupon_id)
           left join user_coupons as held using (user_id, coupon_id)
          order by asked.number",
    )
    .bind(&users)
    .bind(&coupons)
    .bind(&keys)
    .fetch_all(pool)
    .await;
    match rows {
        Ok(rows) if rows.len() == questions.len() => {
            for (question, row) in questions.into_iter().zip(rows) {
                let answer = row.answer(&question.claim);
                // A receiver that is gone belongs to a client that hung up.
                let _ = question.answer.send(answer);
            }
        }
        Ok(rows) => tracing::error!("{} answers to {} questions about sold-out coupons", rows.len(), questions.len()),
        // Dropped questions go into the line, which waits for Postgres by itself.
        Err(error) => tracing::debug!(%error, "asking what sold-out coupons answer failed"),
    }
}

impl Row {
    /// The refusals in the order of the contract, as far as a coupon that was issued to its end can meet them.
    fn answer(&self, claim: &ClaimCoupon) -> Answer {
        let (Some(issued), Some(total)) = (self.issued_quantity, self.total_quantity) else {
            return Answer::AskTheLine;
        };
        if self.repeats {
            return Answer::AskTheLine;
        }
        if self.held {
            return Answer::No(Refusal::AlreadyIssued);
        }
        if self.ends_at.is_some_and(|ends_at| ends_at <= self.now) {
            return Answer::No(Refusal::CouponExpired);
        }
        if issued < total {
            return Answer::Open(Gate {
                lane: coupon_lane(&claim.coupon_id),
                used: issued.unsigned_abs(),
                limit: total.unsigned_abs(),
            });
        }
        Answer::No(Refusal::CouponSoldOut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn the_line_would_say_the_same() {
        let now = DateTime::from_timestamp_micros(1_790_000_000_000_000).unwrap();
        let claim = ClaimCoupon { user_id: "user1".parse().unwrap(), coupon_id: "C1".parse().unwrap() };
        let row = |held, ends_in: Option<i64>, counts: Option<(i64, i64)>| Row {
            held,
            repeats: false,
            ends_at: ends_in.map(|seconds| now + TimeDelta::seconds(seconds)),
            now,
            issued_quantity: counts.map(|(issued, _)| issued),
            total_quantity: counts.map(|(_, total)| total),
        };
        let open = Answer::Open(Gate { lane: coupon_lane(&claim.coupon_id), used: 2, limit: 3 });
        let rows = [
            (row(true, Some(-1), Some((3, 3))), Answer::No(Refusal::AlreadyIssued)),
            (row(true, None, Some((2, 3))), Answer::No(Refusal::AlreadyIssued)),
            (row(false, Some(0), Some((3, 3))), Answer::No(Refusal::CouponExpired)),
            (row(false, Some(-1), Some((2, 3))), Answer::No(Refusal::CouponExpired)),
            (row(false, Some(1), Some((3, 3))), Answer::No(Refusal::CouponSoldOut)),
            (row(false, None, Some((3, 3))), Answer::No(Refusal::CouponSoldOut)),
            (row(false, None, Some((2, 3))), open),
            (row(false, None, None), Answer::AskTheLine),
            (Row { repeats: true, ..row(true, None, Some((3, 3))) }, Answer::AskTheLine),
        ];
        for (row, meant) in rows {
            assert_eq!(row.answer(&claim), meant);
        }
    }
}
