//! The course of a demo: open a shop, fill it, hold the sale, look whether everything is as promised, tell it.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chrono::Utc;
use common::CouponId;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::checks::{self, Check};
use crate::facts;
use crate::load::{self, Door, Learn, Letter, Load, Pace};
use crate::machine::Machine;
use crate::report::{self, Phase, Report, SHOWN_TICKETS};
use crate::sale::{self, Manner, Replay, Sale, Size};
use crate::screen::Screen;
use crate::shop::{Outside, Shop};

/// A shopper gives up on an outcome after this, and the demo has failed: an accepted request must have one.
const PATIENCE_SECONDS: u64 = 120;

/// What is sold.
#[derive(Debug, Clone)]
pub enum Goods {
    /// A made-up flash sale.
    MadeUp {
        /// How large it is.
        size: Size,
        /// The same seed gives the same sale.
        seed: u64,
    },
    /// Real orders from files.
    Replay {
        /// Where the files are.
        folder: PathBuf,
        /// How they are replayed.
        how: Replay,
    },
}

/// How a demo shall be.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is sold.
    pub goods: Goods,
    /// When commands are sent.
    pub pace: Pace,
    /// Shoppers who are there at once.
    pub connections: usize,
    /// How they learn outcomes.
    pub learn: Learn,
    /// Where data are kept; none: in a folder that goes with the demo.
    pub data: Option<PathBuf>,
    /// Where the page is written.
    pub page: PathBuf,
}

/// Holds a sale. The shop stays open for whoever wants to look around, until it is dropped.
///
/// # Errors
/// When the demo itself fails. Broken promises stand in the report.
pub async fn run(options: &Options, screen: Screen) -> Result<(Shop, Report)> {
    let sale = prepare(&options.goods)?;
    // Nobody wants to hear after the sale that its report has no place.
    let page = File::options().append(true).create(true).open(&options.page);
    page.with_context(|| format!("opening {}", options.page.display()))?;
    let opening = screen.step("opening the shop");
    let shop = Shop::open(options.data.clone(), Outside::Sandbox, |what| opening.say(what))?;
    opening.done();

    let mut creating = screen.bar("creating goods and people", 0);
    let created = sale::create(&shop.admin(), &sale, &creating.bar).await?;
    if created.known > 0 {
        creating.remark(&format!("{} were there already, and stay as they were", created.known));
    }
    creating.done();

    let report = tokio::select! {
        held = hold(options, screen, &shop, &sale) => held?,
        (name, _) = shop.until_one_ends(&[]) => bail!("{name} ended before the sale was over; its log ends:\n{}", shop.last_words(name)),
    };
    let page = report::html(&report);
    std::fs::write(&options.page, page).with_context(|| format!("writing {}", options.page.display()))?;
    Ok((shop, report))
}

fn prepare(goods: &Goods) -> Result<Sale> {
    match goods {
        Goods::MadeUp { size, seed } => {
            // A campaign of its own, also in a data folder that has seen others.
            let coupon: CouponId = format!("flash-{}", Uuid::now_v7().simple()).parse().context("naming the coupon")?;
            Ok(sale::made_up(*size, coupon, *seed))
        }
        Goods::Replay { folder, how } => Ok(how.read(folder)?),
    }
}

/// The sale itself, and the look at it afterwards.
async fn hold(options: &Options, screen: Screen, shop: &Shop, sale: &Sale) -> Result<Report> {
    let mut connection = checks::connect(&shop.database_url()).await?;
    let mut phases = Vec::new();
    let manner = Manner { door: shop.door(), with_keys: true, waiting: options.learn == Learn::ByWaiting };
    for (name, letters) in [("Coupon claims", sale.claim_letters(manner)), ("Orders", sale.order_letters(manner))] {
        if !letters.is_empty() {
            phases.push(phase(name, letters, options, screen, shop.door(), &mut connection).await?);
        }
    }

    let checking = screen.step("checking every promise");
    let mut found = Vec::new();
    if let Some(campaign) = &sale.campaign {
        found.push(checks::first_come(&mut connection, campaign).await?);
    }
    found.extend(check(&mut connection, &phases, shop).await?);
    let audit = shop.admin().audit().await?;
    let machine = Machine::this_one(&mut connection, &shop.stack.redis).await?;
    checking.done();
    Ok(Report { made_at: Utc::now(), machine, load: describe(options), phases, checks: found, audit })
}

async fn check(connection: &mut PgConnection, phases: &[Phase], shop: &Shop) -> Result<Vec<Check>> {
    let told: Vec<_> = phases.iter().flat_map(|phase| &phase.tally.told).copied().collect();
    Ok(vec![
        checks::no_oversell(connection).await?,
        checks::balances(connection).await?,
        checks::as_told(connection, &told).await?,
        checks::no_faults(phases.iter().map(|phase| &phase.tally)),
        checks::no_panics(&shop.logs()),
    ])
}

async fn phase(
    name: &'static str,
    letters: Vec<Letter>,
    options: &Options,
    screen: Screen,
    door: Door,
    connection: &mut PgConnection,
) -> Result<Phase> {
    let sent = letters.len();
    let selling = screen.bar(&name.to_lowercase(), sent as u64);
    let before = facts::newest_batch(connection).await?;
    let began_at = Utc::now();
    let load = Load {
        door,
        commands: Arc::from(letters),
        pace: options.pace,
        connections: options.connections,
        learn: options.learn,
        keep_told: true,
        patience: Duration::from_secs(PATIENCE_SECONDS),
    };
    let tally = load::run(load, selling.bar.clone()).await?;
    selling.done();
    let batches = facts::batches_after(connection, before).await?;
    let tickets = facts::first_outcomes(connection, before, SHOWN_TICKETS as i64).await?;
    Ok(Phase { name, sent, tally, began_at, batches, tickets })
}

/// How the load was made, in a sentence.
fn describe(options: &Options) -> String {
    let pace = match options.pace {
        Pace::AsSoonAsFree => "closed loop".to_owned(),
        Pace::PerSecond(rate) => format!("open loop at {rate} commands a second, latencies from when each was due"),
    };
    let learn = match options.learn {
        Learn::ByAsking => "who ask for the outcome and wait for the answer",
        Learn::ByWaiting => "who wait for the outcome with the command itself",
        Learn::ByPolling => "who ask again and again, as often as they are told",
        Learn::Never => "who do not ask for the outcome",
    };
    format!("{pace}; {} shoppers at once, {learn}; the load runs on the same machine", options.connections)
}
