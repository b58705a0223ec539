//! Clients that wait for an outcome, and how they are woken: one message per decided batch reaches this process, and
//! finds whoever waits for one of its requests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::RequestId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use crate::limits::WAITERS_MAX;

/// Parts of the registry that are locked one by one, so that a batch of wake-ups does not stop every newcomer.
const SHARDS: usize = 64;

/// Why a waiter was woken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Woken {
    /// The outcome, as the worker told it.
    Decided(Arc<[u8]>),
    /// A message may have been missed: look again.
    LookAgain,
    /// The time is over, or the process is about to end: answer with what there is.
    Over,
}

type Shard = Mutex<HashMap<Uuid, Vec<Place>>>;

struct Place {
    number: u64,
    wake: oneshot::Sender<Woken>,
}

/// Everybody who waits in this process.
pub struct Waiters {
    shards: Box<[Shard]>,
    places: Arc<Semaphore>,
    numbers: AtomicU64,
    closed: AtomicBool,
}

impl Default for Waiters {
    fn default() -> Self {
        Waiters {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            places: Arc::new(Semaphore::new(WAITERS_MAX)),
            numbers: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }
}

/// One client that waits for one request. To be registered before the request is appended or looked up, so that an
/// outcome in between is not missed.
pub struct Waiter {
    waiters: Arc<Waiters>,
    id: Uuid,
    number: u64,
    woken: oneshot::Receiver<Woken>,
    _place: OwnedSemaphorePermit,
}

impl Waiters {
    /// Takes a place; none: all are taken, or the process is about to end. Then answer with what there is.
    pub fn register(self: &Arc<Self>, id: RequestId) -> Option<Waiter> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let id = id.as_uuid();
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (wake, woken) = oneshot::channel();
        let mut shard = self.shard(id);
        // Looked at under the lock: `close` empties the shards after it has closed.
        if self.closed.load(Ordering::Acquire) {
            return None;
        }
        shard.entry(id).or_default().push(Place { number, wake });
        drop(shard);
        Some(Waiter { waiters: Arc::clone(self), id, number, woken, _place: place })
    }

    /// Tells an outcome to those who wait for it.
    pub fn decided(&self, id: Uuid, outcome: &[u8]) {
        let Some(places) = self.shard(id).remove(&id) else {
            return;
        };
        let outcome: Arc<[u8]> = outcome.into();
        for place in places {
            // Whoever went away in this moment needs no answer.
            let _ = place.wake.send(Woken::Decided(Arc::clone(&outcome)));
        }
    }

    /// Makes everybody look again: messages may have been missed.
    pub fn look_again(&self) {
        self.wake_all(&Woken::LookAgain);
    }

    /// Ends all waiting, and lets nobody begin again.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake_all(&Woken::Over);
    }

    /// How many wait now.
    pub fn count(&self) -> usize {
        WAITERS_MAX - self.places.available_permits()
    }

    fn wake_all(&self, why: &Woken) {
        for shard in &self.shards {
            let places = std::mem::take(&mut *locked(shard));
            for place in places.into_values().flatten() {
                let _ = place.wake.send(why.clone());
            }
        }
    }

    fn shard(&self, id: Uuid) -> MutexGuard<'_, HashMap<Uuid, Vec<Place>>> {
        // A byte of randomness; the last one names the group.
        const RANDOM_BYTE: usize = 14;
        locked(&self.shards[usize::from(id.as_bytes()[RANDOM_BYTE]) % SHARDS])
    }
}

fn locked(shard: &Shard) -> MutexGuard<'_, HashMap<Uuid, Vec<Place>>> {
    // Nothing in here can panic half way through a change, so a poisoned lock holds good data.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Waiter {
    /// Waits at most until `end`.
    pub async fn woken(mut self, end: Instant) -> Woken {
        match tokio::time::timeout_at(end, &mut self.woken).await {
            Ok(Ok(woken)) => woken,
            // Nobody drops a place without waking it, but looking is always right.
            Ok(Err(_)) => Woken::LookAgain,
            Err(_) => Woken::Over,
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut shard = self.waiters.shard(self.id);
        if let Some(places) = shard.get_mut(&self.id) {
            places.retain(|place| place.number != self.number);
            if places.is_empty() {
                shard.remove(&self.id);
            }
        }
    }
}

/// The end of a wait that begins now.
pub fn end_after(wait: Duration) -> Instant {
    Instant::now() + wait
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::Group;

    fn request() -> RequestId {
        RequestId::new(Uuid::now_v7(), Group::ORDER)
    }

    fn soon() -> Instant {
        end_after(Duration::from_secs(20))
    }

    #[tokio::test]
    async fn an_outcome_wakes_those_who_wait_for_it() {
        let waiters = Arc::new(Waiters::default());
        let (mine, other) = (request(), request());
        let [first, second, bystander] = [mine, mine, other].map(|id| waiters.register(id).unwrap());
        waiters.decided(mine.as_uuid(), b"yes");
        for waiter in [first, second] {
            assert_eq!(waiter.woken(soon()).await, Woken::Decided(Arc::from(&b"yes"[..])));
        }
        assert_eq!(waiters.count(), 1);
        assert_eq!(bystander.woken(Instant::now()).await, Woken::Over);
        assert_eq!(waiters.count(), 0);
        assert!(waiters.shards.iter().all(|shard| locked(shard).is_empty()), "nobody is left behind");
    }

    #[tokio::test]
    async fn a_lost_connection_makes_everybody_look() {
        let waiters = Arc::new(Waiters::default());
        let waiting = waiters.register(request()).unwrap();
        waiters.look_again();
        assert_eq!(waiting.woken(soon()).await, Woken::LookAgain);
    }

    #[tokio::test]
    async fn after_the_end_nobody_waits() {
        let waiters = Arc::new(Waiters::default());
        let waiting = waiters.register(request()).unwrap();
        waiters.close();
        assert_eq!(waiting.woken(soon()).await, Woken::Over);
        assert!(waiters.register(request()).is_none());
    }

    #[tokio::test]
    async fn places_are_bounded() {
        let waiters = Arc::new(Waiters::default());
        let mut waiting: Vec<_> = (0..WAITERS_MAX).map(|_| waiters.register(request()).unwrap()).collect();
        assert!(waiters.register(request()).is_none());
        waiting.pop();
        assert!(waiters.register(request()).is_some());
    }
}
