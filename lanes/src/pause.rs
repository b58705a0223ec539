//! Holding one resource without losing its line.

use crate::{
    Error, Lane, Lanes,
    limits::HELD_COMMANDS_MAX,
    script::{PAUSE, RESUME, Reader},
};

impl Lanes {
    /// Holds a lane, or the whole group. Batches in flight finish. Answers how many commands now wait because of it:
    /// those in the lane and whoever stands behind one of them in another, counted up to [`HELD_COMMANDS_MAX`].
    ///
    /// # Errors
    /// When Redis cannot be reached or does not answer in time; repeating is safe.
    pub async fn pause(&self, lane: &Lane) -> Result<u64, Error> {
        let value = self
            .run(&PAUSE, |call| {
                call.arg(lane.as_str()).arg(HELD_COMMANDS_MAX);
            })
            .await?;
        Reader::new(&PAUSE, &value).count()
    }

    /// Lets a lane go on. Answers whether it was paused.
    ///
    /// # Errors
    /// When Redis cannot be reached or does not answer in time; repeating is safe.
    pub async fn resume(&self, lane: &Lane) -> Result<bool, Error> {
        let value = self
            .run(&RESUME, |call| {
                call.arg(lane.as_str());
            })
            .await?;
        Ok(Reader::new(&RESUME, &value).integer()? == 1)
    }
}
