//! Idempotency keys as Stripe has them: what was answered under a key is answered again, to the same question.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::answer::Answer;
use super::request::Parameters;
use crate::bounded::Memory;
use crate::limits::KEYS_MAX;

/// What was answered under which key. A copy shares it.
#[derive(Debug, Clone)]
pub(super) struct Keys(Arc<Mutex<Memory<Entry>>>);

#[derive(Debug)]
struct Entry {
    parameters: Parameters,
    /// None while it is in flight.
    answer: Option<Answer>,
}

/// What a key says to a request.
#[derive(Debug)]
pub(super) enum Begun {
    /// It is the first one.
    Fresh(Held),
    /// It was answered like this.
    Known(Answer),
    /// Another one is under way.
    InFlight,
    /// The key belongs to another question.
    OtherParameters,
}

/// A key whose request is in flight. When it is dropped without an answer, the key is free again.
#[derive(Debug)]
pub(super) struct Held {
    keys: Keys,
    /// None when there is nothing to set free.
    key: Option<String>,
}

impl Keys {
    pub fn new() -> Keys {
        Keys(Arc::new(Mutex::new(Memory::new(KEYS_MAX))))
    }

    fn entries(&self) -> MutexGuard<'_, Memory<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request; one without a key is always the first one.
    pub fn begin(&self, key: Option<&str>, parameters: &Parameters) -> Begun {
        let Some(key) = key else {
            return Begun::Fresh(Held { keys: self.clone(), key: None });
        };
        let mut entries = self.entries();
        match entries.get(key) {
            Some(entry) if entry.parameters != *parameters => Begun::OtherParameters,
            Some(Entry { answer: Some(answer), .. }) => Begun::Known(answer.clone()),
            Some(Entry { answer: None, .. }) => Begun::InFlight,
            None => {
                entries.insert(key, Entry { parameters: parameters.clone(), answer: None });
                Begun::Fresh(Held { keys: self.clone(), key: Some(key.to_owned()) })
            }
        }
    }
}

impl Held {
    /// Keeps the answer under the key.
    pub fn keep(mut self, answer: &Answer) {
        if let Some(key) = self.key.take()
            && let Some(entry) = self.keys.entries().get_mut(&key)
        {
            entry.answer = Some(answer.clone());
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.keys.entries().remove(key);
        }
    }
}
