//! Room in the line, told before a command is looked into: when many more come than can be taken in, what a "no" costs decides how
//! many of the others are served.

use axum::http::{Method, Uri};
use common::{CouponId, Group};
use lanes::TurnedAway;

use crate::error_table::Code;
use crate::lines::Line;
use crate::problem::Problem;
use crate::state::AppState;

/// The routes of commands whose group the pattern tells.
const OF_ONE_GROUP: [(&str, Group); 2] = [("/api/orders", Group::ORDER), ("/api/users/balance/charge", Group::CHARGE)];

/// The route of claims, of which each coupon may have a group of its own, around the id.
const CLAIM: (&str, &str) = ("/api/coupons/", "/issue");

/// Whoever comes with a command finds room here, or hears that there is none.
pub struct Room(AppState);

impl Room {
    /// The room in these lines.
    pub fn new(state: AppState) -> Room {
        Room(state)
    }

    /// Finds room for what this first line asks for, of which `pattern` is the route. There always is where it tells no group:
    /// for what is no command, and for ids that must be decoded first. Those still meet the line itself.
    ///
    /// # Errors
    /// R004 and R005, each with the time after which to come again.
    pub fn find(&self, method: &Method, pattern: &str, uri: &Uri) -> Result<(), Problem> {
        let lines = &self.0.lines;
        let line = group_of(method, pattern, uri.path(), lines.coupon_groups()).and_then(|group| lines.of(group));
        let turned_away = line.and_then(|line| Some((line, line.appender.turns_away()?)));
        turned_away.map_or(Ok(()), |(line, why)| Err(no_room(line, why)))
    }
}

fn group_of(method: &Method, pattern: &str, path: &str, coupon_groups: u8) -> Option<Group> {
    if method != Method::POST {
        return None;
    }
    let of_one = OF_ONE_GROUP.iter().find(|(route, _)| *route == pattern).map(|(_, group)| *group);
    of_one.or_else(|| {
        let (before, after) = CLAIM;
        let id: CouponId = path.strip_prefix(before)?.strip_suffix(after)?.parse().ok()?;
        Some(Group::coupon(&id, coupon_groups))
    })
}

/// What is told to, and counted of, whoever finds no room. It has no cause: too many at once are no fault, and too many to be
/// written down one by one.
pub fn no_room(line: &Line, why: TurnedAway) -> Problem {
    let (code, counter) = match why {
        TurnedAway::Full => (Code::R004, &line.counters.full),
        TurnedAway::Busy => (Code::R005, &line.counters.unavailable),
    };
    counter.increment(1);
    Problem::new(code).retry()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::TABLE;

    #[test]
    fn the_first_line_of_a_command_tells_its_group() {
        let claim = "/api/coupons/{couponId}/issue";
        let coupon = |id: &str| Some(Group::coupon(&id.parse().unwrap(), 64));
        let rows = [
            ("POST", "/api/orders", "/api/orders", Some(Group::ORDER)),
            ("GET", "/api/orders", "/api/orders", None),
            ("POST", "/api/users/balance/charge", "/api/users/balance/charge", Some(Group::CHARGE)),
            ("POST", claim, "/api/coupons/C1/issue", coupon("C1")),
            ("POST", claim, "/api/coupons/C2/issue", coupon("C2")),
            ("POST", claim, "/api/coupons/C%31/issue", None),
            ("POST", "/api/coupons/validate", "/api/coupons/validate", None),
            ("POST", "/api/cart/items", "/api/cart/items", None),
        ];
        for (method, pattern, path, group) in rows {
            assert!(TABLE.contains(&(method, pattern)), "{method} {pattern} is no route");
            assert_eq!(group_of(&method.parse().unwrap(), pattern, path, 64), group, "{method} {path}");
        }
        assert_ne!(coupon("C1"), coupon("C2"), "these two are to be told apart");
    }
}
