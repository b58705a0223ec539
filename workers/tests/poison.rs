//! Commands that cannot be decided are found and set aside, and nobody else is.

mod support;

use chrono::{DateTime, Utc};
use common::{ChargeBalance, Command, Group, Outcome, Refusal, RequestId};
use lanes::{Append, ClaimLimits, Lane, Release, Status};
use runtime::fault_points::Point;
use sqlx::pool::PoolConnection;
use sqlx::{Executor, PgConnection, Postgres};
use stack::{wait_for, wait_for_async};
use support::{COUPONS, DEADLINE, World, claim, model, rush, to_append};
use uuid::Uuid;

/// Puts bytes into the line of a coupon that no worker can read.
async fn submit_garbage(world: &World, envelope: &[u8]) -> RequestId {
    let id = RequestId::new(Uuid::now_v7(), COUPONS);
    let lanes: Vec<Lane> = vec!["coupon:C1".parse().expect("a lane")];
    let append = Append { id: id.as_uuid(), lanes, key: None, gate: None, quota: None, envelope: envelope.to_vec() };
    world.lanes(COUPONS).append(&[append]).await.expect("the line is there");
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_cannot_be_read_is_parked_and_the_line_moves_on() {
    let world = World::new().await;
    world.coupon("C1", 1_000).await;
    let mut shoppers = Vec::new();
    let mut poison = Vec::new();
    for number in 0..300 {
        if number % 100 == 50 {
            poison.push(submit_garbage(&world, b"{\"version\":1,\"command\":null}").await);
        }
        shoppers.push(world.submit(claim(&format!("u{number}"), "C1"), None).await.0);
    }
    let _worker = world.start_worker();
    for id in &poison {
        assert_eq!(world.outcome(*id).await.outcome, Outcome::Failed(Refusal::Internal));
    }
    for id in shoppers {
        assert!(matches!(world.outcome(id).await.outcome, Outcome::Succeeded(_)), "an innocent was blamed");
    }
    let parked: Vec<(Uuid, Vec<u8>)> =
        sqlx::query_as("select request_id, envelope from parked_commands").fetch_all(&world.pool).await.unwrap();
    assert_eq!(parked.len(), poison.len());
    assert!(parked.iter().all(|(id, envelope)| poison.contains(&RequestId::from_uuid(*id)) && !envelope.is_empty()));
    world.drained().await;
    world.check_promises().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_a_newer_build_waits_for_it() {
    let world = World::new().await;
    world.coupon("C1", 10).await;
    let worker = world.start_worker();
    let newer = submit_garbage(&world, b"{\"version\":2,\"command\":\"something new\"}").await;
    let (behind, _) = world.submit(claim("u1", "C1"), None).await;
    wait_for("the worker to say so, again and again", DEADLINE, || {
        (worker.log().matches("waiting for a worker of a newer build").count() > 2).then_some(())
    });
    let lanes = world.lanes(COUPONS);
    assert_eq!(lanes.depth(1).await.unwrap().waiting, 2, "nobody is decided, nobody is parked");
    assert!(lanes.status(newer.as_uuid()).await.is_ok() && lanes.status(behind.as_uuid()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_parked_hold_the_group_and_alert() {
    let world = World::new().await;
    world.coupon("C1", 10).await;
    for _ in 0..25 {
        submit_garbage(&world, b"nonsense").await;
    }
    let _worker = world.start_worker();
    let lanes = world.lanes(COUPONS);
    wait_for_async("the group to be held", DEADLINE, || async {
        lanes.depth(1).await.ok().filter(|depth| depth.paused == ["*"])
    })
    .await;
    let count = |table: &'static str| {
        let pool = world.pool.clone();
        async move {
            let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
            sqlx::query_scalar::<_, i64>(sql).fetch_one(&pool).await.unwrap()
        }
    };
    assert_eq!(count("parked_commands").await, 20);
    assert_eq!(count("paused_lanes where lane = '*' and lane_group = 'coupon'").await, 1);
    assert_eq!(count("alerts where kind = 'GROUP_HELD'").await, 1);
    assert_eq!(lanes.depth(1).await.unwrap().waiting, 5, "the rest keeps its place");
}

/// A worker that dies with every batch that holds the culprit: here every batch, until the fault is taken away.
#[tokio::test(flavor = "multi_thread")]
async fn crashes_make_batches_smaller_and_cost_nobody_the_place() {
    let world = World::new().await;
    world.store(&rush::rows()).await;
    let load = rush::Rush::start(&world);
    for _ in 0..3 {
        world.arm(Point::HoldingLocks, "KILL");
        let mut worker = world.start_worker();
        world.wait_taken(Point::HoldingLocks);
        wait_for("the worker to be gone", DEADLINE, || (!worker.is_running()).then_some(()));
    }
    let _worker = world.start_worker();
    let goal = load.count() + 500;
    wait_for_async("the line to move", DEADLINE, || async { (load.count() >= goal).then_some(()) }).await;
    let accepted = load.stop().await;
    world.drained().await;
    model::check(&world.pool, &rush::rows(), &accepted).await;
    world.check_promises().await;
    let parked: i64 = sqlx::query_scalar("select count(*) from parked_commands").fetch_one(&world.pool).await.unwrap();
    assert_eq!(parked, 0, "three crashes of whole batches park nobody");
}

/// A statement that runs into its time-out comes back in smaller batches, and nobody is parked for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_takes_too_long_comes_back_smaller() {
    let world = World::new().await;
    world.coupon("C1", 1_000).await;
    // Each wallet entry costs 4 ms, so 200 at once take longer than half of the lease of one second.
    sqlx::raw_sql(
        "create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.004); return new; end $$;
         create trigger slow before insert on user_coupons for each row execute function slow();",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let (ids, appends): (Vec<_>, Vec<_>) =
        (0..200).map(|number| to_append(&claim(&format!("u{number}"), "C1"), None)).unzip();
    for together in appends.chunks(50) {
        world.lanes(COUPONS).append(together).await.unwrap();
    }
    let worker = world.start_worker();
    for id in ids {
        assert!(matches!(world.outcome(id).await.outcome, Outcome::Succeeded(_)));
    }
    assert!(worker.log().contains("release=Smaller"), "the time-out was seen");
    world.drained().await;
    world.check_promises().await;
    assert_eq!(world.lanes(Group::ORDER).depth(1).await.unwrap().waiting, 0);
}

/// Begins a charge as a worker does that asks the gateway afterwards.
async fn begin_charge(session: &mut PgConnection, id: RequestId, user: &str) {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('charge:' || $1, 0))")
        .bind(user)
        .execute(&mut *session)
        .await
        .expect("the lock");
    let charge = "with batch as (
                    insert into batches (lane_group, first_ticket, last_ticket, size, worker, claimed_at, decided_at)
                    values ('charge', 1, 1, 1, 'asleep', now(), now())
                    returning batch_id
                  )
                  insert into charges (charge_id, user_id, amount, payment_method, ticket, batch_id, accepted_at, began_at)
                  select $1, $2, 5000, 'card', 1, batch_id, now(), now() from batch";
    sqlx::query(charge).bind(id.as_uuid()).bind(user).execute(session).await.expect("a charge");
}

/// A charge failed alone so often that it is to be set aside, while somebody who slept begins it after all.
#[tokio::test(flavor = "multi_thread")]
async fn a_charge_that_begins_while_it_is_set_aside_is_not_called_failed() {
    let world = World::new().await;
    world.user("u", 0).await;
    let charge = ChargeBalance { user_id: "u".parse().unwrap(), amount: 5_000, payment_method: None };
    let (id, _) = world.submit(Command::ChargeBalance(charge), None).await;
    let lanes = world.lanes(Group::CHARGE);
    for _ in 0..3 {
        let limits = ClaimLimits { commands_max: 1, entries_max: 1, lease: DEADLINE };
        let batch = lanes.claim(limits).await.unwrap().batch.expect("a charge");
        assert!(lanes.release(batch.token, Release::Blamed).await.unwrap());
    }
    let mut asleep = world.pool.acquire().await.expect("a session");
    asleep.execute("begin").await.unwrap();
    begin_charge(&mut asleep, id, "u").await;

    let _worker = world
        .start_worker_with(&[("PAYMENT_GATEWAY_URL", "http://127.0.0.1:9"), ("PAYMENT_GATEWAY_SECRET", "sk_test_x")]);
    wait_for_async("the worker to wait for the lock of charges", DEADLINE, async || {
        let waits = "select pid from pg_stat_activity where datname = current_database() and wait_event = 'advisory'";
        sqlx::query_scalar::<_, i32>(waits).fetch_optional(&world.pool).await.unwrap()
    })
    .await;
    asleep.execute("commit").await.unwrap();
    world.drained().await;
    assert_eq!(lanes.status(id.as_uuid()).await.unwrap(), Status::Decided(Vec::new()), "left open");
    let said: (i64, i64, String) = sqlx::query_as(
        "select (select count(*) from requests), (select count(*) from parked_commands), (select status from charges)",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(said, (0, 0, "PENDING".to_owned()));
}

/// Two coupons, and a session that has the row of `C1` until it rolls back.
async fn held_coupon() -> (World, PoolConnection<Postgres>) {
    let world = World::new().await;
    for coupon in ["C1", "C2"] {
        world.coupon(coupon, 1_000).await;
    }
    let mut held = world.pool.acquire().await.expect("a session");
    held.execute("begin; select from coupons where coupon_id = 'C1' for update").await.expect("a lock");
    (world, held)
}

/// Claims of two coupons in one batch, of which the first one cannot be had, as the worker's log says: who wants the second is
/// found and served, and everybody when the session has mended it.
async fn serve_beside(world: &World, told: &str, mut session: PoolConnection<Postgres>, mend: &'static str) {
    let claims = |coupon: &str| -> (Vec<_>, Vec<_>) {
        (0..40).map(|number| to_append(&claim(&format!("u{number}"), coupon), None)).unzip()
    };
    let ((stuck, mut together), (free, others)) = (claims("C1"), claims("C2"));
    together.extend(others);
    let lanes = world.lanes(COUPONS);
    lanes.append(&together).await.expect("the line is there");
    let worker = world.start_worker();
    for id in free {
        assert!(matches!(world.outcome(id).await.outcome, Outcome::Succeeded(_)));
    }
    assert!(worker.log().contains(told), "{told} was never felt");
    let waiting = lanes.depth(1).await.expect("the line is there").waiting;
    assert_eq!(waiting, 40, "somebody had what cannot be had");
    session.execute(mend).await.expect("it is mended");
    for id in stuck {
        assert!(matches!(world.outcome(id).await.outcome, Outcome::Succeeded(_)), "an innocent was blamed");
    }
    world.drained().await;
    world.check_promises().await;
}

/// Somebody else has the row of a coupon.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_row_that_only_others_need() {
    let (world, held) = held_coupon().await;
    serve_beside(&world, "lock timeout", held, "rollback").await;
}

/// A page of the disk cannot be read, as far as the worker can tell. No value is to blame for that, so nobody is refused.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_page_that_only_others_need() {
    const BROKEN: &str = "
        create function cannot_be_read() returns trigger language plpgsql as $$
          begin raise exception 'invalid page' using errcode = 'data_corrupted'; end
        $$;
        create trigger broken before insert on user_coupons for each row when (new.coupon_id = 'C1')
          execute function cannot_be_read();";
    let (world, mut held) = held_coupon().await;
    held.execute("rollback").await.unwrap();
    held.execute(BROKEN).await.unwrap();
    serve_beside(&world, "invalid page", held, "drop trigger broken on user_coupons").await;
}

/// A command that waited too long for a row waits again, alone, and its worker goes on with others meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_goes_on_beside_who_waits_for_a_row() {
    let (world, mut held) = held_coupon().await;
    let holder: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *held).await.unwrap();
    let waiting = async || {
        let sql = "select pid, query_start from pg_stat_activity where $1 = any(pg_blocking_pids(pid))";
        sqlx::query_as::<_, (i32, DateTime<Utc>)>(sql).bind(holder).fetch_optional(&world.pool).await.unwrap()
    };
    let (stuck, _) = world.submit(claim("u1", "C1"), None).await;
    // A row is waited for a quarter of it.
    let worker = world.start_worker_with(&[("LANE_LEASE", "20s")]);
    wait_for("the row to be waited for in vain", DEADLINE, || worker.log().contains("release=Smaller").then_some(()));
    let waits = wait_for_async("the row to be waited for again", DEADLINE, waiting).await;
    let (free, _) = world.submit(claim("u1", "C2"), None).await;
    assert!(matches!(world.outcome(free).await.outcome, Outcome::Succeeded(_)));
    assert_eq!(waiting().await, Some(waits), "it is waited for all the while");
    held.execute("rollback").await.expect("the lock is gone");
    assert!(matches!(world.outcome(stuck).await.outcome, Outcome::Succeeded(_)), "an innocent was blamed");
}
