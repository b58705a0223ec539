//! Words that the tests of several files share.

use std::fmt::Debug;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::commands::Command;
use crate::commands::claim_coupon::ClaimCoupon;
use crate::envelope::Accepted;
use crate::ids::RequestId;

pub(crate) fn id<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect("a valid id")
}

/// So many seconds into the first day of the sale.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    let opening: DateTime<Utc> = "2026-11-01T00:00:00Z".parse().expect("a valid time");
    opening + TimeDelta::seconds(seconds)
}

/// Just before then: times are kept to the microsecond.
pub(crate) fn just_before(instant: DateTime<Utc>) -> DateTime<Utc> {
    instant - TimeDelta::microseconds(1)
}

/// The id of the request with this ticket, and of what it makes.
pub(crate) fn made_by(ticket: u64) -> Uuid {
    Uuid::from_u128(ticket.into())
}

pub(crate) fn accepted(ticket: u64, accepted_at: DateTime<Utc>, command: Command) -> Accepted {
    Accepted { request_id: RequestId::from_uuid(made_by(ticket)), ticket, accepted_at, command }
}

pub(crate) fn claim(user: &str, coupon: &str) -> Command {
    Command::ClaimCoupon(ClaimCoupon { user_id: id(user), coupon_id: id(coupon) })
}
