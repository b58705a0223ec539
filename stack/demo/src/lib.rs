//! The demo: a whole shop on one machine, a flash sale in it, and a report of what happened.
//!
//! [`run`] is the course of it: [`shop`] starts everything, [`sale`] says what is sold to whom, [`load`] plays the
//! shoppers, [`checks`] looks whether every promise was kept, [`report`] tells it. [`mod@bench`] measures how fast all this
//! is, beside the [`baseline`]: the same shop written the usual way.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod admin;
pub mod baseline;
pub mod bench;
pub mod checks;
pub mod facts;
pub mod load;
pub mod machine;
pub mod programs;
pub mod report;
pub mod rights;
pub mod run;
pub mod sale;
pub mod screen;
pub mod shop;
