//! Faults on real processes, under load. After each: the outcome of every accepted request is the model's, the audit is
//! clean, and nothing is left in the line.

mod support;

use std::time::Duration;

use common::Command;
use runtime::fault_points::Point;
use stack::{Process, wait_for};
use support::{DEADLINE, World, model, rush};

/// The workers' lease in these tests.
const LEASE: Duration = Duration::from_secs(1);

/// A line moves again within this time after the lease of a dead worker.
const MOVES_AGAIN_WITHIN: Duration = Duration::from_secs(2);

/// How often a worker is killed at each point.
const KILLS: usize = 10;

/// The rush goes on until this many more commands were accepted: the line moves again.
async fn more_accepted(rush: &rush::Rush, more: usize) {
    let goal = rush.count() + more;
    stack::wait_for_async("the line to move", DEADLINE, || async { (rush.count() >= goal).then_some(()) }).await;
}

/// Lets the load end, waits for the last outcome, and compares everything with the model.
async fn finish(world: World, rush: rush::Rush) {
    let accepted = rush.stop().await;
    world.drained().await;
    model::check(&world.pool, &rush::rows(), &accepted).await;
    world.check_promises().await;
}

async fn killed_at(point: Point, kills: usize) {
    let world = World::new().await;
    world.store(&rush::rows()).await;
    let _steady = world.start_worker();
    let load = rush::Rush::start(&world);
    for _ in 0..kills {
        world.arm(point, "KILL");
        let mut workers = [world.start_worker(), world.start_worker()];
        world.wait_taken(point);
        // Any of the three may have taken it; those that still live are ended in good order.
        more_accepted(&load, 100).await;
        for worker in &mut workers {
            worker.stop();
        }
    }
    let _another = world.start_worker();
    finish(world, load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_killed_before_the_transaction() {
    killed_at(Point::BeforeTransaction, KILLS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_killed_while_they_hold_locks() {
    killed_at(Point::HoldingLocks, KILLS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_killed_before_the_commit() {
    killed_at(Point::BeforeCommit, KILLS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_killed_between_commit_and_ack() {
    killed_at(Point::AfterCommit, KILLS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long"]
async fn workers_killed_at_every_point_many_times() {
    for point in Point::OF_A_BATCH {
        killed_at(point, 5 * KILLS).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_panics_keeps_its_lines_moving() {
    let world = World::new().await;
    world.store(&rush::rows()).await;
    let worker = world.start_worker();
    let load = rush::Rush::start(&world);
    for point in Point::OF_A_BATCH {
        world.arm(point, "panic");
        world.wait_taken(point);
        more_accepted(&load, 100).await;
    }
    assert!(worker.log().contains("panics"), "the panics were seen");
    finish(world, load).await;
}

/// A worker that was stopped past its lease wakes up and finds that somebody else has decided.
async fn zombie_at(point: Point, seen_by: &str) {
    let world = World::new().await;
    world.store(&rush::rows()).await;
    let load = rush::Rush::start(&world);
    world.arm(point, "STOP");
    let mut zombie = world.start_worker();
    world.wait_taken(point);
    wait_for("the worker to stand still", DEADLINE, || is_stopped(zombie.pid()).then_some(()));

    let other = world.start_worker();
    wait_for("its lease to end", DEADLINE, || (said(&other, "leases expired") > 0).then_some(()));
    more_accepted(&load, 1_000).await;
    zombie.sigcont();
    wait_for("the fence or the time-out to be seen", DEADLINE, || zombie.log().contains(seen_by).then_some(()));
    more_accepted(&load, 100).await;
    finish(world, load).await;
}

/// All of its batch has been decided, so it finds the outcomes and comes too late with its ack. That the fence refuses
/// what has no outcome is shown below, where only a part was decided, and where nobody knows the command any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_whose_batch_was_decided_changes_nothing() {
    zombie_at(Point::BeforeTransaction, "because another worker has the batch").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_that_holds_locks_loses_its_session() {
    zombie_at(Point::HoldingLocks, "a batch was given back").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_commit_fails() {
    zombie_at(Point::BeforeCommit, "committing").await;
}

/// Whether the kernel says that the process is stopped.
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_killed_and_restarted() {
    let world = World::new().await;
    world.store(&rush::rows()).await;
    let worker = world.start_worker();
    let load = rush::Rush::start(&world);
    // A worker that still starts waits for Redis in other words.
    wait_for("the worker to work", DEADLINE, || (said(&worker, "decided") > 0).then_some(()));
    for _ in 0..3 {
        more_accepted(&load, 200).await;
        let before = said(&worker, "claiming fails");
        world.kill_redis();
        wait_for("the worker to notice", DEADLINE, || (said(&worker, "claiming fails") > before).then_some(()));
        world.restart_redis();
        // An outage is told once for each group, so all must be out of it to tell of the next.
        let is_over = || said(&worker, "claiming works again") == said(&worker, "claiming fails");
        wait_for("the worker to claim again", DEADLINE, || is_over().then_some(()));
    }
    more_accepted(&load, 200).await;
    finish(world, load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_stopped_hard_and_restarted() {
    let world = World::with_own_postgres().await;
    world.store(&rush::rows()).await;
    let worker = world.start_worker();
    let load = rush::Rush::start(&world);
    wait_for("the worker to work", DEADLINE, || (said(&worker, "decided") > 0).then_some(()));
    for _ in 0..3 {
        more_accepted(&load, 200).await;
        let before = said(&worker, "a batch was given back");
        world.stop_postgres();
        let noticed = || (said(&worker, "a batch was given back") > before).then_some(());
        wait_for("the worker to notice", DEADLINE, noticed);
        world.restart_postgres();
    }
    more_accepted(&load, 200).await;
    finish(world, load).await;
}

/// How often a process wrote something.
fn said(process: &Process, what: &str) -> usize {
    process.log().matches(what).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_that_went_back_are_given_anew() {
    let world = World::new().await;
    world.store(&rush::rows()).await;
    let worker = world.start_worker();
    let load = rush::Rush::start(&world);
    more_accepted(&load, 1_000).await;
    let accepted = load.stop().await;
    world.drained().await;

    for group in ["coupon", "order"] {
        world.redis(&["HSET", &format!("{{{group}}}:counter"), "ticket", "5"]);
    }
    let load = rush::Rush::start_at(&world, 1_000_000);
    wait_for("the fence to refuse", DEADLINE, || worker.log().contains("went back").then_some(()));
    more_accepted(&load, 500).await;
    let mut all = load.stop().await;
    all.extend(accepted);
    world.drained().await;
    model::check(&world.pool, &rush::rows(), &all).await;
    world.check_promises().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_moves_again_soon_after_its_worker_died() {
    let world = World::new().await;
    world.coupon("C1", 10).await;
    let workers = [world.start_worker(), world.start_worker()];
    for worker in &workers {
        wait_for("both to work", DEADLINE, || (said(worker, "INFO workers: workers") > 1).then_some(()));
    }
    world.arm(Point::HoldingLocks, "KILL");
    let (id, _) = world.submit(support::claim("u1", "C1"), None).await;
    let receipt = world.outcome(id).await;
    world.wait_taken(Point::HoldingLocks);
    let waited = (receipt.decided_at - receipt.accepted_at).to_std().unwrap_or_default();
    assert!(waited < LEASE + MOVES_AGAIN_WITHIN, "decided after {waited:?}");
    world.drained().await;
    world.check_promises().await;
}

/// A row of a lane may be ahead of its group's batches, after coupons were spread over other groups or a backup of one
/// table was restored. The line finds its way above it.
#[tokio::test(flavor = "multi_thread")]
async fn a_lane_ahead_of_its_group_gets_tickets_above_it() {
    let world = World::new().await;
    world.coupon("C1", 10).await;
    sqlx::query("update coupons set last_ticket = 50000000").execute(&world.pool).await.expect("the row is there");
    let worker = world.start_worker();
    let (id, _) = world.submit(support::claim("u1", "C1"), None).await;
    let receipt = world.outcome(id).await;
    assert!(matches!(receipt.outcome, common::Outcome::Succeeded(_)), "{receipt:?}");
    assert!(receipt.ticket > 50_000_000, "the ticket is {}", receipt.ticket);
    assert_eq!(said(&worker, "went back"), 1, "one re-ticketing is enough");
}

/// A worker was stopped with eight claims in hand, and the one after it with the first of them decided. Who wakes first
/// finds part of its batch decided and the lease gone: the rest is not its to decide, whatever the tickets say.
#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_that_wakes_before_its_first_statement_is_fenced() {
    let world = World::new().await;
    world.coupon("C1", 10).await;
    let commands: Vec<Command> = (0..8).map(|number| support::claim(&format!("u{number}"), "C1")).collect();
    let (ids, appends): (Vec<_>, Vec<_>) = commands.iter().map(|command| support::to_append(command, None)).unzip();
    world.lanes(support::COUPONS).append(&appends).await.expect("the line is there");
    world.arm(Point::BeforeTransaction, "STOP");
    let mut zombie = world.start_worker();
    world.wait_taken(Point::BeforeTransaction);
    wait_for("the worker to stand still", DEADLINE, || is_stopped(zombie.pid()).then_some(()));

    world.arm(Point::AfterCommit, "STOP");
    let mut second = world.start_worker();
    world.wait_taken(Point::AfterCommit);
    wait_for("the second to stand still", DEADLINE, || is_stopped(second.pid()).then_some(()));
    let decided: i64 =
        sqlx::query_scalar("select count(*) from requests").fetch_one(&world.pool).await.expect("the record");
    assert!((1..8).contains(&decided), "{decided} of 8 are decided");

    zombie.sigcont();
    wait_for("the fence to refuse", DEADLINE, || (said(&zombie, "the lease went to another worker") > 0).then_some(()));
    assert!(zombie.log().contains("was dropped, because another worker has it"), "the batch was dropped");
    second.sigcont();
    world.drained().await;
    let accepted = ids.into_iter().zip(commands).collect();
    let before = model::Before { coupons: [("C1".to_owned(), 10)].into(), ..model::Before::default() };
    model::check(&world.pool, &before, &accepted).await;
    world.check_promises().await;
}

/// Redis lost the line while a worker stood still, and newcomers were decided on its lane. Nobody knows the zombie's
/// command any more, so only the fence can tell it that it is late.
#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_whose_command_was_lost_is_fenced() {
    let world = World::new().await;
    world.coupon("C1", 10).await;
    world.arm(Point::BeforeTransaction, "STOP");
    let mut zombie = world.start_worker();
    let (lost, _) = world.submit(support::claim("u1", "C1"), None).await;
    world.wait_taken(Point::BeforeTransaction);
    wait_for("the worker to stand still", DEADLINE, || is_stopped(zombie.pid()).then_some(()));
    world.redis(&["FLUSHALL"]);

    let _other = world.start_worker();
    let (newcomer, _) = world.submit(support::claim("u2", "C1"), None).await;
    world.outcome(newcomer).await;
    zombie.sigcont();
    wait_for("the fence to refuse", DEADLINE, || (said(&zombie, "comes too late") > 0).then_some(()));
    assert!(zombie.log().contains("was dropped, because another worker has it"), "the batch was dropped");
    let decided: Vec<uuid::Uuid> =
        sqlx::query_scalar("select request_id from requests").fetch_all(&world.pool).await.expect("the record");
    assert_eq!(decided, [newcomer.as_uuid()], "{lost} was lost, and stays undecided");
    world.drained().await;
    world.check_promises().await;
}
