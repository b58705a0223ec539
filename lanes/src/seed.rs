//! Tickets never go back: the counter is raised above whatever the archive knows.

use redis::{Value, aio::MultiplexedConnection};

use crate::{
    Error, Floor, Lanes,
    history::History,
    script::{RETICKET, Reader, SEED},
};

/// What seeding found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeded {
    /// Whether the counter was missing or too low.
    pub raised: bool,
    /// The last ticket given, as the counter now says.
    pub ticket: u64,
}

impl Lanes {
    /// Raises the counter above the floor if it is missing or below it, and once after another server took over, because
    /// it may not have heard of the last tickets that were given. In both cases pauses become what the archive says;
    /// otherwise Redis knows them.
    #[expect(clippy::disallowed_methods, reason = "the verbs of this crate are where scripts are called")]
    pub(crate) async fn seed_on(
        &self,
        redis: &mut MultiplexedConnection,
        floor: &Floor,
        history: Option<&History>,
    ) -> Result<Seeded, Error> {
        let take_over = history.and_then(History::take_over).unwrap_or("-");
        let mut invocation = SEED.invocation(&self.prefix);
        invocation.arg(floor.highest_ticket).arg(self.link.seed_margin()).arg(take_over);
        for lane in &floor.paused {
            invocation.arg(lane);
        }
        let value: Value =
            invocation.invoke_async(redis).await.map_err(|source| Error::Script { script: SEED.name, source })?;
        let reply = Reader::new(&SEED, &value);
        let seeded = Seeded { raised: reply.at(0)?.integer()? == 1, ticket: reply.at(1)?.parsed()? };
        if seeded.raised {
            tracing::info!(group = %self.group, ticket = seeded.ticket, "tickets of {} go on after {}", self.group, seeded.ticket);
        }
        Ok(seeded)
    }

    /// Gives everybody in line a new ticket above all decided ones, in the old order, because the archive refused a
    /// ticket as too old although the lease was ours: tickets went back. `above` is a ticket that the archive is known to
    /// hold; the new ones are above it even if the archive's newest batches do not show it. Answers how many were in line.
    ///
    /// # Errors
    /// When Redis or the archive cannot be reached.
    pub async fn reticket(&self, above: u64) -> Result<u64, Error> {
        let highest = self.link.floor(&self.group).await?.highest_ticket.max(above);
        let margin = self.link.seed_margin();
        let value = self
            .run(&RETICKET, |call| {
                call.arg(highest).arg(margin);
            })
            .await?;
        Reader::new(&RETICKET, &value).count()
    }
}
