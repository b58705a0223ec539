//! The whole path with both real programs, over HTTP like any client: every sequence diagram of the shop, `api` killed
//! between append and answer, and a Redis that loses everything.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod acidrain;
mod attacks;
mod charge_zombies;
mod crashes;
mod diagram_1;
mod diagram_2;
mod diagram_3;
mod diagram_4;
mod diagram_5;
mod diagram_6;
mod diagram_6_3;
mod least_rights;
mod localstripe;
mod mail_server;
#[path = "../../../../workers/tests/support/model.rs"]
mod model;
mod outside;
mod receiver;
mod secrets;
mod shop;
mod traces;

/// Has both programs.
const PROGRAM: &str = env!("CARGO_BIN_EXE_demo");
