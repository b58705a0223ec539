//! What became of a command, and how many are before it.

use uuid::Uuid;

use crate::{
    Error, Lanes,
    script::{Reader, STATUS},
};

/// What Redis knows of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Nothing: it never came, or was decided longer ago than outcomes are kept here, or was lost with Redis' data.
    Unknown,
    /// It has no outcome yet.
    Waiting {
        /// The arrival number.
        ticket: u64,
        /// When it was accepted, in microseconds since 1970.
        accepted_at_us: i64,
        /// Whether a worker has it.
        in_flight: bool,
        /// Commands ahead on the longest of its lanes.
        position: u64,
        /// Whether the archive may hold an outcome nevertheless: another Redis took over since, and may not have heard of it.
        may_be_decided: bool,
        /// What was appended.
        envelope: Vec<u8>,
    },
    /// The outcome, as it was acked.
    Decided(Vec<u8>),
}

impl Lanes {
    /// Looks a command up. Costs O(log n) per lane in which it stands.
    ///
    /// # Errors
    /// When Redis cannot be reached or does not answer in time.
    pub async fn status(&self, id: Uuid) -> Result<Status, Error> {
        let value = self
            .run(&STATUS, |call| {
                call.arg(id.to_string());
            })
            .await?;
        let reply = Reader::new(&STATUS, &value);
        if reply.items()?.is_empty() {
            return Ok(Status::Unknown);
        }
        match reply.at(0)?.text()? {
            "decided" => Ok(Status::Decided(reply.at(1)?.bytes()?.to_vec())),
            "waiting" => Ok(Status::Waiting {
                ticket: reply.at(1)?.parsed()?,
                accepted_at_us: reply.at(2)?.parsed()?,
                in_flight: reply.at(3)?.integer()? == 1,
                position: reply.at(4)?.count()?,
                may_be_decided: reply.at(6)?.integer()? == 1,
                envelope: reply.at(5)?.bytes()?.to_vec(),
            }),
            _ => Err(reply.unreadable()),
        }
    }
}
