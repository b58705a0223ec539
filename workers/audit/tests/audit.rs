//! The audit against shops that are whole, and shops that are broken in one place.

mod world;

use std::collections::{BTreeMap, BTreeSet};

use audit::{Report, audit};
use sqlx::PgPool;

use world::breakages::{BREAKAGES, HARMLESS};

/// The checks in their order, and the rows that each examines in the shop of `shop.sql`.
const EXAMINED: [(&str, i64); 15] = [
    ("coupon_quantity", 3),
    ("coupon_counter", 3),
    ("stock_counter", 3),
    ("balance_is_ledger", 3),
    ("ledger_chain", 5),
    ("first_come", 18 + 2),
    ("fence", 9),
    ("one_outcome", 11 + 3 + 3),
    ("batch_counts", 4),
    ("order_amounts", 3),
    ("order_paid", 3 + 2),
    ("charges", 3 + 1),
    ("coupon_use", 3 + 3),
    ("outbox", 3 + 3),
    ("references", 4 + 3),
];

/// What was found, by check; and that the report agrees with itself.
fn violations(report: &Report) -> BTreeMap<&'static str, i64> {
    for check in &report.checks {
        assert_eq!(check.ok, check.violations == 0, "{check:?}");
        assert_eq!(check.samples.len() as i64, check.violations.min(10), "{check:?}");
        assert!(check.samples.iter().all(|sample| sample.ends_with('.')), "{check:?}");
    }
    assert_eq!(report.ok, report.checks.iter().all(|check| check.ok));
    report.checks.iter().filter(|check| !check.ok).map(|check| (check.name, check.violations)).collect()
}

fn examined(report: &Report) -> Vec<(&'static str, i64)> {
    report.checks.iter().map(|check| (check.name, check.examined)).collect()
}

#[tokio::test]
async fn a_whole_shop_keeps_all_promises() {
    let report = audit(&world::whole().await).await.expect("audited");
    assert!(report.ok, "{report:#?}");
    assert_eq!(violations(&report), BTreeMap::new());
    assert_eq!(examined(&report), EXAMINED);
}

#[tokio::test]
async fn an_empty_shop_keeps_all_promises() {
    let report = audit(&world::empty().await).await.expect("audited");
    assert!(report.ok, "{report:#?}");
    assert_eq!(examined(&report), EXAMINED.map(|(name, _)| (name, 0)));
}

/// What is wrong with what the audit says of the shop after this change, if anything.
async fn check(shop: &PgPool, sql: &str, expected: &[(&'static str, i64)]) -> Option<String> {
    world::mend(shop).await;
    world::change(shop, sql).await;
    let report = audit(shop).await.unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
    let expected: BTreeMap<_, _> = expected.iter().copied().collect();
    let found = violations(&report);
    let samples: Vec<_> = report.checks.iter().flat_map(|check| &check.samples).collect();
    (found != expected).then(|| format!("{sql}\n  expected {expected:?}\n  found    {found:?}\n  {samples:#?}"))
}

#[tokio::test]
async fn what_breaks_a_promise_is_found_and_nothing_else() {
    let shop = world::unguarded().await;
    let mut wrong = Vec::new();
    for sql in HARMLESS {
        wrong.extend(check(&shop, sql, &[]).await);
    }
    for (sql, expected) in BREAKAGES {
        assert!(!expected.is_empty(), "a change that breaks nothing belongs to the harmless ones: {sql}");
        wrong.extend(check(&shop, sql, expected).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_check_is_broken_alone_and_in_more_than_one_way() {
    let names: BTreeSet<_> = EXAMINED.iter().map(|(name, _)| *name).collect();
    for name in &names {
        let ways = BREAKAGES.iter().filter(|(_, expected)| expected.iter().any(|(found, _)| found == name));
        assert!(ways.count() > 1, "{name} is broken in one way at most");
        let alone = BREAKAGES.iter().any(|(_, expected)| matches!(expected, [(found, _)] if found == name));
        assert!(alone, "nothing breaks {name} alone");
    }
    let expected = BREAKAGES.iter().flat_map(|(_, expected)| expected.iter().map(|(name, _)| *name));
    assert_eq!(expected.filter(|name| !names.contains(name)).collect::<Vec<_>>(), [""; 0]);
}

/// Samples are what an operator reads first.
#[tokio::test]
async fn violations_are_counted_and_the_first_are_told() {
    let shop = world::unguarded().await;
    world::change(&shop, "update coupons set issued_quantity = 4 where coupon_id = 'C1'").await;
    world::change(&shop, "insert into order_syncs (order_id) select gen_random_uuid() from generate_series(1, 25)")
        .await;
    let report = audit(&shop).await.expect("audited");
    let of = |name: &str| report.checks.iter().find(|check| check.name == name).expect("a check of this name");
    assert_eq!(of("coupon_quantity").samples, ["Coupon C1 exists 3 times and was issued 4 times."]);
    assert_eq!(of("coupon_counter").samples, ["Coupon C1 counts 4 units issued, and wallets hold 2."]);
    assert_eq!((of("outbox").violations, of("outbox").samples.len()), (25, 10));
}

#[tokio::test]
async fn an_audit_that_cannot_be_made_says_where_it_stopped() {
    let pool = world::empty().await;
    sqlx::query("drop table order_syncs").execute(&pool).await.expect("dropped");
    let error = audit(&pool).await.expect_err("there is no outbox to look at");
    let told = whole_chain(&error);
    assert!(told.starts_with("audit check outbox, which asks whether every order is told"), "{told}");
    assert!(told.contains("order_syncs"), "{told}");
    pool.close().await;
    let error = audit(&pool).await.expect_err("there is no connection");
    assert!(whole_chain(&error).starts_with("opening the snapshot for the audit: "), "{error:?}");
}

fn whole_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test]
async fn the_report_reads_as_the_contract_says() {
    let pool = world::empty().await;
    let report = audit(&pool).await.expect("audited");
    let json = serde_json::to_value(&report).expect("JSON");
    assert_eq!(json["ok"], true);
    let first =
        serde_json::json!({"name": "coupon_quantity", "ok": true, "examined": 0, "violations": 0, "samples": []});
    assert_eq!(json["checks"][0], first);
    assert_eq!(json["checks"].as_array().map(Vec::len), Some(EXAMINED.len()));
}
