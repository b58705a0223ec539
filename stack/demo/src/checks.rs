//! Whether the promises were kept, looked up in Postgres by somebody who does not share a line of code with the shop.

use anyhow::{Context, Result};
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

use crate::load::{Outcome, Tally};
use crate::sale::Campaign;

/// Told outcomes that are compared in one statement.
const COMPARED_MAX_REQUESTS: usize = 10_000;

/// A promise, and whether it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The promise.
    pub name: &'static str,
    /// Whether it was kept.
    pub ok: bool,
    /// What was found.
    pub found: String,
}

/// Opens a connection to the shop's database.
///
/// # Errors
/// When Postgres does not let us in.
pub async fn connect(url: &str) -> Result<PgConnection> {
    let options: PgConnectOptions = url.parse().context("reading the address of the database")?;
    options.application_name("droplane-demo").connect().await.context("connecting to the shop's database")
}

/// The winners of a campaign are exactly the first tickets, as many as there are coupons. Holds for campaigns in which
/// everybody claims once.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn first_come(connection: &mut PgConnection, campaign: &Campaign) -> Result<Check> {
    let (claims, winners, out_of_turn): (i64, i64, i64) = sqlx::query_as(
        "with line as (
           select row_number() over (order by ticket) as place, status
             from requests
            -- A claim stands in one lane, and a lane is in one group, so these tickets can be compared.
            where lanes = array['coupon:' || $1]
         )
         select count(*),
                count(*) filter (where status = 'SUCCEEDED'),
                count(*) filter (where (status = 'SUCCEEDED') <> (place <= $2))
           from line",
    )
    .bind(campaign.coupon_id.as_str())
    .bind(campaign.total_quantity)
    .fetch_one(connection)
    .await
    .context("comparing winners with tickets")?;
    let meant = claims.min(campaign.total_quantity);
    Ok(Check {
        name: "winners are exactly the first tickets",
        ok: out_of_turn == 0 && winners == meant,
        found: format!("{winners} winners among {claims} tickets, {out_of_turn} out of turn"),
    })
}

/// No product and no coupon went out more often than it was there.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn no_oversell(connection: &mut PgConnection) -> Result<Check> {
    let (products, wrong_products): (i64, i64) = sqlx::query_as(
        "with sold as (select product_id, sum(quantity) as pieces from order_lines group by product_id)
         select count(*), count(*) filter (where stock < 0 or stocked - stock <> coalesce(pieces, 0))
           from products left join sold on sold.product_id = products.product_id::text",
    )
    .fetch_one(&mut *connection)
    .await
    .context("comparing stock with what was sold")?;
    let (coupons, wrong_coupons): (i64, i64) = sqlx::query_as(
        "with given as (select coupon_id, count(*) as units from user_coupons group by coupon_id)
         select count(*),
                count(*) filter (where issued_quantity > total_quantity or issued_quantity <> coalesce(units, 0))
           from coupons left join given on given.coupon_id = coupons.coupon_id::text",
    )
    .fetch_one(connection)
    .await
    .context("comparing coupons with wallets")?;
    Ok(Check {
        name: "nothing was oversold",
        ok: wrong_products == 0 && wrong_coupons == 0,
        found: format!("{products} products, {wrong_products} wrong; {coupons} coupons, {wrong_coupons} wrong"),
    })
}

/// Every balance is the sum of its ledger.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn balances(connection: &mut PgConnection) -> Result<Check> {
    let (users, wrong): (i64, i64) = sqlx::query_as(
        "with sums as (select user_id, sum(amount) as amount from ledger group by user_id)
         select count(*), count(*) filter (where coalesce(balance, 0) <> coalesce(amount, 0))
           -- Also a ledger of somebody who is not there would be wrong.
           from users full join sums on sums.user_id = users.user_id::text",
    )
    .fetch_one(connection)
    .await
    .context("comparing balances with the ledger")?;
    Ok(Check { name: "balances equal the ledger", ok: wrong == 0, found: format!("{users} balances, {wrong} wrong") })
}

/// Every accepted request has one outcome, and it is the one that the shopper was told.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn as_told(connection: &mut PgConnection, told: &[(Uuid, Option<Outcome>)]) -> Result<Check> {
    let (mut missing, mut different) = (0, 0);
    for part in told.chunks(COMPARED_MAX_REQUESTS) {
        let ids: Vec<Uuid> = part.iter().map(|(id, _)| *id).collect();
        let outcomes: Vec<Option<&str>> =
            part.iter().map(|(_, outcome)| outcome.as_ref().map(Outcome::as_str)).collect();
        let (part_missing, part_different): (i64, i64) = sqlx::query_as(
            "select count(*) filter (where requests.request_id is null),
                    -- A refusal without a code is none that anybody was told.
                    count(*) filter (where requests.request_id is not null and told.outcome is not null
                                       and told.outcome is distinct from case status when 'SUCCEEDED' then status
                                                                             else requests.outcome ->> 'code' end)
               from unnest($1::uuid[], $2::text[]) as told (request_id, outcome)
                    left join requests using (request_id)",
        )
        .bind(ids)
        .bind(outcomes)
        .fetch_one(&mut *connection)
        .await
        .context("comparing what shoppers were told with what was committed")?;
        missing += part_missing;
        different += part_different;
    }
    let untold = told.iter().filter(|(_, outcome)| outcome.is_none()).count();
    Ok(Check {
        name: "every accepted request has the outcome that the shopper was told",
        ok: missing == 0 && different == 0 && untold == 0,
        found: format!(
            "{} accepted; {missing} without an outcome, {different} with another one, {untold} never told",
            told.len()
        ),
    })
}

/// Nothing happened to a shopper that the contract does not know.
pub fn no_faults<'a>(tallies: impl IntoIterator<Item = &'a Tally>) -> Check {
    let faults: Vec<String> =
        tallies.into_iter().flat_map(|tally| &tally.faults).map(|(what, times)| format!("{times} × {what}")).collect();
    Check {
        name: "no request failed for a technical reason",
        ok: faults.is_empty(),
        found: if faults.is_empty() { "none did".to_owned() } else { faults.join("; ") },
    }
}

/// Nothing of the shop crashed on the way. `logs` are those of its programs, by name.
pub fn no_panics(logs: &[(&'static str, String)]) -> Check {
    const PANIC: &str = "panicked";
    let panicked: Vec<&str> = logs.iter().filter(|(_, log)| log.contains(PANIC)).map(|(name, _)| *name).collect();
    Check {
        name: "no program panicked",
        ok: panicked.is_empty(),
        found: if panicked.is_empty() { "none did".to_owned() } else { panicked.join(", ") },
    }
}
