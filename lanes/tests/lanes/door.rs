//! Acceptance: once per id, once per key, in the order of arrival, and a certain no where there is one.

use std::{
    collections::HashSet,
    panic::AssertUnwindSafe,
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures::{FutureExt, future::join_all};
use lanes::{
    Append, Appended, Appender, Error, Gate, IdempotencyKey, Quota, Status,
    limits::{APPEND_COMMANDS_MAX, COMMAND_LANES_MAX},
};
use stack::{RedisOptions, wait_for_async};
use tokio::task::JoinSet;

use crate::support::*;

#[tokio::test]
async fn an_id_is_accepted_once_whenever_it_comes() {
    let line = line();
    let lanes = &line.lanes;
    accepted(lanes, &["a"]).await;
    let twice = command(&["a", "b"]);
    let answers = lanes.append(&[twice.clone(), twice.clone()]).await.unwrap();
    assert!(matches!(answers[0], Appended::Accepted { ticket: 2, position: 1, .. }), "{answers:?}");
    assert_eq!(answers[0], answers[1]);
    let batch = claimed(lanes, 10).await;
    assert_eq!(lanes.append(std::slice::from_ref(&twice)).await.unwrap()[0], answers[0]);
    ack(lanes, &batch).await;
    assert_eq!(lanes.append(std::slice::from_ref(&twice)).await.unwrap(), [Appended::Decided]);
    assert_eq!(lanes.status(twice.id).await.unwrap(), Status::Decided(b"done 2".to_vec()));
    assert_drained(lanes).await;
}

#[tokio::test]
async fn a_key_belongs_to_its_first_request() {
    let line = line();
    let lanes = &line.lanes;
    let first = keyed(&["a"], "key", "body");
    let again = || [keyed(&["a"], "key", "body"), keyed(&["a"], "key", "another"), keyed(&["a"], "other", "body")];
    let answers = lanes.append(std::slice::from_ref(&first)).await.unwrap();
    assert!(matches!(answers[..], [Appended::Accepted { .. }]));
    let refused = [Appended::Repeated(first.id), Appended::KeyReused(first.id)];
    let answers = lanes.append(&again()).await.unwrap();
    assert_eq!(answers[..2], refused);
    assert!(matches!(answers[2], Appended::Accepted { .. }));
    // After the outcome it still does, for as long as keys are kept, even when the gate has closed meanwhile.
    ack(lanes, &claimed(lanes, 10).await).await;
    lanes.raise_gate(&Gate { lane: lane("a"), used: 1, limit: 1 }).await.unwrap();
    let gated = again().map(|command| Append { gate: Some(lane("a")), ..command });
    assert_eq!(lanes.append(&gated[..2]).await.unwrap(), refused);
    for (name, at_least_s) in [("key:key", 24 * 3600), (&*format!("outcomes:{}", &first.id.to_string()[..11]), 60)] {
        let ttl: i64 = line.redis.command(&["TTL", &format!("{{test}}:{name}")]).unwrap().parse().unwrap();
        assert!(ttl >= at_least_s, "{name} lives for {ttl} s");
    }
}

/// One row: what is raised, and whether the gate is closed then. Late messages change nothing.
#[tokio::test]
async fn a_gate_is_only_ever_raised() {
    let rows = [
        (0, 0, true),
        (0, 10, false),
        (9, 10, false),
        (5, 3, false),
        (10, 10, true),
        (2, 10, true),
        (10, 15, false),
        (12, 10, false),
        (15, 0, true),
        (99, 0, true),
        (0, 100, false),
    ];
    let line = line();
    let lanes = &line.lanes;
    let knock = || Append { gate: Some(lane("a")), ..command(&["a"]) };
    assert!(matches!(lanes.append(&[knock()]).await.unwrap()[..], [Appended::Accepted { .. }]), "no gate is open");
    for (used, limit, closed) in rows {
        lanes.raise_gate(&Gate { lane: lane("a"), used, limit }).await.unwrap();
        let refused = lanes.append(&[knock()]).await.unwrap() == [Appended::GateClosed];
        assert_eq!(refused, closed, "after {used} of {limit}");
    }
    // Who does not ask the gate is let in.
    lanes.raise_gate(&Gate { lane: lane("a"), used: 100, limit: 0 }).await.unwrap();
    let refused = knock();
    let answers = lanes.append(&[refused.clone(), command(&["a"])]).await.unwrap();
    assert!(matches!(answers[..], [Appended::GateClosed, Appended::Accepted { .. }]));
    assert_eq!(lanes.status(refused.id).await.unwrap(), Status::Unknown);
}

/// Two processes and many callers at once: everybody gets a ticket of their own and stands in line by it.
#[tokio::test]
async fn callers_share_scripts_and_nothing_else() {
    const CALLERS: usize = 1_000;
    let line = line();
    let other = lanes_on(&line.redis.url(), "test", 1_000_000, &line.archive);
    let appenders = [Appender::start(line.lanes.clone()), Appender::start(other)];
    let commands: Vec<Append> = (0..CALLERS).map(|_| command(&["a"])).collect();
    let before = calls(&line);
    let answers =
        join_all(commands.iter().enumerate().map(|(i, command)| appenders[i % 2].append(command.clone()))).await;
    let calls = calls(&line) - before;
    assert!(calls < CALLERS as u64 / 4, "{calls} calls for {CALLERS} commands");
    let mut tickets: Vec<(u64, uuid::Uuid)> = Vec::new();
    for (command, answer) in commands.iter().zip(answers) {
        let Appended::Accepted { ticket, position, .. } = answer.unwrap() else { panic!("not accepted") };
        assert_eq!(position + 1, ticket);
        tickets.push((ticket, command.id));
    }
    tickets.sort_unstable();
    assert_eq!(tickets.iter().map(|(ticket, _)| *ticket).collect::<HashSet<_>>().len(), CALLERS);
    let batch = claimed(&line.lanes, CALLERS).await;
    assert_eq!(ids(&batch), tickets.iter().map(|(_, id)| *id).collect::<Vec<_>>());
}

fn calls(line: &Line) -> u64 {
    calls_of(&line.redis, "evalsha")
}

/// What would be accepted and then spoil the line is a mistake of the caller, and stops there.
#[tokio::test]
async fn a_command_of_a_wrong_shape_never_reaches_the_line() {
    let key = |digest: &str, body: &str| Some(IdempotencyKey { digest: digest.to_owned(), body: body.to_owned() });
    let wide: Vec<_> = (0..=COMMAND_LANES_MAX).map(|i| lane(&format!("lane{i}"))).collect();
    let rows = [
        Append { lanes: vec![], ..command(&[]) },
        Append { lanes: wide, ..command(&[]) },
        command(&["a", "b", "a"]),
        command(&["*"]),
        Append { key: key("", "body"), ..command(&["a"]) },
        Append { key: key("digest", ""), ..command(&["a"]) },
        Append { key: key("-", "body"), ..command(&["a"]) },
        Append { key: key("two words", "body"), ..command(&["a"]) },
        Append { key: key("digest", "two\nlines"), ..command(&["a"]) },
        Append { quota: Some(Quota { name: "x".parse().unwrap(), max: 1, kept: Duration::ZERO }), ..command(&["a"]) },
    ];
    let line = line();
    for row in rows {
        let appended = AssertUnwindSafe(line.lanes.append(std::slice::from_ref(&row))).catch_unwind().await;
        assert!(appended.is_err(), "{row:?}");
    }
    assert_drained(&line.lanes).await;
}

/// Any bytes may be in an envelope and in an outcome.
#[tokio::test]
async fn bytes_come_out_as_they_went_in() {
    let line = line();
    let lanes = &line.lanes;
    let every_byte: Vec<u8> = (0..=255).collect();
    let envelopes = [vec![], b"\n".to_vec(), b"W1 2 - - a\n".to_vec(), every_byte.clone(), vec![0; 64 * 1024]];
    for envelope in envelopes {
        let append = Append { envelope: envelope.clone(), ..command(&["a"]) };
        lanes.append(std::slice::from_ref(&append)).await.unwrap();
        match lanes.status(append.id).await.unwrap() {
            Status::Waiting { envelope: kept, .. } => assert_eq!(kept, envelope),
            other => panic!("{other:?}"),
        }
        let batch = claimed(lanes, 1).await;
        assert_eq!(batch.entries[0].envelope, envelope);
        let decided = lanes::Decided { outcomes: vec![envelope.clone()], gates: vec![] };
        lanes.ack(&batch, &decided).await.unwrap();
        assert_eq!(lanes.status(append.id).await.unwrap(), Status::Decided(envelope));
    }
}

#[tokio::test]
async fn a_group_that_was_found_full_is_not_asked_for_a_moment() {
    let line = line_of(1, RedisOptions::default());
    let appender = Appender::start(line.lanes.clone());
    assert!(matches!(appender.append(command(&["a"])).await, Ok(Appended::Accepted { .. })));
    let asked = || calls_of(&line.redis, "evalsha");
    let before = asked();
    let mut answers = 0;
    // Many questions come while one answer is believed.
    while answers < 100 || asked() == before {
        assert!(matches!(appender.append(command(&["a"])).await, Ok(Appended::Full)));
        answers += 1;
    }
    assert!(asked() - before < answers, "each of {answers} cost Redis a script");

    ack(&line.lanes, &claimed(&line.lanes, 1).await).await;
    let let_in = async || matches!(appender.append(command(&["a"])).await, Ok(Appended::Accepted { .. })).then_some(());
    wait_for_async("somebody to be let in again", DEADLINE, let_in).await;
}

#[tokio::test]
async fn who_would_wait_long_is_refused_at_once() {
    /// Enough calls to show how long one takes.
    const FIRST: usize = 4 * APPEND_COMMANDS_MAX;
    /// Several times what is done in the longest wait, at some 0.3 ms for a command of so many lanes.
    const CROWD: usize = 8_000;
    let names: Vec<_> = (0..COMMAND_LANES_MAX).map(|number| number.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut line = line();
    let appender = Appender::start(line.lanes.clone());
    let come = |count: usize| -> JoinSet<_> {
        let append = |appender: Appender, command| async move { appender.append(command).await };
        (0..count).map(|_| append(appender.clone(), command(&names))).collect()
    };
    for appended in come(FIRST).join_all().await {
        assert!(matches!(appended, Ok(Appended::Accepted { .. })), "nobody knows yet how long it takes: {appended:?}");
    }

    // Who is refused while Redis stands still is refused at once.
    line.redis.sigstop();
    let mut crowd = come(CROWD);
    let refused = crowd.join_next().await.unwrap().unwrap();
    assert!(matches!(refused, Err(Error::Busy)), "{refused:?}");
    line.redis.sigcont();

    // Those who came before are let in, and when they are, so is everybody.
    let answers = crowd.join_all().await;
    let let_in = answers.iter().filter(|it| matches!(it, Ok(Appended::Accepted { .. }))).count();
    let turned_away = answers.iter().filter(|it| matches!(it, Err(Error::Busy))).count();
    assert!(let_in > 0 && let_in + turned_away == answers.len(), "{let_in} and {turned_away} of {}", answers.len());
    let let_in = async || matches!(appender.append(command(&["a"])).await, Ok(Appended::Accepted { .. })).then_some(());
    wait_for_async("everybody to be let in again", DEADLINE, let_in).await;
}

#[tokio::test]
async fn who_waited_while_the_group_was_found_full_does_not_ask() {
    const CROWD: usize = 20 * APPEND_COMMANDS_MAX;
    let mut line = line_of(1, RedisOptions::default());
    let appender = Appender::start(line.lanes.clone());
    assert!(matches!(appender.append(command(&["a"])).await, Ok(Appended::Accepted { .. })));
    let before = calls_of(&line.redis, "evalsha");
    line.redis.sigstop();
    let waiting = Arc::new(AtomicUsize::new(0));
    let crowd: JoinSet<_> = (0..CROWD)
        .map(|_| {
            let (appender, waiting) = (appender.clone(), Arc::clone(&waiting));
            async move {
                waiting.fetch_add(1, Ordering::Relaxed);
                appender.append(command(&["a"])).await
            }
        })
        .collect();
    let all_wait = async || (waiting.load(Ordering::Relaxed) == CROWD).then_some(());
    wait_for_async("them to wait", DEADLINE, all_wait).await;
    line.redis.sigcont();
    for answer in crowd.join_all().await {
        assert!(matches!(answer, Ok(Appended::Full)), "{answer:?}");
    }
    let asked = calls_of(&line.redis, "evalsha") - before;
    assert!(asked < (CROWD / APPEND_COMMANDS_MAX) as u64, "{asked} calls for {CROWD}");
}
