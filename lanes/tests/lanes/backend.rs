//! The lanes under apalis: a real monitor, real workers.

use std::{
    collections::HashSet,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use apalis_core::{backend::Backend, worker::context::WorkerContext};
use futures::FutureExt;
use lanes::{
    Batch, BatchEnd, Decided, Gate, LaneBackend, LaneBackendOptions, Lanes, LineLimits, Link, Observer, Release,
    Status,
    limits::{IDLE_SLEEP_MAX, RENEWALS_PER_LEASE},
};
use stack::{wait_for, wait_for_async};
use tokio::sync::Semaphore;

use crate::{
    crew::{Crew, Handled, Handler, Seen, at_once, decide_all, start},
    support::*,
};

async fn until_drained(lanes: &Lanes) {
    wait_for_async("everybody to have an outcome", DEADLINE, async || {
        (lanes.depth(0).await.unwrap().waiting == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_gets_an_outcome_in_order() {
    let line = line();
    let lanes = &line.lanes;
    let running = start(lanes, &Crew::new(50, 4), decide_all());
    let crowd = crowd(lanes, 1_000, |i| vec![format!("lane{}", i % 5), format!("user{}", i % 7)]).await;
    until_drained(lanes).await;
    let begun: Vec<_> = running.seen.begun().concat();
    assert_eq!(begun.len(), crowd.len(), "each was handled once");
    for lanes_apart in [5, 7] {
        for lane in 0..lanes_apart {
            let expected: Vec<_> = crowd.iter().skip(lane).step_by(lanes_apart).collect();
            let order: Vec<_> = begun.iter().filter(|id| expected.contains(id)).collect();
            assert_eq!(order, expected, "lane {lane} of {lanes_apart}");
        }
    }
    for id in [crowd[0], crowd[999]] {
        assert!(matches!(lanes.status(id).await.unwrap(), Status::Decided(_)));
    }
    assert_eq!(running.seen.acked(), 1_000);
    running.stop().await;
    assert_drained(lanes).await;
}

#[tokio::test]
async fn the_ack_carries_outcomes_and_gates() {
    let line = line();
    let lanes = &line.lanes;
    let handler = at_once(|batch| {
        let gates = vec![Gate { lane: lane("a"), used: 1, limit: 1 }];
        Ok(BatchEnd::Decided(Decided { gates, ..done(batch) }))
    });
    let running = start(lanes, &Crew::new(10, 1), handler);
    let knock = || lanes::Append { gate: Some(lane("a")), ..command(&["a"]) };
    let (first, second) = (knock(), knock());
    lanes.append(std::slice::from_ref(&first)).await.unwrap();
    until_drained(lanes).await;
    assert_eq!(lanes.status(first.id).await.unwrap(), Status::Decided(b"done 1".to_vec()));
    assert_eq!(lanes.append(&[second]).await.unwrap(), [lanes::Appended::GateClosed]);
    running.stop().await;
}

/// How a handler breaks: each must blame the batch at once, though the lease is far longer than the test.
#[tokio::test]
async fn a_handler_that_breaks_blames_its_batch() {
    const ATTEMPTS_MAX: u32 = 3;
    let rows: [fn() -> Handled; 2] = [|| panic!("poison"), || Err("poison".into())];
    for breaks in rows {
        let line = line();
        let lanes = &line.lanes;
        let crowd = crowd(lanes, 10, |_| vec!["a".to_owned()]).await;
        let poison = crowd[7];
        let handler = at_once(move |batch| {
            let (broken, alone) = (ids(batch).contains(&poison), batch.failures_alone);
            assert!(broken || alone == 0, "an innocent was blamed");
            if broken && alone < ATTEMPTS_MAX { breaks() } else { Ok(BatchEnd::Decided(done(batch))) }
        });
        let running = start(lanes, &Crew::new(100, 2), handler);
        until_drained(lanes).await;
        let begun = running.seen.begun();
        assert_eq!(begun[0], crowd);
        let alone = begun.iter().filter(|batch| **batch == [poison]).count();
        assert_eq!(alone, ATTEMPTS_MAX as usize + 1);
        assert_eq!(running.seen.names.lock().unwrap().len(), 1, "the worker itself goes on");
        running.stop().await;
        assert_drained(lanes).await;
    }
}

#[tokio::test]
async fn a_released_batch_comes_again_and_a_dropped_one_does_not_until_its_lease_ends() {
    let line = line();
    let lanes = &line.lanes;
    let turn = AtomicU64::new(0);
    let handler = at_once(move |batch| {
        Ok(match turn.fetch_add(1, Ordering::SeqCst) {
            0 => BatchEnd::Released { release: Release::Unchanged, pause: Duration::ZERO },
            1 => BatchEnd::Released { release: Release::Smaller, pause: Duration::ZERO },
            2 => BatchEnd::Dropped,
            _ => BatchEnd::Decided(done(batch)),
        })
    });
    let crowd = crowd(lanes, 8, |_| vec!["a".to_owned()]).await;
    let running = start(lanes, &Crew::new(100, 1), handler);
    let begun = || running.seen.begun();
    wait_for_async("the third batch", DEADLINE, async || (begun().len() == 3).then_some(())).await;
    assert_eq!(begun(), [&crowd[..], &crowd[..], &crowd[..2]]);
    let claims = running.seen.empty_claims();
    wait_for_async("vain claims", DEADLINE, async || (running.seen.empty_claims() > claims + 1).then_some(())).await;
    assert_eq!((begun().len(), lanes.depth(0).await.unwrap().leases), (3, 1));
    expire_all(&line);
    until_drained(lanes).await;
    running.stop().await;
}

/// Nothing happens: each worker asks about once in its longest sleep, whatever that is.
#[tokio::test]
async fn an_idle_system_leaves_redis_alone() {
    const WORKERS: usize = 2;
    const ROUNDS: u64 = 3;
    let line = line();
    let crew = Crew::new(100, 4);
    let running: Vec<_> = (0..WORKERS).map(|_| start(&line.lanes, &crew, decide_all())).collect();
    accepted(&line.lanes, &["a"]).await;
    until_drained(&line.lanes).await;
    let least = |from: &[u64]| {
        let claims = running.iter().zip(from).map(|(worker, from)| worker.seen.empty_claims() - from);
        claims.min().unwrap()
    };
    // The first vain claim may follow an ack at once; from the second on everybody sleeps between two.
    let settled = |from: Vec<u64>, rounds| async move {
        wait_for_async("vain claims", DEADLINE, async || (least(&from) >= rounds).then_some(())).await;
    };
    settled(vec![0; WORKERS], 2).await;
    let (calls, started) = (calls_of(&line.redis, "evalsha"), Instant::now());
    settled(running.iter().map(|worker| worker.seen.empty_claims()).collect(), ROUNDS).await;
    let sent = calls_of(&line.redis, "evalsha") - calls;
    let sleeps = started.elapsed().as_secs_f64() / IDLE_SLEEP_MAX.as_secs_f64();
    assert!(sent as f64 <= WORKERS as f64 * (sleeps + 2.0), "{sent} calls in {sleeps:.1} sleeps of {WORKERS} workers");
    for worker in running {
        worker.stop().await;
    }
}

/// Each command comes just after its worker fell asleep, so without a wake-up it would wait for the whole sleep.
#[tokio::test]
async fn an_accepted_command_wakes_a_sleeping_worker() {
    const TRIES: usize = 20;
    let line = line();
    let running = start(&line.lanes, &Crew::new(100, 1), decide_all());
    let mut waited = Vec::new();
    let mut claims = 0;
    for tries in 0..TRIES {
        // Twice: the end of a batch wakes its own worker once.
        let asleep = async || (running.seen.empty_claims() >= claims + 2).then_some(());
        wait_for_async("the worker to find nothing", DEADLINE, asleep).await;
        claims = running.seen.empty_claims();
        let started = Instant::now();
        accepted(&line.lanes, &["a"]).await;
        wait_for_async("the handler", DEADLINE, async || (running.seen.begun().len() > tries).then_some(())).await;
        waited.push(started.elapsed());
    }
    waited.sort_unstable();
    assert!(waited[TRIES / 2] < IDLE_SLEEP_MAX / 2, "{waited:?}");
    running.stop().await;
}

/// A claim that is under way when the worker stops has leased a batch that nobody will start.
#[tokio::test]
async fn a_batch_that_was_claimed_and_not_started_is_given_back() {
    let line = line();
    let lanes = &line.lanes;
    let (id, _) = accepted(lanes, &["a"]).await;
    let observer: Arc<dyn Observer> = Arc::new(Seen::default());
    let options = LaneBackendOptions { limits: at_most(10), worker: "w".to_owned(), observer };
    let mut backend = LaneBackend::new(lanes.clone(), options);
    let worker = WorkerContext::new("w");
    let claiming = poll_fn(|cx| backend.poll_next(cx, &worker)).now_or_never();
    assert!(claiming.is_none(), "the claim is under way");
    let calls = calls_of(&line.redis, "evalsha");
    poll_fn(|cx| backend.poll_close(cx, &worker)).await.unwrap();
    assert!(calls_of(&line.redis, "evalsha") >= calls + 2, "a claim and a release");
    let depth = lanes.depth(0).await.unwrap();
    assert_eq!((depth.ready, depth.leases, depth.in_flight), (1, 0, 0));
    let batch = claimed(lanes, 10).await;
    assert_eq!((ids(&batch), batch.failures_alone), (vec![id], 0));
}

#[tokio::test]
async fn a_graceful_stop_finishes_the_batch_in_hand_and_starts_no_other() {
    let line = line();
    let lanes = &line.lanes;
    let crowd = crowd(lanes, 10, |_| vec!["a".to_owned()]).await;
    let gate = Arc::new(Semaphore::new(0));
    let handler: Handler = {
        let gate = Arc::clone(&gate);
        Arc::new(move |batch: Arc<Batch>| {
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await.unwrap().forget();
                Ok(BatchEnd::Decided(done(&batch)))
            }
            .boxed()
        })
    };
    let running = start(lanes, &Crew::new(3, 1), handler);
    let seen = Arc::clone(&running.seen);
    wait_for_async("the first batch", DEADLINE, async || (seen.begun().len() == 1).then_some(())).await;
    let ended = running.stopping();
    // Claims that would have been made meanwhile would show: there is room for many more batches now.
    gate.add_permits(100);
    ended.await.unwrap().unwrap();
    assert_eq!((seen.begun(), seen.acked()), (vec![crowd[..3].to_vec()], 3));
    let depth = lanes.depth(0).await.unwrap();
    assert_eq!((depth.waiting, depth.leases, depth.ready), (7, 0, 1));
}

/// A worker that died without a word: its lease ends, and the next worker has its commands first.
#[tokio::test]
async fn the_lease_of_a_dead_worker_moves_on() {
    let line = line();
    let lanes = &line.lanes;
    let crowd = crowd(lanes, 6, |_| vec!["a".to_owned()]).await;
    let limits = lanes::ClaimLimits { lease: Duration::from_millis(300), ..at_most(4) };
    let dead = lanes.claim(limits).await.unwrap().batch.unwrap();
    let running = start(lanes, &Crew::new(100, 2), decide_all());
    until_drained(lanes).await;
    assert_eq!(running.seen.begun().concat(), crowd);
    assert_eq!(lanes.ack(&dead, &done(&dead)).await.unwrap(), lanes::Acked::Stale);
    running.stop().await;
}

static RENEWALS: AtomicU64 = AtomicU64::new(0);

fn count_renewals(script: &'static str, _: Duration, failed: bool) {
    RENEWALS.fetch_add(u64::from(script == "renew" && !failed), Ordering::SeqCst);
}

/// A batch that takes longer than its lease is renewed, so that a second worker, which is there and hungry, never
/// gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_batch_keeps_its_lease() {
    const ENOUGH: u64 = RENEWALS_PER_LEASE as u64 + 1;
    let line = line();
    let limits = LineLimits::new(100);
    let group = line.lanes.group().clone();
    let archive = Arc::clone(&line.archive) as Arc<dyn lanes::Archive>;
    let servers = lanes::Servers::new(&line.redis.url(), None).unwrap();
    let link = Link::new(servers, vec![group.clone()], limits, archive, Some(count_renewals), 0);
    let watched = Lanes::new(link, group, limits);
    let handler: Handler = Arc::new(|batch: Arc<Batch>| {
        async move {
            let renewed = async || (RENEWALS.load(Ordering::SeqCst) >= ENOUGH).then_some(());
            wait_for_async("renewals for more than a lease", DEADLINE, renewed).await;
            Ok(BatchEnd::Decided(done(&batch)))
        }
        .boxed()
    });
    let crew = Crew::new(10, 1).lease(Duration::from_secs(3));
    let (slow, _) = accepted(&watched, &["a"]).await;
    let running = [start(&watched, &crew, Arc::clone(&handler)), start(&watched, &crew, handler)];
    until_drained(&watched).await;
    let begun = running.iter().flat_map(|worker| worker.seen.begun()).collect::<Vec<_>>();
    assert_eq!(begun, [[slow]], "handled once");
    for worker in running {
        assert_eq!(worker.seen.acked_too_late.load(Ordering::SeqCst), 0);
        worker.stop().await;
    }
}

/// A worker that breaks outside its handler is made anew, always under another name.
#[tokio::test]
async fn a_worker_is_restarted_for_ever_under_new_names() {
    const BREAKS: u64 = 5;
    let line = line();
    let lanes = &line.lanes;
    let crew = Crew::new(10, 1);
    crew.breaks.store(BREAKS, Ordering::SeqCst);
    let (id, _) = accepted(lanes, &["a"]).await;
    let running = start(lanes, &crew, decide_all());
    for left in (0..BREAKS).rev() {
        let broke = async || (crew.breaks.load(Ordering::SeqCst) == left).then_some(());
        wait_for_async("the worker to break", DEADLINE, broke).await;
        // Nobody was left to release the batch that it had.
        expire_all(&line);
    }
    until_drained(lanes).await;
    assert_eq!(running.seen.begun(), [[id]]);
    let names = running.seen.names.lock().unwrap().clone();
    assert_eq!(names.len() as u64, BREAKS + 1);
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    running.stop().await;
}

/// Redis goes away and comes back: the workers do not end, they sleep it out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_outlive_an_outage_of_redis() {
    let mut line = line();
    let running = start(&line.lanes, &Crew::new(10, 2), decide_all());
    accepted(&line.lanes, &["a"]).await;
    until_drained(&line.lanes).await;
    line.redis.kill9();
    line.lanes.claim(at_most(1)).await.unwrap_err();
    line.redis.start_again().unwrap();
    wait_for_async("a new connection", DEADLINE, async || line.lanes.depth(0).await.ok()).await;
    accepted(&line.lanes, &["a"]).await;
    until_drained(&line.lanes).await;
    wait_for("the ack to be told", DEADLINE, || (running.seen.acked() == 2).then_some(()));
    assert_eq!(running.seen.names.lock().unwrap().len(), 1, "the worker was never restarted");
    running.stop().await;
}
