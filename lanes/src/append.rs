//! Acceptance: the only way into a line.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use redis::Value;
use tokio::sync::{Semaphore, mpsc, oneshot};
use uuid::Uuid;

use crate::{
    Error, Lane, Lanes, QuotaName,
    limits::{APPEND_COMMANDS_MAX, APPEND_QUEUE_COMMANDS_MAX, APPENDS_IN_FLIGHT_MAX, COMMAND_LANES_MAX},
    pressure::{Pressure, TurnedAway},
    script::{APPEND, Reader, milliseconds},
};

/// Binds a command to a key of the caller's, so that a repeat finds the first request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// What stands for scope and key; printable ASCII without blanks, not empty and not `-` (a hash in hex).
    pub digest: String,
    /// What stands for the body, of the same form: the same key with another one is refused.
    pub body: String,
}

/// Lets only so many commands of one name into the line. It is counted where the place is taken, in the same step, so there
/// is nothing between the two that a crash could part; a repeat of the same id or key is not counted again. If Redis loses
/// its data, the count begins anew: it errs by letting in too many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// What is counted.
    pub name: QuotaName,
    /// How many are accepted. With 0 nothing is, and the answer tells what would be said without the quota, unless it is that
    /// the command would stand in line: then it is [`Appended::UsedUp`].
    pub max: u64,
    /// How long the count is kept after the last one that was accepted; more than nothing.
    pub kept: Duration,
}

/// A command that wants to stand in line.
#[derive(Debug, Clone)]
pub struct Append {
    /// Names the command; sending the same id again changes nothing. A UUIDv7: outcomes of the same time share a key, so
    /// other ids work and cost a key each.
    pub id: Uuid,
    /// The lanes of all resources that it touches: 1 to [`COMMAND_LANES_MAX`], distinct.
    pub lanes: Vec<Lane>,
    /// The caller's key, if there is one.
    pub key: Option<IdempotencyKey>,
    /// The lane whose gate may say a certain no.
    pub gate: Option<Lane>,
    /// What it is counted as, if it is.
    pub quota: Option<Quota>,
    /// What the worker gets.
    pub envelope: Vec<u8>,
}

/// The answer at the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// It stands in line (perhaps already since an earlier call with the same id).
    Accepted {
        /// The arrival number.
        ticket: u64,
        /// When it was accepted, by Redis' clock, in microseconds since 1970.
        accepted_at_us: i64,
        /// Commands ahead on the longest of its lanes.
        position: u64,
    },
    /// The same id came before, and its outcome is known.
    Decided,
    /// The key belongs to this earlier request, with the same body.
    Repeated(Uuid),
    /// The key belongs to this earlier request, with another body.
    KeyReused(Uuid),
    /// The gate of its lane is closed: the answer is a certain no. Nothing was stored.
    GateClosed,
    /// The group is full. Nothing was stored.
    Full,
    /// One of its lanes is full. Nothing was stored.
    LaneFull,
    /// As many as its quota allows were accepted before. Nothing was stored.
    UsedUp,
}

impl Lanes {
    /// Lets commands into the line, in the order given, each all or nothing. Answers in the same order.
    ///
    /// # Errors
    /// When Redis cannot be reached, is full, or does not answer in time, or its replicas do not confirm in time; the
    /// commands may then stand in line. When the archive cannot say which tickets were given.
    ///
    /// # Panics
    /// When there are more than [`APPEND_COMMANDS_MAX`] commands, or one has no lane, more than [`COMMAND_LANES_MAX`],
    /// the same one twice or the one that stands for the group, a key that is not of the form that
    /// [`IdempotencyKey`] asks for, or a quota that is kept for no time.
    pub async fn append(&self, commands: &[Append]) -> Result<Vec<Appended>, Error> {
        assert!(commands.len() <= APPEND_COMMANDS_MAX, "{} commands in one append", commands.len());
        commands.iter().for_each(assert_shape);
        let mut value = self.append_once(commands).await?;
        if is_unseeded(&value) {
            // Redis lost its data without losing the connection.
            self.link.forget(&self.group);
            value = self.append_once(commands).await?;
        }
        let replies = Reader::new(&APPEND, &value);
        (0..commands.len()).map(|i| self.read_reply(replies.at(i)?)).collect()
    }

    async fn append_once(&self, commands: &[Append]) -> Result<Value, Error> {
        let ran = self.run_somewhere(&APPEND, |call| {
            call.arg(self.limits.depth_max).arg(self.limits.lane_depth_max);
            let with_key =
                || (1usize..).zip(commands).filter_map(|(number, command)| Some((number, command.key.as_ref()?)));
            call.arg(with_key().count());
            for (number, key) in with_key() {
                call.arg(number).arg(key.digest.as_str()).arg(key.body.as_str());
            }
            let with_quota =
                || (1usize..).zip(commands).filter_map(|(number, command)| Some((number, command.quota.as_ref()?)));
            call.arg(with_quota().count());
            for (number, quota) in with_quota() {
                call.arg(number).arg(quota.name.as_str()).arg(quota.max).arg(milliseconds(quota.kept));
            }
            for command in commands {
                call.arg(id_text(command.id, &mut Uuid::encode_buffer()));
                call.arg(command.gate.as_ref().map_or("-", Lane::as_str)).arg(command.lanes.len());
                for lane in &command.lanes {
                    call.arg(lane.as_str());
                }
                call.arg(record(command));
            }
        });
        let (value, connection) = ran.await?;
        if let Some(replicas) = &connection.replicas
            && let Err(error) = replicas.confirm(&self.prefix).await
        {
            if !error.is_lack_of_replicas() {
                self.link.give_up(&connection);
            }
            return Err(error);
        }
        Ok(value)
    }

    fn read_reply(&self, reply: Reader<'_>) -> Result<Appended, Error> {
        Ok(match reply.at(0)?.text()? {
            "accepted" => {
                let ticket = reply.at(1)?.parsed()?;
                self.link.saw_ticket(&self.group, ticket);
                Appended::Accepted { ticket, accepted_at_us: reply.at(2)?.parsed()?, position: reply.at(3)?.count()? }
            }
            "decided" => Appended::Decided,
            "repeated" => Appended::Repeated(reply.at(1)?.parsed()?),
            "reused" => Appended::KeyReused(reply.at(1)?.parsed()?),
            "closed" => Appended::GateClosed,
            "full" => Appended::Full,
            "lane_full" => Appended::LaneFull,
            "used_up" => Appended::UsedUp,
            _ => return Err(reply.unreadable()),
        })
    }
}

/// A command of another shape would be accepted and then spoil the line: a lane named twice removes a stranger at the
/// ack, a blank in a key makes the record unreadable.
fn assert_shape(command: &Append) {
    let count = command.lanes.len();
    assert!((1..=COMMAND_LANES_MAX).contains(&count), "{count} lanes");
    let distinct: HashSet<&str> = command.lanes.iter().map(Lane::as_str).collect();
    assert!(distinct.len() == count, "a lane named twice in {:?}", command.lanes);
    assert!(!distinct.contains(Lane::WHOLE_GROUP), "nobody stands in the lane of the whole group");
    let is_kept = command.quota.as_ref().is_none_or(|quota| milliseconds(quota.kept) > 0);
    assert!(is_kept, "a count that is kept for no time");
    for word in command.key.iter().flat_map(|key| [&key.digest, &key.body]) {
        let printable = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
        assert!(printable && word != "-", "`{word}` cannot be a part of an idempotency key");
    }
}

fn is_unseeded(value: &Value) -> bool {
    let replies = Reader::new(&APPEND, value);
    replies.at(0).and_then(|first| first.at(0)).and_then(|what| what.text()).is_ok_and(|what| what == "unseeded")
}

/// What follows ticket and time in the record of a command: `<key or -> <body or -> <lane> …\n<envelope>`.
fn record(command: &Append) -> Vec<u8> {
    let (digest, body) = command.key.as_ref().map_or(("-", "-"), |key| (&key.digest, &key.body));
    let mut record = Vec::with_capacity(RECORD_BYTES + command.envelope.len());
    for word in [digest, body].into_iter().chain(command.lanes.iter().map(Lane::as_str)) {
        record.extend_from_slice(word.as_bytes());
        record.push(b' ');
    }
    // The last blank becomes the line feed before the envelope.
    if let Some(last) = record.last_mut() {
        *last = b'\n';
    }
    record.extend_from_slice(&command.envelope);
    record
}

/// Room for the head of an ordinary record.
const RECORD_BYTES: usize = 256;

pub(crate) fn id_text(id: Uuid, buffer: &mut [u8]) -> &str {
    id.hyphenated().encode_lower(buffer)
}

struct Waiting {
    command: Append,
    answer: oneshot::Sender<Result<Appended, Error>>,
}

/// Shares script calls between the requests of a process: whoever arrives while a call is under way goes with the next
/// one. Nobody waits for company, and nobody long: when more come than can be taken in, those who would wait are refused
/// at once, and so is everybody for a moment after the group was found full.
#[derive(Debug, Clone)]
pub struct Appender {
    queue: mpsc::Sender<Waiting>,
    pressure: Arc<Pressure>,
}

impl Appender {
    /// Starts the task that sends. It ends when the last clone of the appender is gone.
    pub fn start(lanes: Lanes) -> Self {
        let (queue, waiting) = mpsc::channel(APPEND_QUEUE_COMMANDS_MAX);
        let pressure = Arc::new(Pressure::new());
        tokio::spawn(send_all(lanes, waiting, Arc::clone(&pressure)));
        Self { queue, pressure }
    }

    /// Whether [`Appender::append`] would turn a command away at once: for whoever can say so before they have read it.
    pub fn turns_away(&self) -> Option<TurnedAway> {
        self.pressure.turns_away(self.queue.max_capacity() - self.queue.capacity())
    }

    /// Lets one command into the line.
    ///
    /// # Errors
    /// As [`Lanes::append`]; also when those who wait in this process already wait too long. A call that failed half way has
    /// been repeated once, which is safe because the id is the same.
    pub async fn append(&self, command: Append) -> Result<Appended, Error> {
        match self.turns_away() {
            Some(TurnedAway::Full) => return Ok(Appended::Full),
            Some(TurnedAway::Busy) => return Err(Error::Busy),
            None => {}
        }
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Waiting { command, answer }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => Error::Busy,
            mpsc::error::TrySendError::Closed(_) => Error::Closed,
        })?;
        answered.await.unwrap_or(Err(Error::Closed))
    }
}

async fn send_all(lanes: Lanes, mut waiting: mpsc::Receiver<Waiting>, pressure: Arc<Pressure>) {
    let calls = Arc::new(Semaphore::new(APPENDS_IN_FLIGHT_MAX as usize));
    // When the last call began, if it left others waiting.
    let mut full_call: Option<Instant> = None;
    loop {
        let places = APPENDS_IN_FLIGHT_MAX / pressure.calls_at_once();
        let call = Arc::clone(&calls).acquire_many_owned(places).await.expect("the semaphore is never closed");
        let mut together = Vec::new();
        if waiting.recv_many(&mut together, APPEND_COMMANDS_MAX).await == 0 {
            return;
        }
        if let Some(began) = full_call.take() {
            pressure.full_call_took(began.elapsed());
        }
        // Those who waited while it was found full need not ask again.
        if pressure.is_full() {
            together.into_iter().for_each(|waiting| drop(waiting.answer.send(Ok(Appended::Full))));
            continue;
        }
        full_call = (!waiting.is_empty()).then(Instant::now);
        let (lanes, pressure) = (lanes.clone(), Arc::clone(&pressure));
        tokio::spawn(async move {
            send(&lanes, together, &pressure).await;
            drop(call);
        });
    }
}

async fn send(lanes: &Lanes, together: Vec<Waiting>, pressure: &Pressure) {
    let (commands, answers): (Vec<_>, Vec<_>) = together.into_iter().map(|w| (w.command, w.answer)).unzip();
    let began = Instant::now();
    let mut result = lanes.append(&commands).await;
    if result.is_ok() {
        pressure.call_took(began.elapsed());
    }
    if result.as_ref().is_err_and(|error| error.may_have_happened() && !error.is_out_of_memory()) {
        let again = lanes.append(&commands).await;
        // What the first call left open only an answer settles, not a second call that never reached Redis.
        if again.as_ref().map_or_else(Error::may_have_happened, |_| true) {
            result = again;
        }
    }
    if result.as_ref().is_ok_and(|replies| replies.last() == Some(&Appended::Full)) {
        pressure.found_full();
    }
    // A receiver that is gone belongs to a client that hung up; its command stands in line all the same.
    match result {
        Ok(replies) => answers.into_iter().zip(replies).for_each(|(answer, reply)| drop(answer.send(Ok(reply)))),
        Err(error) => {
            let error = Arc::new(error);
            answers.into_iter().for_each(|answer| drop(answer.send(Err(Error::Shared(Arc::clone(&error))))));
        }
    }
}
