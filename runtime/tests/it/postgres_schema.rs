//! The migrations, and what programs of different ages make of each other's schema.

use runtime::postgres::{SchemaError, SchemaState, migrate, migrate_within, pool, schema_is_current, schema_state};
use runtime::readiness::Readiness;
use sqlx::{Executor, PgPool};
use stack::fresh_database;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn fresh_pool() -> PgPool {
    pool(&fresh_database(), 4, "schema").expect("an address")
}

#[tokio::test]
async fn an_empty_database_becomes_current_once_whoever_comes_first() {
    let pool = fresh_pool();
    assert!(matches!(schema_state(&pool).await, Ok(SchemaState::Behind(missing)) if missing.contains(&1)));
    let both = tokio::join!(migrate(&pool), migrate(&pool));
    both.0.and(both.1).expect("both are content");
    assert_eq!(schema_state(&pool).await.expect("asked"), SchemaState::Current);
    migrate(&pool).await.expect("again changes nothing");
    pool.execute("select product_id, coupon_id from products, coupons").await.expect("the tables are there");
}

#[tokio::test]
async fn a_migration_from_the_future_is_left_alone() {
    let pool = fresh_pool();
    migrate(&pool).await.expect("migrated");
    pool.execute("insert into _sqlx_migrations select 9999, 'newer', now(), true, '\\x00', 0").await.expect("inserted");
    assert!(schema_is_current(&pool).await.expect("asked"));
    migrate(&pool).await.expect("an older program starts beside a newer one");
}

#[tokio::test]
async fn a_changed_migration_is_named() {
    let pool = fresh_pool();
    migrate(&pool).await.expect("migrated");
    pool.execute("update _sqlx_migrations set checksum = '\\x00' where version = 1").await.expect("changed");
    assert_eq!(schema_state(&pool).await.expect("asked"), SchemaState::Changed(vec![1]));
    let error = migrate(&pool).await.expect_err("refused");
    assert!(matches!(error, SchemaError::Changed(1)), "{error:?}");
}

#[tokio::test]
async fn a_held_lock_is_waited_for_and_then_named() {
    let pool = fresh_pool();
    let mut holder = pool.acquire().await.expect("connected");
    // Somebody works on the very table that the migration wants to make.
    holder.execute("begin; create table products (product_id text)").await.expect("made, not committed");
    let (lock, wait) = (Duration::from_millis(50), Duration::from_millis(200));
    let error = migrate_within(&pool, lock, wait).await.expect_err("the lock is held");
    assert!(matches!(error, SchemaError::Locked { .. }), "{error:?}");
    assert!(error.to_string().contains("for 200ms another session held a lock"), "{error}");

    holder.execute("rollback").await.expect("freed");
    migrate_within(&pool, lock, wait).await.expect("nothing was left locked by the attempts");
}

#[tokio::test]
async fn two_migrators_exclude_each_other() {
    let pool = fresh_pool();
    migrate(&pool).await.expect("migrated");
    let mut other = pool.acquire().await.expect("connected");
    sqlx::migrate::Migrate::lock(&mut *other).await.expect("the lock of all migrators");
    let (lock, wait) = (Duration::from_millis(50), Duration::ZERO);
    let error = migrate_within(&pool, lock, wait).await.expect_err("the lock is held");
    assert!(matches!(error, SchemaError::Locked { .. }), "{error:?}");
    other.close().await.expect("closed");
    migrate_within(&pool, lock, wait).await.expect("free again");
}

#[tokio::test]
async fn readiness_says_what_the_schema_lacks() {
    let pool = fresh_pool();
    let ready = || Readiness::builder(CancellationToken::new()).postgres(pool.clone()).build();
    let answer = ready().answer().await;
    let detail = answer.checks[0].detail.clone().unwrap_or_default();
    assert!(!answer.ready && detail.contains("are missing; `api migrate` applies them"), "{answer:?}");
    migrate(&pool).await.expect("migrated");
    assert!(ready().answer().await.ready);
    pool.close().await;
    assert!(!ready().answer().await.ready);
}
