//! Schedules: each tick once, whoever of several workers takes it, and what goes wrong is noted and tried again.

mod support;

use sqlx::Executor;
use stack::{Process, wait_for_async};
use support::{DEADLINE, World};

/// A worker whose schedule ticks every second.
fn start(world: &World) -> Process {
    world.start_worker_with(&[("POPULAR_REFRESH_CRON", "* * * * * *"), ("RUST_LOG", "info,workers=debug")])
}

/// Ticks of the popular products that ended, well or not.
async fn ended(world: &World, well: bool) -> i64 {
    sqlx::query_scalar(
        "select count(*) from cron_runs where job = 'popular' and ended_at is not null and (error is null) = $1",
    )
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
    let taken: i64 = sqlx::query_scalar("select count(*) from cron_runs where job = 'popular'")
        .fetch_one(&world.pool)
        .await
        .expect("runs");
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
    let error: String =
        sqlx::query_scalar("select error from cron_runs where job = 'popular' and error is not null limit 1")
            .fetch_one(&world.pool)
            .await
            .expect("an error");
    assert!(error.contains("sealing the hours that are over"), "{error}");
}

/// Requests of an old and of a young shop, one whose key may still be known to the line, and one that waited in a held lane from then until now. Ids bear the time of
/// asking.
const OLD_AND_YOUNG: &str = "
    insert into batches (lane_group, first_ticket, last_ticket, size, worker, claimed_at, decided_at)
    select lane_group, number, number, 1, 'w', at, at
      from (values ('coupon', 1, now() - interval '28 hours'), ('coupon', 2, now() - interval '27 hours'),
                   ('coupon', 3, now() - interval '1 hour'), ('order', 1, now() - interval '30 hours'))
           as old (lane_group, number, at);
    insert into requests (request_id, lane_group, ticket, batch_id, kind, user_id, lanes, status, outcome, accepted_at,
                          decided_at)
    select rpad(lpad(to_hex((extract(epoch from asked) * 1000)::bigint), 12, '0'), 32, '7')::uuid, 'coupon', ticket, ticket,
           'COUPON_ISSUE', 'u', array['coupon:C1'], 'FAILED', '{}', asked, decided
      from (values (1, now() - interval '28 hours', now() - interval '28 hours'),
                   (2, now() - interval '27 hours', now() - interval '27 hours'),
                   (3, now() - interval '29 hours', now() - interval '1 hour'),
                   (4, now() - interval '25 hours', now() - interval '25 hours'))
           as asked (ticket, asked, decided)";

#[tokio::test(flavor = "multi_thread")]
async fn old_requests_are_forgotten_and_the_newest_batches_kept() {
    let world = World::new().await;
    world.pool.execute(OLD_AND_YOUNG).await.expect("rows");
    let _worker = world.start_worker_with(&[("REQUEST_RETENTION", "24h")]);
    let requests = async || -> Vec<i64> {
        let kept = sqlx::query_scalar("select ticket from requests order by ticket").fetch_all(&world.pool);
        kept.await.expect("requests")
    };
    let gone = || async { (requests().await.len() < 4).then_some(()) };
    wait_for_async("old requests to be gone", DEADLINE, gone).await;
    assert_eq!(requests().await, [3, 4], "what was decided lately is kept, however long ago it was asked");
    let tick = "select ended_at is not null and error is null from cron_runs where job = 'retention'";
    let ended =
        || async { sqlx::query_scalar::<_, bool>(tick).fetch_one(&world.pool).await.ok().filter(|ended| *ended) };
    wait_for_async("the tick to end", DEADLINE, ended).await;
    let batches: Vec<(String, i64)> = sqlx::query_as("select lane_group, last_ticket from batches order by 1, 2")
        .fetch_all(&world.pool)
        .await
        .expect("batches");
    assert_eq!(
        batches,
        [("coupon".to_owned(), 3), ("order".to_owned(), 1)],
        "the newest one says which tickets were given"
    );
}

/// Entries of one shopper: due, due but used, not yet due, and without an end.
const WALLET: &str = "
    insert into user_coupons (user_id, coupon_id, user_coupon_id, issued_at, expires_at, used_at, order_id)
    select 'u', name, md5(name)::uuid, now() - interval '2 days', now() + ends, used,
           case when used is not null then md5(name)::uuid end
      from (values ('due', interval '-1 hour', null::timestamptz), ('held', interval '-2 hours', null),
                   ('used', interval '-1 hour', now() - interval '1 day'), ('coming', interval '1 hour', null),
                   ('endless', null, null))
           as entry (name, ends, used)";

#[tokio::test(flavor = "multi_thread")]
async fn expired_entries_are_marked_once_and_waiting_for_nobody() {
    let world = World::new().await;
    world.pool.execute(WALLET).await.expect("entries");
    let mut batch = world.pool.acquire().await.expect("a connection");
    batch.execute("begin; select from user_coupons where coupon_id = 'held' for update").await.expect("a lock");
    let _workers = [world.start_worker_with(&[]), world.start_worker_with(&[])];
    let marked = async || -> Vec<(String, String)> {
        let rows = sqlx::query_as(
            "select coupon_id, expired_at::text from user_coupons where expired_at is not null order by 1",
        );
        rows.fetch_all(&world.pool).await.expect("entries")
    };
    let some = || async { Some(marked().await).filter(|marked| !marked.is_empty()) };
    let first = wait_for_async("the first mark", DEADLINE, some).await;
    assert_eq!(first.iter().map(|(coupon, _)| coupon.as_str()).collect::<Vec<_>>(), ["due"]);

    batch.execute("rollback").await.expect("the lock is gone");
    let both = || async { Some(marked().await).filter(|marked| marked.len() == 2) };
    let second = wait_for_async("the other mark", DEADLINE, both).await;
    assert_eq!(second[0], first[0], "marked once");
    assert_eq!(second[1].0, "held");
}
