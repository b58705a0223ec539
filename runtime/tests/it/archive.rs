//! What Postgres remembers of the tickets when Redis has lost its data.

use lanes::{Archive, Floor, Group};
use runtime::archive::PostgresArchive;
use runtime::postgres::{migrate, pool};
use sqlx::Executor;
use stack::fresh_database;

#[tokio::test]
async fn the_highest_ticket_and_the_pauses_of_a_group_are_found() {
    let pool = pool(&fresh_database(), 2, "archive").expect("an address");
    let archive = PostgresArchive::new(pool.clone());
    let floor = async |group: &str| archive.floor(&group.parse::<Group>().expect("a name")).await;
    floor("coupon").await.expect_err("without a schema nothing is known, which is not the same as 0");

    migrate(&pool).await.expect("migrated");
    assert_eq!(floor("coupon").await.expect("asked"), Floor::default());

    pool.execute(
        "insert into batches (lane_group, first_ticket, last_ticket, size, worker, claimed_at, decided_at)
         select lane_group, last_ticket, last_ticket, 1, 'w', now(), now()
         from (values ('coupon', 7), ('coupon', 41), ('coupon', 12), ('order', 99)) b (lane_group, last_ticket);",
    )
    .await
    .expect("batches");
    pool.execute(
        "insert into paused_lanes (lane_group, lane, paused_by)
         values ('coupon', 'coupon:C1', 'admin'), ('order', 'product:P1', 'admin'), ('order', '*', 'admin')",
    )
    .await
    .expect("pauses");
    let check = async |group: &str, highest_ticket: u64, expected: &[&str]| {
        let mut floor = floor(group).await.expect("asked");
        floor.paused.sort();
        assert_eq!(
            (floor.highest_ticket, floor.paused),
            (highest_ticket, expected.iter().map(ToString::to_string).collect()),
            "{group}"
        );
    };
    check("coupon", 41, &["coupon:C1"]).await;
    check("order", 99, &["*", "product:P1"]).await;
    check("charge", 0, &[]).await;
}
