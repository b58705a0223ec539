//! A shop made by hand, to be broken.

pub mod breakages;

use sqlx::{AssertSqlSafe, Executor, PgPool, raw_sql};

const SHOP: &str = include_str!("shop.sql");

/// The audit is to find what the schema would not let in; so the shop that is broken has no CHECK constraints, on
/// tables or domains, and may credit a charge twice. Keys stay: they are what the tables are.
const WITHOUT_GUARDS: &str = "
    do $$
    declare guard record;
    begin
      for guard in select conrelid, contypid, conname from pg_constraint
                    where contype = 'c' and connamespace = 'public'::regnamespace loop
        if guard.conrelid <> 0 then
          execute format('alter table %s drop constraint %I', guard.conrelid::regclass, guard.conname);
        else
          execute format('alter domain %s drop constraint %I', guard.contypid::regtype, guard.conname);
        end if;
      end loop;
    end $$;
    drop index ledger_charges";

const WITHOUT_ROWS: &str = "
    do $$
    declare shop_table text;
    begin
      for shop_table in select tablename from pg_tables where schemaname = 'public' and tablename !~ '^_' loop
        execute format('delete from %I', shop_table);
      end loop;
    end $$";

/// A migrated database with nothing in it.
pub async fn empty() -> PgPool {
    const CONNECTIONS: u32 = 2;
    let pool = runtime::postgres::pool(&stack::fresh_database(), CONNECTIONS, "audit-test").expect("an address");
    runtime::postgres::migrate(&pool).await.expect("migrated");
    pool
}

/// The shop of `shop.sql`, guarded by the schema, so that it is one that can exist.
pub async fn whole() -> PgPool {
    let pool = empty().await;
    pool.execute(raw_sql(SHOP)).await.expect("the shop is as the schema wants it");
    pool
}

/// The shop of `shop.sql` with nobody to guard it.
pub async fn unguarded() -> PgPool {
    let pool = whole().await;
    pool.execute(raw_sql(WITHOUT_GUARDS)).await.expect("the guards are off");
    pool
}

/// Makes the shop whole again.
pub async fn mend(shop: &PgPool) {
    shop.execute(raw_sql(WITHOUT_ROWS)).await.expect("no rows are left");
    shop.execute(raw_sql(SHOP)).await.expect("the shop is whole");
}

/// Changes the shop.
pub async fn change(shop: &PgPool, sql: &str) {
    let changed = shop.execute(raw_sql(AssertSqlSafe(sql))).await;
    let changed = changed.unwrap_or_else(|error| panic!("{sql}\n{error}"));
    assert!(changed.rows_affected() > 0, "this changed nothing: {sql}");
}
