//! One shopper after the other on one connection: send the command, and learn what came of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::connection::{Answer, Connection, Lost};
use super::document::{Code, Document, Outcome, code_of};
use super::letter::Letter;
use super::{Floor, Learn};

/// A rest before the next attempt where the API does not say how long.
const REST_DEFAULT_MS: u64 = 200;
/// A longer `Retry-After` is not obeyed: a load is not a person.
const REST_MAX_MS: u64 = 5_000;

/// What the API said to a command.
enum Said {
    /// It stands in the line, or its outcome is known already.
    Accepted(Document),
    /// The answer was held until the outcome was known.
    Decided(Uuid, Outcome),
    /// No, before the line.
    TurnedAway(Code),
    /// Come back later.
    Later(Code, Option<Duration>),
    /// Something that a shopper cannot understand.
    Odd(String),
}

/// Sends commands until none is left.
pub(super) async fn shop(floor: Arc<Floor>, connection: Connection) {
    let mut shopper = Shopper { floor: &floor, connection };
    while let Some((number, letter)) = floor.next() {
        let due = floor.load.pace.due(floor.started, number).await;
        let visit = Visit { due, give_up: Instant::now() + floor.load.patience };
        shopper.visit(letter, visit).await;
        floor.bar.inc(1);
    }
}

/// One command's way.
#[derive(Clone, Copy)]
struct Visit {
    /// From when its latencies count.
    due: Instant,
    /// Until when the shopper tries.
    give_up: Instant,
}

struct Shopper<'a> {
    floor: &'a Floor,
    connection: Connection,
}

impl Shopper<'_> {
    async fn visit(&mut self, letter: &Letter, visit: Visit) {
        match self.enter(letter, visit).await {
            Ok(Said::Accepted(document)) => self.learn(document, visit).await,
            Ok(Said::Decided(id, outcome)) => {
                self.floor.tally().accepted(None);
                self.told(id, Some(outcome), visit);
            }
            Ok(Said::TurnedAway(code)) => self.floor.tally().turned_away(code),
            Ok(Said::Later(code, _)) => self.floor.tally().fault(format!("still told to wait: {code}")),
            Ok(Said::Odd(what)) => self.floor.tally().fault(what),
            Err(lost) => self.floor.tally().fault(format!("sending a command: {lost}")),
        }
    }

    /// Sends the command until it is taken or refused.
    async fn enter(&mut self, letter: &Letter, visit: Visit) -> Result<Said, Lost> {
        let waits = self.floor.load.learn == Learn::ByWaiting;
        loop {
            let said = match self.connection.send(letter).await {
                Ok(answer) => said(&answer, waits),
                Err(lost) if Instant::now() >= visit.give_up => return Err(lost),
                // Without a key nobody knows whether a repeat would be a second command.
                Err(lost @ Lost::Afterwards(_)) if !letter.has_key() => return Err(lost),
                Err(_) => {
                    self.connect_again(visit).await;
                    continue;
                }
            };
            let Said::Later(code, rest) = said else {
                return Ok(said);
            };
            self.floor.tally().told_to_wait(code);
            if Instant::now() >= visit.give_up {
                return Ok(Said::Later(code, rest));
            }
            pause(rest).await;
        }
    }

    /// Finds out what came of an accepted command.
    async fn learn(&mut self, accepted: Document, visit: Visit) {
        self.floor.tally().accepted(Some(visit.due.elapsed()));
        let id = accepted.request_id;
        if self.floor.load.learn == Learn::Never {
            if self.floor.load.keep_told {
                self.floor.tally().told.push((id, accepted.outcome));
            }
            return;
        }
        let mut known = accepted;
        while known.outcome.is_none() && Instant::now() < visit.give_up {
            if self.floor.load.learn == Learn::ByPolling {
                pause(known.next_poll_ms.map(Duration::from_millis)).await;
            }
            known = match self.ask(id, visit).await {
                Ok(document) => document,
                Err(what) => {
                    self.floor.tally().fault(what);
                    break;
                }
            };
        }
        self.told(id, known.outcome, visit);
    }

    /// Asks for the document of an accepted command.
    async fn ask(&mut self, id: Uuid, visit: Visit) -> Result<Document, String> {
        let wait = if self.floor.load.learn == Learn::ByPolling { "" } else { "?wait=30" };
        let question = Letter::get(&self.floor.load.door, &format!("/api/requests/{id}{wait}"), &[]);
        loop {
            let rest = match self.connection.send(&question).await {
                Ok(answer) if answer.status == 200 => {
                    return Document::read(answer.body).ok_or_else(|| odd("a document", &answer));
                }
                Ok(answer) if may_come_back(answer.status) => answer.retry_after,
                Ok(answer) => return Err(odd("a document", &answer)),
                Err(_) => {
                    self.connect_again(visit).await;
                    None
                }
            };
            if Instant::now() >= visit.give_up {
                return Err("asking for an outcome: no answer".to_owned());
            }
            pause(rest).await;
        }
    }

    fn told(&self, id: Uuid, outcome: Option<Outcome>, visit: Visit) {
        let took = visit.due.elapsed();
        let mut tally = self.floor.tally();
        if let Some(outcome) = outcome {
            tally.decided(outcome, took);
        }
        if self.floor.load.keep_told {
            tally.told.push((id, outcome));
        }
    }

    /// Opens another connection, or leaves the lost one in place, for the next attempt to fail on, too.
    async fn connect_again(&mut self, visit: Visit) {
        while Instant::now() < visit.give_up {
            if let Ok(connection) = Connection::open(self.floor.load.door.address()).await {
                self.connection = connection;
                return;
            }
            pause(None).await;
        }
    }
}

fn said(answer: &Answer<'_>, waits: bool) -> Said {
    match answer.status {
        202 => Document::read(answer.body).map_or_else(|| Said::Odd(odd("a 202", answer)), Said::Accepted),
        201 if waits => decided(answer, Outcome::Succeeded),
        status if may_come_back(status) => match code_of(answer.body) {
            Some(code) => Said::Later(code, answer.retry_after),
            None => Said::Odd(odd("a command", answer)),
        },
        400..500 => match code_of(answer.body) {
            Some(code) if answer.waited => decided(answer, Outcome::Refused(code)),
            Some(code) => Said::TurnedAway(code),
            None => Said::Odd(odd("a command", answer)),
        },
        _ => Said::Odd(odd("a command", answer)),
    }
}

fn decided(answer: &Answer<'_>, outcome: Outcome) -> Said {
    match answer.made {
        Some(id) => Said::Decided(id, outcome),
        None => Said::Odd(odd("an outcome without an id", answer)),
    }
}

/// Too many requests, a full line, or a service that is away: nothing is decided, and trying again is right.
fn may_come_back(status: u16) -> bool {
    matches!(status, 429 | 503)
}

/// What happened, without ids, so that the same thing is counted together.
fn odd(what: &str, answer: &Answer<'_>) -> String {
    let code = code_of(answer.body).map(|code| format!(" {code}")).unwrap_or_default();
    format!("an odd answer to {what}: {}{code}", answer.status)
}

async fn pause(rest: Option<Duration>) {
    let rest = rest.unwrap_or(Duration::from_millis(REST_DEFAULT_MS)).min(Duration::from_millis(REST_MAX_MS));
    tokio::time::sleep(rest).await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use indicatif::ProgressBar;

    use super::super::scripted::{Answer as Script, Scripted};
    use super::*;
    use crate::load::{Door, Header, Load, Pace, run};

    const ACCEPTED: Script = &[
        "HTTP/1.1 202 Accepted\r\nretry-after: 1\r\ncontent-length: 91\r\n\r\n",
        r#"{"requestId":"019a3c5e-7f00-7abc-8def-012345678980","status":"QUEUED","nextPollMs":1,"a":1}"#,
    ];
    const WAITING: Script = &[
        "HTTP/1.1 200 OK\r\ncontent-length: 91\r\n\r\n",
        r#"{"requestId":"019a3c5e-7f00-7abc-8def-012345678980","status":"QUEUED","nextPollMs":1,"a":1}"#,
    ];
    const DONE: Script = &[
        "HTTP/1.1 200 OK\r\ncontent-length: 73\r\n\r\n",
        r#"{"requestId":"019a3c5e-7f00-7abc-8def-012345678980","status":"SUCCEEDED"}"#,
    ];
    const REFUSED: Script = &[
        "HTTP/1.1 200 OK\r\ncontent-length: 94\r\n\r\n",
        r#"{"requestId":"019a3c5e-7f00-7abc-8def-012345678980","status":"FAILED","error":{"code":"P002"}}"#,
    ];
    const SOLD_OUT: Script = &["HTTP/1.1 409 Conflict\r\ncontent-length: 15\r\n\r\n{\"code\":\"C001\"}"];
    const FULL: Script =
        &["HTTP/1.1 503 Unavailable\r\nretry-after: 0\r\ncontent-length: 15\r\n\r\n{\"code\":\"R004\"}"];
    const HELD_YES: Script = &[
        "HTTP/1.1 201 Created\r\npreference-applied: wait\r\ncontent-length: 0\r\n",
        "location: /api/requests/019a3c5e-7f00-7abc-8def-012345678980\r\n\r\n",
    ];
    const HELD_NO: Script = &[
        "HTTP/1.1 400 No\r\npreference-applied: wait\r\ncontent-length: 17\r\n",
        "location: /api/requests/019a3c5e-7f00-7abc-8def-012345678980\r\n\r\n{\"code\":\"PAY001\"}",
    ];
    const BROKEN: Script = &["HTTP/1.1 500 Oh\r\ncontent-length: 15\r\n\r\n{\"code\":\"X003\"}"];
    const HANGS_UP: Script = &[];

    /// One command with these answers: what was counted, and how many requests it took.
    async fn check(learn: Learn, with_key: bool, answers: &'static [Script], meant: &str) {
        let server = Scripted::start(answers).await;
        let door = Door::new(server.address);
        let headers: &[Header<'_>] = if with_key { &[Header::Key("k")] } else { &[] };
        let load = Load {
            door,
            commands: Arc::from([Letter::post(&door, "/api/orders", headers, "{}")]),
            pace: Pace::AsSoonAsFree,
            connections: 1,
            learn,
            keep_told: true,
            patience: Duration::from_secs(60),
        };
        let tally = run(load, ProgressBar::hidden()).await.unwrap();
        let mut seen = Vec::new();
        let mut add = |name: String, times: u64| seen.extend((times > 0).then(|| format!("{times} {name}")));
        add("accepted".to_owned(), tally.accepted);
        add("succeeded".to_owned(), tally.succeeded);
        for (name, codes) in
            [("refused", &tally.refused), ("turned away", &tally.turned_away), ("told to wait", &tally.told_to_wait)]
        {
            codes.iter().for_each(|(code, times)| add(format!("{name} {code}"), *times));
        }
        tally.faults.iter().for_each(|(what, times)| add(what.clone(), *times));
        assert_eq!(seen.join(", "), meant, "{learn:?} {answers:?}");
        assert_eq!(tally.told.len() as u64, tally.accepted);
        assert_eq!(server.heard().len(), answers.len(), "{:?}", server.heard());
    }

    #[tokio::test]
    async fn outcomes_are_learnt_in_every_way() {
        check(Learn::ByAsking, true, &[ACCEPTED, DONE], "1 accepted, 1 succeeded").await;
        check(Learn::ByAsking, true, &[ACCEPTED, WAITING, REFUSED], "1 accepted, 1 refused P002").await;
        check(Learn::ByPolling, true, &[ACCEPTED, WAITING, WAITING, DONE], "1 accepted, 1 succeeded").await;
        check(Learn::ByWaiting, true, &[HELD_YES], "1 accepted, 1 succeeded").await;
        check(Learn::ByWaiting, true, &[HELD_NO], "1 accepted, 1 refused PAY001").await;
        check(Learn::ByWaiting, true, &[ACCEPTED, DONE], "1 accepted, 1 succeeded").await;
        check(Learn::Never, false, &[ACCEPTED], "1 accepted").await;
    }

    #[tokio::test]
    async fn a_no_at_the_door_is_no_outcome() {
        check(Learn::ByAsking, true, &[SOLD_OUT], "1 turned away C001").await;
        check(Learn::ByWaiting, true, &[SOLD_OUT], "1 turned away C001").await;
    }

    #[tokio::test]
    async fn whoever_is_told_to_wait_comes_again() {
        let meant = "1 accepted, 1 succeeded, 2 told to wait R004";
        check(Learn::ByAsking, true, &[FULL, FULL, ACCEPTED, DONE], meant).await;
        check(Learn::ByAsking, true, &[ACCEPTED, FULL, DONE], "1 accepted, 1 succeeded").await;
    }

    #[tokio::test]
    async fn a_lost_command_is_repeated_only_with_its_key() {
        check(Learn::ByAsking, true, &[HANGS_UP, ACCEPTED, HANGS_UP, DONE], "1 accepted, 1 succeeded").await;
        let meant = "1 sending a command: the connection ended before the answer";
        check(Learn::ByAsking, false, &[HANGS_UP], meant).await;
    }

    #[tokio::test]
    async fn what_the_contract_does_not_know_is_a_fault() {
        check(Learn::ByAsking, true, &[BROKEN], "1 an odd answer to a command: 500 X003").await;
        let meant = "1 accepted, 1 an odd answer to a document: 500 X003";
        check(Learn::ByAsking, true, &[ACCEPTED, BROKEN], meant).await;
    }
}
