//! Trouble for a whole shop: load, faults of every kind on real processes, and the promises looked at afterwards, over what
//! the shoppers themselves were told and over Postgres.

pub mod check;
pub mod clock;
pub mod disk;
pub mod faults;
pub mod glance;
pub mod house;
pub mod load;
pub mod log;
pub mod losses;
pub mod pace;
pub mod run;
pub mod wire;
