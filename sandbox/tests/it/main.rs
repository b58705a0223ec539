//! The sandbox as the shop meets it: over real connections.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod faults;
mod gateway;
mod humans;
mod kit;
mod mails;
mod page;
mod program;
mod receivers;
mod tokens;
