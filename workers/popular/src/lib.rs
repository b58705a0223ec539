//! The popular products: exactly counted, and never by scanning raw orders when somebody asks.
//!
//! Whole hours of decided orders are counted once, by a schedule ([`seal_hours`]), and kept. A count ([`count`]) adds up
//! the kept hours and reads raw only the edges: the part of an hour at the beginning, and what is not sealed yet. Its
//! result is shared by everybody through a cache in Redis ([`Cache`]), which on a miss one caller fills while the others
//! wait. Both programs use it, so it is a crate of its own.

#![forbid(unsafe_code)]

mod cache;
mod count;
pub mod limits;
mod seal;

pub use cache::Cache;
pub use count::{Period, Popular, Question, Ranked, count};
pub use seal::seal_hours;
