//! Counting: kept hours, and the edges raw.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::Serialize;
use sqlx::PgPool;

use crate::limits::{MAX_POPULAR_DAYS, MAX_POPULAR_PRODUCTS};

/// What is asked: the first so many products of the last so many days of 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Question {
    days: u8,
    products: u8,
}

impl Question {
    /// What most people ask, and a schedule keeps fresh: the first five of three days.
    pub const USUAL: Question = Question { days: 3, products: 5 };

    /// A question within the bounds; none outside of them.
    pub fn new(days: u8, products: u8) -> Option<Question> {
        let within = (1..=MAX_POPULAR_DAYS).contains(&days) && (1..=MAX_POPULAR_PRODUCTS).contains(&products);
        within.then_some(Question { days, products })
    }

    /// The key of its answer in the cache.
    pub fn key(self) -> String {
        format!("popular:{}days:{}", self.days, self.products)
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Popular {
    /// What was counted.
    pub period: Period,
    /// Most orders first; of equals the one whose id sorts first. Fewer than asked for where fewer were ordered.
    pub products: Vec<Ranked>,
}

/// The span that was counted, from `start_date` on and before `end_date`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Period {
    /// Days of 24 hours.
    pub days: u8,
    /// Its first moment.
    pub start_date: DateTime<Utc>,
    /// The first moment after it.
    pub end_date: DateTime<Utc>,
}

/// A product among the popular ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Ranked {
    /// 1 is the most popular.
    pub rank: i64,
    /// Which product.
    pub product_id: String,
    /// Its name when it was counted.
    pub name: String,
    /// Its price in won when it was counted.
    pub price: i64,
    /// Pieces in stock when it was counted.
    pub stock: i64,
    /// Orders of the period that contain it, however many pieces.
    pub order_count: i64,
}

/// Where the span is cut: raw from `start` to `first`, kept hours from `first` to `last`, raw again until `end`.
#[derive(Debug, PartialEq, Eq)]
struct Cut {
    start: DateTime<Utc>,
    first: DateTime<Utc>,
    last: DateTime<Utc>,
    end: DateTime<Utc>,
}

impl Cut {
    fn of(question: Question, end: DateTime<Utc>, sealed_until: Option<DateTime<Utc>>) -> Cut {
        let start = end - TimeDelta::days(question.days.into());
        let whole = hour_of(start);
        let first = if whole == start { whole } else { whole + TimeDelta::hours(1) };
        let last = sealed_until.map_or(first, |sealed| sealed.min(hour_of(end))).max(first);
        Cut { start, first, last, end }
    }
}

fn hour_of(moment: DateTime<Utc>) -> DateTime<Utc> {
    moment.duration_trunc(TimeDelta::hours(1)).expect("an hour divides any date there is")
}

/// Counts the orders of the last days before `end`, which is at most a day ago, because older hours are forgotten; none:
/// until now, by Postgres' clock, as orders are decided by.
///
/// Sealed hours never change, so what is sealed while this counts does not disturb it.
///
/// # Errors
/// When Postgres fails.
pub async fn count(pool: &PgPool, question: Question, end: Option<DateTime<Utc>>) -> Result<Popular, sqlx::Error> {
    let (end, sealed_until): (DateTime<Utc>, Option<DateTime<Utc>>) =
        sqlx::query_as("select coalesce($1, clock_timestamp()), (select until from sealed_hours)")
            .bind(end)
            .fetch_one(pool)
            .await?;
    let cut = Cut::of(question, end, sealed_until);
    let products = sqlx::query_as(
        "with counts as (
           select product_id, orders from product_hours where hour >= $2 and hour < $3
           union all
           -- An order has one line for each product, so lines are orders.
           select product_id, count(*) as orders
             from orders
             join order_lines using (order_id)
            where created_at >= $1 and created_at < $2
            group by product_id
           union all
           select product_id, count(*) as orders
             from orders
             join order_lines using (order_id)
            where created_at >= $3 and created_at < $4
            group by product_id
         ),
         popular as (
           select product_id, sum(orders)::bigint as order_count
             from counts
            group by product_id
            order by order_count desc, product_id
            limit $5
         )
         select row_number() over (order by order_count desc, product_id) as rank,
                product_id, name, price, stock, order_count
           from popular
           join products using (product_id)
          order by rank",
    )
    .bind(cut.start)
    .bind(cut.first)
    .bind(cut.last)
    .bind(cut.end)
    .bind(i64::from(question.products))
    .fetch_all(pool)
    .await?;
    let period = Period { days: question.days, start_date: cut.start, end_date: cut.end };
    Ok(Popular { period, products })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_have_bounds() {
        for (days, products, meant) in
            [(1, 1, true), (30, 50, true), (0, 5, false), (31, 5, false), (3, 0, false), (3, 51, false)]
        {
            assert_eq!(Question::new(days, products).is_some(), meant, "{days} {products}");
        }
        assert_eq!(Question::USUAL.key(), "popular:3days:5");
        assert_eq!(Question::new(3, 5), Some(Question::USUAL));
    }

    #[test]
    fn a_span_is_cut_at_whole_hours() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a date");
        let day = Question::new(1, 1).expect("within the bounds");
        let rows = [
            // end, sealed until, first, last
            ("2026-01-02T10:20:00Z", Some("2026-01-02T10:00:00Z"), "2026-01-01T11:00:00Z", "2026-01-02T10:00:00Z"),
            ("2026-01-02T10:20:00Z", Some("2026-01-02T08:00:00Z"), "2026-01-01T11:00:00Z", "2026-01-02T08:00:00Z"),
            // Exactly on the hour there is no edge.
            ("2026-01-02T10:00:00Z", Some("2026-01-02T10:00:00Z"), "2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z"),
            // Nothing sealed, or nothing that matters: all is raw.
            ("2026-01-02T10:20:00Z", None, "2026-01-01T11:00:00Z", "2026-01-01T11:00:00Z"),
            ("2026-01-02T10:20:00Z", Some("2026-01-01T03:00:00Z"), "2026-01-01T11:00:00Z", "2026-01-01T11:00:00Z"),
            // Hours after the end do not count.
            ("2026-01-02T10:20:00Z", Some("2026-01-05T00:00:00Z"), "2026-01-01T11:00:00Z", "2026-01-02T10:00:00Z"),
        ];
        for (end, sealed, first, last) in rows {
            let cut = Cut::of(day, at(end), sealed.map(at));
            let meant = Cut { start: at(end) - TimeDelta::days(1), first: at(first), last: at(last), end: at(end) };
            assert_eq!(cut, meant, "{end} {sealed:?}");
        }
    }
}
