//! Crowds: thousands of connections that say nothing or speak slowly, thousands who wait to be told, and a line that grew while
//! nobody worked on it. Real programs, real servers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backlog;
mod connections;
#[path = "../whole_path/shop.rs"]
#[expect(dead_code, reason = "not every test needs all that a shop can do")]
mod shop;
mod waiters;

/// Has both programs.
const PROGRAM: &str = env!("CARGO_BIN_EXE_demo");
