//! The line as it stands now, from counters.

use std::time::Duration;

use crate::{
    Error, Lanes,
    script::{DEPTH, Reader},
};

/// A group at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Depth {
    /// Commands without an outcome.
    pub waiting: u64,
    /// Of these, how many a worker has.
    pub in_flight: u64,
    /// Batches under way.
    pub leases: u64,
    /// How long ago the oldest of them was accepted.
    pub oldest_age: Option<Duration>,
    /// Commands that a worker could take at once.
    pub ready: u64,
    /// The longest lanes and their lengths, longest first.
    pub longest: Vec<(String, u64)>,
    /// The lanes that are held.
    pub paused: Vec<String>,
}

impl Lanes {
    /// Looks at the group, with at most `lanes_max` of its longest lanes.
    ///
    /// # Errors
    /// When Redis cannot be reached or does not answer in time.
    pub async fn depth(&self, lanes_max: usize) -> Result<Depth, Error> {
        let value = self
            .run(&DEPTH, |call| {
                call.arg(lanes_max);
            })
            .await?;
        let reply = Reader::new(&DEPTH, &value);
        let longest = reply.at(5)?;
        let paused = reply.at(6)?;
        Ok(Depth {
            waiting: reply.at(0)?.count()?,
            in_flight: reply.at(1)?.count()?,
            leases: reply.at(2)?.count()?,
            oldest_age: u64::try_from(reply.at(3)?.integer()?).ok().map(Duration::from_micros),
            ready: reply.at(4)?.count()?,
            longest: (0..longest.items()?.len())
                .step_by(2)
                .map(|i| Ok((longest.at(i)?.text()?.to_owned(), longest.at(i + 1)?.count()?)))
                .collect::<Result<_, Error>>()?,
            paused: (0..paused.items()?.len())
                .map(|i| Ok(paused.at(i)?.text()?.to_owned()))
                .collect::<Result<_, Error>>()?,
        })
    }
}
