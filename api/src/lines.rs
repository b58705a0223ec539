//! The lines that this process lets commands into, one handle per group.

use anyhow::Context;
use common::{CouponId, Group, LaneName};
use lanes::{Appender, Lane, Lanes, LineLimits, Link};
use metrics::Counter;
use runtime::metrics::{self as table, refusal};

/// The scripts that `api` sends, as they are called in metrics.
pub const SCRIPTS: [&str; 7] = ["append", "status", "pause", "resume", "raise_gate", "seed", "depth"];

/// One group's line.
pub struct Line {
    /// Everything but appending.
    pub lanes: Lanes,
    /// Appends, gathered into few calls.
    pub appender: Appender,
    /// What happens at its door.
    pub counters: Counters,
}

/// What happens at the door of a group.
pub struct Counters {
    /// Commands that have a ticket now.
    pub accepted: Counter,
    /// Repeats of an earlier request.
    pub repeated: Counter,
    /// The last unit is committed.
    pub sold_out: Counter,
    /// The line is full.
    pub full: Counter,
    /// One lane of it is full.
    pub lane_full: Counter,
    /// The key belongs to another body.
    pub key_reused: Counter,
    /// Redis failed.
    pub unavailable: Counter,
    /// Refused: the shopper sends too many.
    pub rate_limited: Counter,
    /// Refused: too many come from the address.
    pub address_rate_limited: Counter,
    /// Refused: the address has as many of the coupon as it may have.
    pub address_used_up: Counter,
    /// Refused: nothing proves that a person sent it.
    pub not_human: Counter,
    /// Refused: the verifier of persons could not be asked.
    pub verifier_away: Counter,
}

/// All lines.
pub struct Lines {
    coupon_groups: u8,
    /// The groups of coupons by their spread, then orders, then charges.
    lines: Vec<(Group, Line)>,
}

/// Every group of lanes, with coupons spread over `coupon_groups` groups (1 to 64).
pub fn groups(coupon_groups: u8) -> Vec<Group> {
    let coupons = (0..coupon_groups).map(|spread| Group { kind: common::Kind::CouponIssue, spread });
    coupons.chain([Group::ORDER, Group::CHARGE]).collect()
}

/// The name of a group in the line.
///
/// # Errors
/// Never for a group of [`groups`].
pub fn lane_group(group: Group) -> anyhow::Result<lanes::Group> {
    group.to_string().parse().with_context(|| format!("naming the group {group}"))
}

impl Lines {
    /// Handles on all groups. Nothing is sent yet.
    ///
    /// # Errors
    /// Never for a number of groups that the configuration lets through.
    pub fn new(link: &Link, coupon_groups: u8, limits: LineLimits) -> anyhow::Result<Lines> {
        let open = |group: Group| {
            let lanes = Lanes::new(link.clone(), lane_group(group)?, limits);
            let appender = Appender::start(lanes.clone());
            let counters = Counters::of(&group.to_string());
            Ok((group, Line { lanes, appender, counters }))
        };
        let lines = groups(coupon_groups).into_iter().map(open).collect::<anyhow::Result<_>>()?;
        Ok(Lines { coupon_groups, lines })
    }

    /// Over how many groups coupons are spread.
    pub fn coupon_groups(&self) -> u8 {
        self.coupon_groups
    }

    /// The line of a group; none: no such group is configured (any more).
    pub fn of(&self, group: Group) -> Option<&Line> {
        self.lines.iter().find(|(candidate, _)| *candidate == group).map(|(_, line)| line)
    }

    /// The line that a resource's lane belongs to.
    pub fn of_lane(&self, lane: &LaneName) -> Option<&Line> {
        self.of(lane.group(self.coupon_groups))
    }

    /// All lines with their groups.
    pub fn all(&self) -> impl Iterator<Item = &(Group, Line)> {
        self.lines.iter()
    }
}

/// The lane of a coupon, as the line calls it.
pub fn coupon_lane(coupon_id: &CouponId) -> Lane {
    format!("coupon:{coupon_id}").parse().expect("an id is at most 64 printable characters without braces")
}

impl Counters {
    fn of(group: &str) -> Counters {
        let refused = |reason| table::refused(group.to_owned(), reason);
        Counters {
            accepted: table::accepted(group.to_owned()),
            repeated: table::repeated(group.to_owned()),
            sold_out: refused(refusal::SOLD_OUT),
            full: refused(refusal::GROUP_FULL),
            lane_full: refused(refusal::LANE_FULL),
            key_reused: refused(refusal::KEY_REUSED),
            unavailable: refused(refusal::UNAVAILABLE),
            rate_limited: refused(refusal::RATE_LIMITED),
            address_rate_limited: refused(refusal::ADDRESS_RATE_LIMITED),
            address_used_up: refused(refusal::ADDRESS_USED_UP),
            not_human: refused(refusal::NOT_HUMAN),
            verifier_away: refused(refusal::VERIFIER_AWAY),
        }
    }
}
