//! When Redis lost its data: what was accepted before and not decided may be unknown after, and nothing else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Result;

/// From when to when it was losing them.
#[derive(Debug, Clone, Copy)]
struct Loss {
    began: Instant,
    ended: Option<Instant>,
}

/// All that there were.
#[derive(Debug, Clone, Default)]
pub struct Losses(Arc<Mutex<Vec<Loss>>>);

impl Losses {
    /// Does what may lose the data and says whether it did, and notes when. It is noted before as well: who asks meanwhile may
    /// find it done.
    ///
    /// # Errors
    /// Those of `lose`; the data may then be lost.
    pub fn during(&self, lose: impl FnOnce() -> Result<bool>) -> Result<bool> {
        let began = Instant::now();
        self.change(|losses| losses.push(Loss { began, ended: None }));
        let lost = lose();
        let ended = Some(Instant::now());
        self.change(|losses| match lost {
            Ok(false) => losses.retain(|loss| loss.began != began),
            _ => losses.iter_mut().filter(|loss| loss.began == began).for_each(|loss| loss.ended = ended),
        });
        lost
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Loss>)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether data may have been lost between these.
    pub fn between(&self, from: Instant, to: Instant) -> bool {
        let losses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        losses.iter().any(|loss| loss.began <= to && loss.ended.is_none_or(|ended| ended >= from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lay_between_is_forgiven() {
        let losses = Losses::default();
        let before = Instant::now();
        assert!(!losses.during(|| Ok(false)).unwrap() && !losses.between(before, Instant::now()), "nothing was lost");
        let mut meanwhile = None;
        let lose = || {
            meanwhile = Some(Instant::now());
            Ok(losses.between(before, Instant::now()))
        };
        assert!(losses.during(lose).unwrap(), "it is noted before it is done");
        let after = Instant::now();
        assert!(losses.between(before, after) && losses.between(meanwhile.unwrap(), after));
        assert!(!losses.between(after, Instant::now()), "what came after was not lost");
        assert!(!losses.between(before, before));
    }
}
