//! The protocol on a real Redis, one topic per file.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backend;
mod crew;
mod door;
mod listen;
mod long_lane;
mod lost_data;
mod model;
mod multi_lane;
mod quota;
mod readme;
mod redis_trouble;
mod servers;
mod support;
mod suspects;
