//! What coupons demand of a claim before it stands in line. Every `api` keeps those that demand something and reads them anew
//! all the time, so a claim asks nobody; with Postgres away the last ones hold.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use common::CouponId;
use lanes::Quota;
use runtime::causes::chain;
use runtime::postgres::BoundedPool;

use crate::client::Client;
use crate::limits::{ADDRESS_COUNT_KEPT, ADDRESS_RETRY_MAX_SECONDS, TERMS_HEARD, TERMS_MAX_COUPONS, TERMS_REFRESH};
use crate::problem::Problem;
use crate::shape::Shape;

/// The coupons of [`Terms`] that may still be claimed. One that has just ended is still among them: clocks differ.
macro_rules! with_terms {
    () => {
        "(max_per_address is not null or human_check) and (ends_at is null or ends_at > now() - interval '1 hour')"
    };
}

/// What one coupon demands.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Terms {
    #[sqlx(try_from = "String")]
    coupon_id: CouponId,
    max_per_address: Option<i64>,
    /// Whether a claim must prove that a person sent it.
    pub human_check: bool,
    ends_at: Option<DateTime<Utc>>,
}

impl Terms {
    /// What claims of a caller are counted as, if they are. The line counts: all `api` share it, and it knows what was
    /// accepted.
    pub fn quota(&self, client: Client) -> Option<Quota> {
        let max = u64::try_from(self.max_per_address?).ok()?;
        let name = format!("coupon:{}:{}", self.coupon_id, client.network());
        let name = name.parse().expect("an id and an address are fewer than 128 printable characters without braces");
        Some(Quota { name, max, kept: self.left().unwrap_or_default() + ADDRESS_COUNT_KEPT })
    }

    /// The answer to a caller whose address has got as many as it may have. Trying again makes sense when the campaign is
    /// over, and never succeeds; who is told a day asks rarely.
    pub fn used_up(&self) -> Problem {
        let left = self.left().map_or(u64::from(ADDRESS_RETRY_MAX_SECONDS), |left| left.as_secs());
        let seconds = u32::try_from(left).unwrap_or(u32::MAX).clamp(1, ADDRESS_RETRY_MAX_SECONDS);
        Problem::address_used_up().retry_after(seconds)
    }

    /// Until it ends; none: it never does.
    fn left(&self) -> Option<Duration> {
        Some((self.ends_at? - Utc::now()).to_std().unwrap_or_default())
    }
}

type Known = HashMap<CouponId, Arc<Terms>>;

/// The terms of all coupons that have some.
#[derive(Debug)]
pub struct AllTerms {
    pool: BoundedPool,
    /// None: they were never read.
    known: RwLock<Option<Known>>,
}

impl AllTerms {
    /// Nothing is read yet.
    pub fn new(pool: BoundedPool) -> AllTerms {
        AllTerms { pool, known: RwLock::default() }
    }

    /// What a coupon demands; none: nothing.
    ///
    /// # Errors
    /// R005 when they were never read and cannot be. Then no claim can be let in, because nobody knows what it must keep to.
    pub async fn of(&self, coupon_id: &CouponId) -> Result<Option<Arc<Terms>>, Problem> {
        if let Some(terms) = self.known_of(coupon_id) {
            return Ok(terms);
        }
        self.read().await?;
        Ok(self.known_of(coupon_id).flatten())
    }

    /// Reads them anew until dropped.
    pub async fn keep(&self) {
        let mut told = false;
        let mut times = tokio::time::interval(TERMS_REFRESH);
        loop {
            times.tick().await;
            match self.read().await {
                Ok(()) => told = false,
                Err(error) if !told => {
                    told = true;
                    tracing::warn!(
                        "what coupons demand cannot be read; the last that is known holds: {}",
                        chain(&error)
                    );
                }
                Err(_) => {}
            }
        }
    }

    /// Returns when every `api` that reaches Postgres has heard of a change that is committed.
    pub async fn heard(&self) {
        // Whether it works or not, the next time is near.
        let _ = self.read().await;
        tokio::time::sleep(TERMS_HEARD).await;
    }

    /// Demands that one more coupon may have terms: each `api` keeps all of them.
    ///
    /// # Errors
    /// V001 when there are too many; R005 when Postgres cannot be asked.
    pub async fn demand_room(&self, field: &str) -> Result<(), Problem> {
        let statement = concat!("select count(*) from coupons where ", with_terms!());
        let count: i64 = sqlx::query_scalar(statement).fetch_one(&self.pool).await?;
        let mut shape = Shape::new();
        let rule = format!("is kept for at most {TERMS_MAX_COUPONS} coupons that have not ended");
        shape.demand(count < TERMS_MAX_COUPONS, field, rule);
        shape.checked()
    }

    fn known_of(&self, coupon_id: &CouponId) -> Option<Option<Arc<Terms>>> {
        // A map is put in whole, so a poisoned lock holds good data.
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map(|known| known.get(coupon_id).cloned())
    }

    /// Reads them if they were never read.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub async fn read_once(&self) -> Result<(), sqlx::Error> {
        let is_known = self.known.read().unwrap_or_else(PoisonError::into_inner).is_some();
        if is_known { Ok(()) } else { self.read().await }
    }

    /// Reads them anew. When Postgres cannot be asked, the last ones hold.
    async fn read(&self) -> Result<(), sqlx::Error> {
        let statement =
            concat!("select coupon_id, max_per_address, human_check, ends_at from coupons where ", with_terms!());
        let all: Vec<Terms> = sqlx::query_as(statement).fetch_all(&self.pool).await?;
        let known = all.into_iter().map(|terms| (terms.coupon_id.clone(), Arc::new(terms))).collect();
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    fn terms(max_per_address: Option<i64>, ends_in: Option<TimeDelta>) -> Terms {
        let ends_at = ends_in.map(|left| Utc::now() + left);
        Terms { coupon_id: "C1".parse().unwrap(), max_per_address, human_check: false, ends_at }
    }

    #[test]
    fn counts_are_kept_until_after_the_end() {
        let client = Client("2001:db8:1:2::9".parse().unwrap());
        assert_eq!(terms(None, None).quota(client), None);
        let rows = [(None, 0), (Some(TimeDelta::days(-1)), 0), (Some(TimeDelta::days(30)), 30)];
        for (ends_in, days) in rows {
            let quota = terms(Some(3), ends_in).quota(client).unwrap();
            assert_eq!((quota.name.as_str(), quota.max), ("coupon:C1:2001:db8:1:2::/64", 3));
            let more = quota.kept - ADDRESS_COUNT_KEPT;
            let most = Duration::from_secs(days * 86_400);
            assert!(more <= most && more + Duration::from_secs(60) >= most, "{ends_in:?}: {more:?}");
        }
    }

    #[test]
    fn the_longest_names_fit() {
        let longest = "x".repeat(common::limits::MAX_ID_CHARS);
        let terms = Terms { coupon_id: longest.parse().unwrap(), ..terms(Some(1), None) };
        let client = Client("1111:2222:3333:4444:5555:6666:7777:8888".parse().unwrap());
        assert!(terms.quota(client).is_some());
    }
}
