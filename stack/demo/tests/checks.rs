//! Each of our own checks finds what it is there to find: clean data pass, and every way to break them is seen.

use demo::checks::{self, Check};
use demo::load::{Code, Outcome};
use demo::sale::Campaign;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

/// Two units of one coupon for three shoppers, and one order.
const CLEAN: &str = "
    insert into products (product_id, name, price, stock, stocked) values ('P1', 'Lamp', 5, 8, 10);
    insert into users (user_id, balance) values ('u1', 90), ('u2', 0);
    insert into ledger (user_id, kind, amount, balance_after, reference_id, created_at)
      values ('u1', 'OPENING', 100, 100, gen_random_uuid(), now()), ('u1', 'ORDER', -10, 90, gen_random_uuid(), now());
    insert into orders (order_id, user_id, total_amount, discount_amount, final_amount, created_at)
      values ('00000000-0000-0000-0000-00000000000a', 'u1', 10, 0, 10, now());
    insert into order_lines (order_id, line, product_id, quantity, unit_price)
      values ('00000000-0000-0000-0000-00000000000a', 1, 'P1', 2, 5);
    insert into coupons (coupon_id, name, discount_type, discount_value, total_quantity, issued_quantity)
      values ('C1', 'Off', 'FIXED', 1, 2, 2);
    insert into user_coupons (user_id, coupon_id, user_coupon_id, issued_at)
      values ('u1', 'C1', gen_random_uuid(), now()), ('u2', 'C1', gen_random_uuid(), now());
    insert into requests (request_id, lane_group, ticket, batch_id, kind, user_id, lanes, status, outcome,
                          accepted_at, decided_at)
      select ('00000000-0000-0000-0000-00000000000' || ticket)::uuid, 'coupon', ticket, 1, 'COUPON_ISSUE', 'u' || ticket,
             array['coupon:C1'], case when ticket <= 2 then 'SUCCEEDED' else 'FAILED' end,
             case when ticket <= 2 then '{}' else '{\"code\": \"C001\"}' end::jsonb, now(), now()
        from generate_series(1, 3) as ticket;
";

/// The names of the checks that fail.
async fn failing(connection: &mut PgConnection) -> Vec<&'static str> {
    let campaign = Campaign {
        coupon_id: "C1".parse().expect("an id"),
        total_quantity: 2,
        discount_percent: 1,
        max_discount: 1,
        min_order: 0,
    };
    let sold_out = Outcome::Refused(Code::parse("C001").expect("a code"));
    let told = [Outcome::Succeeded, Outcome::Succeeded, sold_out];
    let told: Vec<_> = (1..).zip(told).map(|(id, outcome)| (Uuid::from_u128(id), Some(outcome))).collect();
    let all: [anyhow::Result<Check>; 4] = [
        checks::first_come(connection, &campaign).await,
        checks::no_oversell(connection).await,
        checks::balances(connection).await,
        checks::as_told(connection, &told).await,
    ];
    let all = all.map(|check| check.expect("Postgres answers"));
    all.into_iter().filter(|check| !check.ok).map(|check| check.name).collect()
}

#[tokio::test]
async fn what_is_broken_is_found() {
    const FIRST_COME: &str = "winners are exactly the first tickets";
    const OVERSOLD: &str = "nothing was oversold";
    const BALANCES: &str = "balances equal the ledger";
    const TOLD: &str = "every accepted request has the outcome that the shopper was told";
    let url = stack::fresh_database();
    let pool = runtime::postgres::pool(&url, 1, "checks").unwrap();
    runtime::postgres::migrate(&pool).await.unwrap();
    pool.close().await;
    let mut connection = checks::connect(&url).await.unwrap();
    sqlx::raw_sql(CLEAN).execute(&mut connection).await.unwrap();
    assert!(failing(&mut connection).await.is_empty());

    let rows: [(&str, &[&str]); 10] = [
        ("update requests set ticket = 9 where ticket = 1", &[FIRST_COME]),
        ("update requests set status = 'SUCCEEDED' where ticket = 3", &[FIRST_COME, TOLD]),
        ("update requests set status = 'FAILED' where ticket = 2", &[FIRST_COME, TOLD]),
        ("delete from requests where ticket = 3", &[TOLD]),
        ("update requests set outcome = '{\"code\": \"C004\"}' where ticket = 3", &[TOLD]),
        ("update products set stock = 9", &[OVERSOLD]),
        ("update order_lines set quantity = 3", &[OVERSOLD]),
        ("delete from user_coupons where user_id = 'u2'", &[OVERSOLD]),
        ("update users set balance = 1 where user_id = 'u2'", &[BALANCES]),
        ("delete from users where user_id = 'u1'", &[BALANCES]),
    ];
    for (breaks, meant) in rows {
        sqlx::raw_sql("begin").execute(&mut connection).await.unwrap();
        let broken = sqlx::raw_sql(AssertSqlSafe(breaks)).execute(&mut connection).await.unwrap();
        assert_eq!(broken.rows_affected(), 1, "{breaks}");
        assert_eq!(failing(&mut connection).await, meant, "{breaks}");
        sqlx::raw_sql("rollback").execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}
