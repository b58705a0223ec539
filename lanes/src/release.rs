//! Giving a batch back: the lanes are free again and everybody keeps the place.

use uuid::Uuid;

use crate::{
    Error, Lanes,
    script::{RELEASE, Reader},
};

/// Why a batch is given back, which says how its commands come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// A fault outside: the same commands come again as they were.
    Unchanged,
    /// It was too much at once: its commands come again in batches of a quarter.
    Smaller,
    /// One of its commands is the cause: smaller, remembered, and counted against a command that was alone.
    Blamed,
}

impl Lanes {
    /// Frees the lanes of a batch and removes nothing. False when the lease is not ours any more.
    ///
    /// # Errors
    /// When Redis cannot be reached or does not answer in time; the lease then expires by itself.
    pub async fn release(&self, token: Uuid, release: Release) -> Result<bool, Error> {
        let (failed, blamed) = match release {
            Release::Unchanged => (0, 0),
            Release::Smaller => (1, 0),
            Release::Blamed => (1, 1),
        };
        let value = self
            .run(&RELEASE, |call| {
                call.arg(token.to_string()).arg(failed).arg(blamed);
            })
            .await?;
        Ok(Reader::new(&RELEASE, &value).integer()? == 1)
    }
}
