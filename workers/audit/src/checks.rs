//! The table of checks. Each is one statement, which answers how many rows it examined, how many violations it found,
//! and the first few of them as sentences. Statements may sort and hash all rows, but compare none with all others.
//!
//! # What retention may have removed
//!
//! `requests` and `batches` lose old rows; orders, wallet entries, the ledger and the lane rows lose none. So a request
//! can always be asked for what it made, but what was made can be asked for its request only where that must still be
//! there. It must be there in two cases:
//!
//! * It was decided a short while ago: no setting lets retention remove what was decided less than a day ago.
//! * An older request is there, older both by its id and by its decision. Retention removes the oldest first, whether
//!   by id, by decision, or by id as far as the decision is old enough, too. Each of these takes the older one before
//!   the younger one. One of the two comparisons alone would not do: a request that waited for hours behind a pause
//!   has an old id and a young decision.
//!
//! Of a batch nobody knows the ids that are gone, so only young batches must have all their requests; an older one may
//! have fewer, never more. Whoever audits once a day has had each batch examined while it was young.

mod lanes;
mod money;
mod orders;
mod outcomes;
mod shelves;

use runtime::limits::REQUEST_RETENTION_MIN_SECONDS;

/// Sentences that a check answers at most: enough to see what is wrong, few enough to be read.
const SAMPLES_MAX: i64 = 10;

/// What was decided within these hours is certainly kept. An hour less than retention may be set to, so that neither
/// the moment of the snapshot nor a clock that is a little off makes a difference.
const CERTAINLY_KEPT_HOURS: i64 = 23;

const _: () = assert!(CERTAINLY_KEPT_HOURS as u64 * 60 * 60 < REQUEST_RETENTION_MIN_SECONDS);

/// Something that the shop promises, and how it is proved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Promise {
    /// The check's name in reports.
    pub name: &'static str,
    /// What must be so.
    pub promise: &'static str,
    /// One statement: rows examined, violations found, the first of them in words.
    pub sql: &'static str,
    /// Its parameters, in their order.
    pub bounds: &'static [i64],
}

/// A check of rows that retention leaves alone.
const fn promise(name: &'static str, promise: &'static str, sql: &'static str) -> Promise {
    Promise { name, promise, sql, bounds: &[SAMPLES_MAX] }
}

/// A check that must know what retention may have removed.
const fn promise_of_kept(name: &'static str, promise: &'static str, sql: &'static str) -> Promise {
    Promise { name, promise, sql, bounds: &[SAMPLES_MAX, CERTAINLY_KEPT_HOURS] }
}

/// Every check, in the order of the report: what is sold, what is paid, who came first, what was answered, and that all
/// of it fits together.
pub(crate) const ALL: &[Promise] = &[
    promise("coupon_quantity", "no coupon is issued more often than it exists", shelves::COUPON_QUANTITY),
    promise("coupon_counter", "a coupon counts as many units issued as lie in wallets", shelves::COUPON_COUNTER),
    promise(
        "stock_counter",
        "what is in stock is what was put on the shelf less what was sold",
        shelves::STOCK_COUNTER,
    ),
    promise("balance_is_ledger", "a balance is the sum of its ledger entries", money::BALANCE_IS_LEDGER),
    promise("ledger_chain", "each ledger entry says what the entries up to it add up to", money::LEDGER_CHAIN),
    promise("first_come", "in each lane, tickets rise in the order of decisions", lanes::FIRST_COME),
    promise("fence", "the fence of a lane row stands at the last ticket decided on it", lanes::FENCE),
    promise_of_kept("one_outcome", "a success made exactly one thing, and nothing else did", outcomes::ONE_OUTCOME),
    promise_of_kept("batch_counts", "a batch holds the requests that it says it holds", outcomes::BATCH_COUNTS),
    promise("order_amounts", "an order's amounts are the sum of its lines less its discount", orders::ORDER_AMOUNTS),
    promise("order_paid", "an order is paid once, in full, by its shopper", money::ORDER_PAID),
    promise_of_kept("charges", "a charge is credited once, if its money was taken", money::CHARGES),
    promise("coupon_use", "orders and wallets agree on which coupons were used where", orders::COUPON_USE),
    promise("outbox", "every order is told to the order system", orders::OUTBOX),
    promise("references", "what orders and wallets name exists", orders::REFERENCES),
];
