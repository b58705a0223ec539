//! Schedules: each tick once, whoever of several workers takes it, and what goes wrong is noted and tried again.

mod support;

use stack::{Process, wait_for_async};
use support::{DEADLINE, World};

/// A worker whose schedule ticks every second.
fn start(world: &World) -> Process {
    world.start_worker_with(&[("POPULAR_REFRESH_CRON", "* * * * * *"), ("RUST_LOG", "info,workers=debug")])
}

/// Ticks that ended, well or not.
async fn ended(world: &World, well: bool) -> i64 {
    sqlx::query_scalar("select count(*) from cron_runs where ended_at is not null and (error is null) = $1")
        .bind(well)
        .fetch_one(&world.pool)
        .await
        .expect("the runs")
}

async fn wait_for_more(world: &World, well: bool, more: i64) {
    let goal = ended(world, well).await + more;
    wait_for_async("ticks to end", DEADLINE, || async { (ended(world, well).await >= goal).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_runs_once_with_several_workers() {
    let world = World::new().await;
    let mut workers = [start(&world), start(&world), start(&world)];
    wait_for_more(&world, true, 4).await;
    workers[0].kill9();
    wait_for_more(&world, true, 2).await;
    for worker in &mut workers[1..] {
        worker.stop();
    }
    let runs: usize = workers.iter().map(|worker| worker.log().matches("hours were sealed").count()).sum();
    let taken: i64 = sqlx::query_scalar("select count(*) from cron_runs").fetch_one(&world.pool).await.expect("runs");
    // The one that was killed may have taken a tick and not come to its end.
    assert!(taken >= 6 && (taken - 1..=taken).contains(&(runs as i64)), "{runs} runs for {taken} ticks");
    assert_eq!(ended(&world, false).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_noted_and_tried_at_the_next_tick() {
    let world = World::new().await;
    let worker = start(&world);
    wait_for_more(&world, true, 1).await;
    let rename = "alter table sealed_hours rename to away";
    sqlx::query(rename).execute(&world.pool).await.expect("renamed");
    wait_for_more(&world, false, 2).await;
    assert!(worker.log().contains("popular failed, and will be tried at its next tick"), "{}", worker.log());
    sqlx::query("alter table away rename to sealed_hours").execute(&world.pool).await.expect("renamed");
    wait_for_more(&world, true, 2).await;
    let error: String = sqlx::query_scalar("select error from cron_runs where error is not null limit 1")
        .fetch_one(&world.pool)
        .await
        .expect("an error");
    assert!(error.contains("sealing the hours that are over"), "{error}");
}
