//! What leaves the shop after a commit: rows that are found when they are due, sent, and tried again.

pub(crate) mod alerts;
pub(crate) mod mails;
pub(crate) mod order_sync;
