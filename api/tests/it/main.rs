//! The door as a client and an operator meet it: the real program, a real Redis, a real Postgres.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod addresses;
mod admin;
mod attack;
mod auth;
mod belongings;
mod cart;
mod catalogue;
mod charges;
mod commands;
mod container;
mod desk;
mod faults;
mod gate;
mod humans;
mod kit;
mod lifecycle;
mod openapi;
mod pages;
mod published_keys;
mod status;
mod worker;
