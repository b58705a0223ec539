//! The shop on more than one Redis: a Cluster whose nodes fail over and whose slots move, Sentinels, and replicas that are
//! waited for. Real programs, real servers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cluster;
mod load;
#[path = "../whole_path/receiver.rs"]
#[expect(dead_code, reason = "not every test needs all that a receiver can do")]
mod receiver;
mod sentinel;
#[path = "../whole_path/shop.rs"]
#[expect(dead_code, reason = "not every test needs all that a shop can do")]
mod shop;

/// Has both programs.
const PROGRAM: &str = env!("CARGO_BIN_EXE_demo");
