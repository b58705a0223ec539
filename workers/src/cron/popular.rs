//! Sealing the hours that are over, and counting what most people ask anew, so that nobody has to wait for it.

use anyhow::Context;
use popular::{Question, seal_hours};

use super::Parts;

pub(super) async fn run(parts: &Parts) -> anyhow::Result<()> {
    let hours = seal_hours(&parts.pool).await.context("sealing the hours that are over")?;
    tracing::debug!("{hours} hours were sealed");
    parts.popular.refresh(Question::USUAL).await.context("counting the popular products")
}
