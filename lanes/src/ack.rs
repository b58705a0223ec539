//! The end of a batch: outcomes are known and everybody who waits is told.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::{
    Batch, Error, Gate, Lanes,
    append::id_text,
    limits::{KEY_TTL, OUTCOME_TTL},
    script::{ACK, Reader, TELL, milliseconds},
};

/// The outcomes of a batch, and the gates that its commit moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decided {
    /// One outcome per entry of the batch, in the same order; bytes that only the caller understands. One that is not
    /// known yet may be empty, and be told later by [`Lanes::tell`].
    pub outcomes: Vec<Vec<u8>>,
    /// Gates to raise.
    pub gates: Vec<Gate>,
}

/// Whether an ack was ours to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acked {
    /// The batch is out of the line.
    Done,
    /// The lease is not ours any more: somebody else has the commands, and will find them decided.
    Stale,
}

impl Lanes {
    /// Removes the batch from the line, keeps its outcomes for [`OUTCOME_TTL`], frees the lanes and tells the waiting.
    /// Only the batch's own token can do it.
    ///
    /// # Errors
    /// When Redis cannot be reached or does not answer in time; then it may have happened, and repeating answers
    /// [`Acked::Stale`].
    ///
    /// # Panics
    /// When the number of outcomes is not that of the entries.
    pub async fn ack(&self, batch: &Batch, decided: &Decided) -> Result<Acked, Error> {
        assert_eq!(batch.entries.len(), decided.outcomes.len(), "one outcome for each command of the batch");
        let mut lanes: BTreeMap<&str, usize> = BTreeMap::new();
        for lane in batch.entries.iter().flat_map(|entry| &entry.lanes) {
            *lanes.entry(lane).or_default() += 1;
        }
        let value = self
            .run(&ACK, |call| {
                call.arg(batch.token.to_string());
                call.arg(milliseconds(OUTCOME_TTL)).arg(milliseconds(KEY_TTL));
                let outcomes = decided.outcomes.iter().map(Vec::len);
                call.arg(message_head(batch.entries.iter().map(|entry| entry.id).zip(outcomes))).arg(lanes.len());
                for (lane, count) in &lanes {
                    call.arg(*lane).arg(*count);
                }
                call.arg(decided.gates.len());
                for gate in &decided.gates {
                    call.arg(gate.lane.as_str()).arg(gate.used).arg(gate.limit);
                }
                let keys = || batch.entries.iter().filter_map(|entry| entry.key.as_ref());
                call.arg(keys().count());
                for key in keys() {
                    call.arg(key.digest.as_str());
                }
                for (entry, outcome) in batch.entries.iter().zip(&decided.outcomes) {
                    call.arg(id_text(entry.id, &mut Uuid::encode_buffer())).arg(outcome.as_slice());
                }
            })
            .await?;
        Ok(if Reader::new(&ACK, &value).integer()? == 1 { Acked::Done } else { Acked::Stale })
    }

    /// Tells outcomes that came after their commands had left the line, and keeps them for [`OUTCOME_TTL`] in place of
    /// what the ack left.
    ///
    /// # Errors
    /// When Redis cannot be reached, is full, or does not answer in time; repeating is safe.
    pub async fn tell(&self, outcomes: &[(Uuid, Vec<u8>)]) -> Result<(), Error> {
        let value = self
            .run(&TELL, |call| {
                call.arg(milliseconds(OUTCOME_TTL));
                call.arg(message_head(outcomes.iter().map(|(id, outcome)| (*id, outcome.len()))));
                for (id, outcome) in outcomes {
                    call.arg(id_text(*id, &mut Uuid::encode_buffer())).arg(outcome.as_slice());
                }
            })
            .await?;
        Reader::new(&TELL, &value).integer().map(drop)
    }
}

/// What stands before the outcomes in the message that tells them: `<id> <length>\n` for each, and a line feed.
fn message_head(lengths: impl Iterator<Item = (Uuid, usize)>) -> String {
    use std::fmt::Write as _;
    let mut head = String::new();
    for (id, length) in lengths {
        writeln!(head, "{id} {length}").expect("writing to a text does not fail");
    }
    head.push('\n');
    head
}
