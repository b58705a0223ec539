//! The rules of the shop, and nothing else: what a command is, which rows it needs, and what comes of it.
//!
//! Everything here is a plain function of its arguments. Time and ids come in as values, so a decision can be
//! repeated, tested from a table, and replayed from the record. What talks to a network, a disk or a clock lives in
//! the crates around this one; `tests/pure.rs` holds the border.
//!
//! Read aloud: [`needs`](needs()) says which rows a batch touches, a [`State`] carries them, [`decide`](decide()) turns
//! the two into one [`Outcome`] per command and the [`Changes`] that must be written.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod changes;
pub mod commands;
pub mod decide;
pub mod envelope;
pub mod group;
pub mod ids;
pub mod lane;
pub mod limits;
pub mod money;
pub mod needs;
pub mod outcome;
pub mod receipt;
pub mod state;
pub mod trace;

#[cfg(test)]
mod samples;

pub use changes::{CartRemoval, Changes, Issued, LedgerEntry, LedgerKind, Order, OrderLine, Used};
pub use commands::charge_balance::{ChargeBalance, Payment, settle};
pub use commands::claim_coupon::{ClaimCoupon, check_claim};
pub use commands::place_order::{OrderItem, PlaceOrder, check_coupon};
pub use commands::{Command, FieldError};
pub use decide::{Decision, decide};
pub use envelope::{Accepted, ENVELOPE_VERSION, Envelope, EnvelopeError};
pub use group::{Group, InvalidGroup, Kind, UnknownKind};
pub use ids::{CouponId, InvalidId, ProductId, RequestId, UserId};
pub use lane::{LaneName, lanes};
pub use money::{Discount, Won};
pub use needs::{Needs, needs};
pub use outcome::{InsufficientItem, NotApplicable, Outcome, OutcomeError, Refusal, Success};
pub use receipt::{Receipt, ReceiptError};
pub use state::{Coupon, Product, State, User, WalletEntry};
pub use trace::Trace;
