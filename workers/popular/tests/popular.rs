//! Counts against raw SQL, and a cache that many ask at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use futures::future::{BoxFuture, join_all};
use lanes::{Archive, ArchiveError, Floor, Group, LineLimits, Link, Servers};
use popular::{Cache, Question, Ranked, count, seal_hours};
use runtime::metrics::{Known, Process, PrometheusHandle};
use runtime::postgres::{Timeouts, begin};
use sqlx::PgPool;
use stack::{Redis, RedisOptions, fresh_database, wait_for};

/// Shorter than a promise lasts whose caller is gone.
const DEADLINE: Duration = Duration::from_secs(15);

async fn shop() -> PgPool {
    let pool = PgPool::connect(&fresh_database()).await.expect("the database is there");
    runtime::postgres::migrate(&pool).await.expect("migrated");
    pool
}

/// An order: when it was decided, and its products.
type Order = (DateTime<Utc>, BTreeSet<String>);

async fn insert(pool: &PgPool, orders: &[Order]) {
    let products: BTreeSet<&String> = orders.iter().flat_map(|(_, products)| products).collect();
    sqlx::query(
        "insert into products (product_id, name, price, stock, stocked)
         select product_id, 'Thing ' || product_id, 10, 1, 1 from unnest($1::text[]) as made (product_id)
         on conflict do nothing",
    )
    .bind(products.into_iter().collect::<Vec<_>>())
    .execute(pool)
    .await
    .expect("products");
    let numbers: Vec<i64> = (1..).take(orders.len()).collect();
    sqlx::query(
        "insert into orders (order_id, user_id, total_amount, discount_amount, final_amount, created_at)
         select lpad(number::text, 32, '0')::uuid, 'u', 0, 0, 0, created_at
           from unnest($1::bigint[], $2::timestamptz[]) as placed (number, created_at)",
    )
    .bind(&numbers)
    .bind(orders.iter().map(|(at, _)| *at).collect::<Vec<_>>())
    .execute(pool)
    .await
    .expect("orders");
    let lines: Vec<(i64, &String)> = numbers
        .iter()
        .zip(orders)
        .flat_map(|(number, (_, products))| products.iter().map(move |product| (*number, product)))
        .collect();
    sqlx::query(
        "insert into order_lines (order_id, line, product_id, quantity, unit_price)
         select lpad(number::text, 32, '0')::uuid, row_number() over (partition by number), product_id, 1, 10
           from unnest($1::bigint[], $2::text[]) as lines (number, product_id)",
    )
    .bind(lines.iter().map(|(number, _)| *number).collect::<Vec<_>>())
    .bind(lines.iter().map(|(_, product)| product.as_str()).collect::<Vec<_>>())
    .execute(pool)
    .await
    .expect("lines");
}

/// The same by going through all orders, as the diagram does it.
async fn raw(pool: &PgPool, days: i32, products: i64, end: DateTime<Utc>) -> Vec<(String, i64)> {
    sqlx::query_as(
        "select product_id, count(distinct order_id) as order_count
           from orders
           join order_lines using (order_id)
          where created_at >= $3 - make_interval(hours => 24 * $1) and created_at < $3
          group by product_id
          order by order_count desc, product_id
          limit $2",
    )
    .bind(days)
    .bind(products)
    .bind(end)
    .fetch_all(pool)
    .await
    .expect("counted")
}

/// Compares several questions at several moments with raw SQL, and says how many products were compared.
async fn compare(pool: &PgPool, now: DateTime<Utc>) -> usize {
    let mut compared = 0;
    for (days, products) in [(1, 1), (1, 50), (3, 5), (7, 20), (30, 50)] {
        for minutes_ago in [0, 17, 60, 131, 600, 1_439] {
            // Postgres knows microseconds.
            let end = now.trunc_subsecs(6) - TimeDelta::minutes(minutes_ago);
            let question = Question::new(days, products).expect("within the bounds");
            let popular = count(pool, question, Some(end)).await.expect("counted");
            let counted: Vec<(String, i64)> =
                popular.products.iter().map(|p: &Ranked| (p.product_id.clone(), p.order_count)).collect();
            assert_eq!(counted, raw(pool, days.into(), products.into(), end).await, "{days} days before {end}");
            assert_eq!(popular.period.start_date, end - TimeDelta::days(days.into()));
            assert!(popular.products.iter().zip(1..).all(|(product, rank)| product.rank == rank));
            compared += counted.len();
        }
    }
    compared
}

async fn sealed_rows(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from product_hours").fetch_one(pool).await.expect("counted")
}

#[tokio::test]
async fn counts_are_exact_before_and_after_hours_are_sealed() {
    let pool = shop().await;
    let now = Utc::now();
    // 33 days, an order every 37 minutes and one exactly at every full hour; ties are many.
    let minutes = (0..33 * 24 * 60).filter(|minute| minute % 37 == 0 || minute % 60 == 0);
    let orders: Vec<Order> = minutes
        .map(|minute: i64| {
            let products = [minute % 7, minute % 11, minute % 13 + 20].map(|product| format!("P{product}"));
            let full_hour = now.timestamp() / 3_600 * 3_600;
            let at = DateTime::from_timestamp(full_hour - minute * 60, 0).expect("a date");
            (at, products.into())
        })
        .collect();
    insert(&pool, &orders).await;
    assert!(compare(&pool, now).await > 300, "there was something to compare");
    assert_eq!(sealed_rows(&pool).await, 0);
    let hours = seal_hours(&pool).await.expect("sealed");
    assert!(hours >= 31 * 24 && sealed_rows(&pool).await > 3_000, "{hours} hours");
    assert!(compare(&pool, now).await > 300);
    assert_eq!(seal_hours(&pool).await.expect("nothing to do"), 0);
}

#[tokio::test]
async fn kept_hours_are_used_and_old_ones_forgotten() {
    let pool = shop().await;
    let at = |hours: i64| Utc::now() - TimeDelta::hours(hours);
    insert(&pool, &[(at(5), ["P1".to_owned()].into())]).await;
    seal_hours(&pool).await.expect("sealed");
    // Only an hour that is not looked at again can keep what is not true.
    sqlx::query("update product_hours set orders = 99").execute(&pool).await.expect("changed");
    let popular = count(&pool, Question::USUAL, None).await.expect("counted");
    assert_eq!(popular.products[0].order_count, 99);

    // A worker that comes back after a rest of half a year starts with what can still be asked for.
    sqlx::query("insert into product_hours values (date_trunc('hour', now() - interval '200 days', 'UTC'), 'P1', 1)")
        .execute(&pool)
        .await
        .expect("an old hour");
    sqlx::query("update sealed_hours set until = date_trunc('hour', now() - interval '199 days', 'UTC')")
        .execute(&pool)
        .await
        .expect("rested");
    sqlx::query("delete from product_hours where orders = 99").execute(&pool).await.expect("forgotten");
    let hours = seal_hours(&pool).await.expect("sealed");
    assert!((31 * 24 - 1..=31 * 24).contains(&hours), "{hours} hours");
    assert_eq!(sealed_rows(&pool).await, 1, "the old hour is gone");
    let popular = count(&pool, Question::USUAL, None).await.expect("counted");
    assert_eq!(popular.products[0].order_count, 1);
}

#[tokio::test]
async fn a_year_of_real_orders_is_counted_exactly() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/orders.csv.gz");
    let Ok(file) = std::fs::File::open(&folder) else {
        stack::tell_skipped("there are no real orders beside the repository");
        return;
    };
    let mut orders: Vec<Order> = Vec::new();
    for row in csv::Reader::from_reader(flate2::read::GzDecoder::new(file)).deserialize() {
        let row: BTreeMap<String, String> = row.expect("a row");
        let items = row["items"].split(' ').filter_map(|item| item.split(':').next());
        orders.push((row["orderedAt"].parse().expect("a date"), items.map(str::to_owned).collect()));
    }
    // As if the shop had ended its year just now.
    let shift = Utc::now() - orders.iter().map(|(at, _)| *at).max().expect("there are orders");
    orders.iter_mut().for_each(|(at, _)| *at += shift);
    let pool = shop().await;
    insert(&pool, &orders).await;
    seal_hours(&pool).await.expect("sealed");
    assert!(compare(&pool, Utc::now()).await > 700, "there was something to compare");
}

/// There are no lines here, so nobody asks what was decided.
struct Nothing;

impl Archive for Nothing {
    fn floor<'a>(&'a self, _: &'a Group) -> BoxFuture<'a, Result<Floor, ArchiveError>> {
        Box::pin(std::future::ready(Ok(Floor::default())))
    }
}

fn link(redis: &Redis) -> Link {
    let servers = Servers::new(&redis.url(), None).expect("an address");
    Link::new(servers, Vec::new(), LineLimits::new(1), Arc::new(Nothing), None, 0)
}

/// Counts are counted for the whole process, so only one test at a time has caches.
static CACHES: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_at_once_wait_for_one_count() {
    let _alone = CACHES.lock().await;
    const CALLERS: usize = 100;
    let pool = shop().await;
    insert(&pool, &[(Utc::now() - TimeDelta::hours(1), ["P1".to_owned()].into())]).await;
    let redis = Redis::start(RedisOptions::default()).expect("Redis");
    let link = link(&redis);
    let ttl = Duration::from_secs(300);
    // As many processes would: they share nothing but Redis and Postgres.
    let caches: Vec<Cache> = (0..4).map(|_| Cache::new(pool.clone(), link.clone(), ttl)).collect();
    let metrics = runtime::metrics::install(Process::Api, &Known::default()).expect("the only recorder");
    let before = counts(&metrics);
    let asked = (0..CALLERS).map(|caller| {
        let cache = caches[caller % caches.len()].clone();
        tokio::spawn(async move { cache.get(Question::USUAL).await.expect("an answer") })
    });
    let answers = join_all(asked).await.into_iter().map(|answer| answer.expect("no panic"));
    let different: BTreeSet<String> = answers.map(|json| json.to_string()).collect();
    assert_eq!(different.len(), 1, "{different:?}");
    assert_eq!(counts(&metrics) - before, 1, "one counted, the others waited");
    let reads = [reads(&metrics, "hit"), reads(&metrics, "miss")];
    assert_eq!(reads, [CALLERS as u64 - 1, 1], "every question is a hit or a miss");
    assert_eq!(redis.command(&["EXISTS", "popular:3days:5:counting"]).expect("asked"), "0");
    let left: i64 = redis.command(&["PTTL", "popular:3days:5"]).expect("asked").parse().expect("a number");
    assert!((1..=300_000).contains(&left), "{left}");

    redis.command(&["DEL", "popular:3days:5"]).expect("gone");
    redis.command(&["SET", "popular:3days:5:counting", "somebody", "PX", "700"]).expect("promised");
    let fresh = Cache::new(pool.clone(), link.clone(), ttl);
    fresh.get(Question::USUAL).await.expect("whoever promised and died is not waited for for ever");
    assert_eq!(counts(&metrics) - before, 2);
    fresh.refresh(Question::USUAL).await.expect("counted anew");
    assert_eq!(counts(&metrics) - before, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_while_counting_leaves_the_answer_to_the_others() {
    let _alone = CACHES.lock().await;
    let pool = shop().await;
    let redis = Redis::start(RedisOptions::default()).expect("Redis");
    let link = link(&redis);
    let cache = Cache::new(pool.clone(), link.clone(), Duration::from_secs(300));
    let mut holding = begin(&pool, Timeouts::SNAPSHOT).await.expect("a transaction");
    sqlx::query("lock table product_hours in access exclusive mode").execute(&mut *holding).await.expect("locked");
    let asking = tokio::spawn(async move { cache.get(Question::USUAL).await });
    let exists = |key: &str| redis.command(&["EXISTS", key]).expect("asked") == "1";
    wait_for("the promise to count", DEADLINE, || exists("popular:3days:5:counting").then_some(()));
    asking.abort();
    drop(holding);
    wait_for("the answer", DEADLINE, || {
        (exists("popular:3days:5") && !exists("popular:3days:5:counting")).then_some(())
    });
}

/// How often was counted, by all caches of this process.
fn counts(metrics: &PrometheusHandle) -> u64 {
    series(metrics, "droplane_popular_counts_total ")
}

/// How often was asked, by all caches of this process, with an answer from there.
fn reads(metrics: &PrometheusHandle, cache: &str) -> u64 {
    series(metrics, &format!("droplane_popular_reads_total{{cache=\"{cache}\"}} "))
}

fn series(metrics: &PrometheusHandle, name: &str) -> u64 {
    let text = metrics.render();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|count| count.parse().ok()).expect("the series is there from the start")
}
