//! The gate of a lane: a certain no before the line.

use crate::{
    Error, Lane, Lanes,
    script::{RAISE_GATE, Reader},
};

/// Two numbers, each only ever raised; the gate is closed while `used >= limit`. Because both only rise, a late message
/// can neither close an opened gate nor open a closed one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// The lane that it stands before.
    pub lane: Lane,
    /// How much has been given away, as committed.
    pub used: u64,
    /// How much there is.
    pub limit: u64,
}

impl Lanes {
    /// Raises both numbers of a gate to at least these.
    ///
    /// # Errors
    /// When Redis cannot be reached or does not answer in time; repeating is safe.
    pub async fn raise_gate(&self, gate: &Gate) -> Result<(), Error> {
        let value = self
            .run(&RAISE_GATE, |call| {
                call.arg(gate.lane.as_str()).arg(gate.used).arg(gate.limit);
            })
            .await?;
        Reader::new(&RAISE_GATE, &value).integer().map(drop)
    }
}
