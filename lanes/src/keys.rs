//! Names: groups of lanes, lanes, and the prefix of their keys.

use std::{fmt, str::FromStr, sync::Arc};

use crate::limits::LANE_MAX_CHARS;

/// A name that cannot be part of a key or of a record.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{name}` cannot name a {what}: 1 to {LANE_MAX_CHARS} printable ASCII characters without blanks or braces")]
pub struct InvalidName {
    what: &'static str,
    name: String,
}

fn check(what: &'static str, name: &str) -> Result<Arc<str>, InvalidName> {
    let allowed = |c: char| c.is_ascii_graphic() && c != '{' && c != '}';
    if (1..=LANE_MAX_CHARS).contains(&name.len()) && name.chars().all(allowed) {
        Ok(name.into())
    } else {
        Err(InvalidName { what, name: name.chars().take(LANE_MAX_CHARS).collect() })
    }
}

/// A group of lanes that share one ticket counter and one slot of a Redis Cluster. Tickets compare only within it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group(Arc<str>);

impl Group {
    /// The group's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What every key of the group begins with. The braces are Redis Cluster's hash tag.
    pub(crate) fn prefix(&self) -> String {
        format!("{{{}}}:", self.0)
    }

    /// The channel on which outcomes are told, one message per batch.
    pub(crate) fn decided_channel(&self) -> String {
        format!("{}decided", self.prefix())
    }

    /// The channel on which sleeping workers are woken.
    pub(crate) fn wake_channel(&self) -> String {
        format!("{}wake", self.prefix())
    }
}

impl FromStr for Group {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        check("group", name).map(Self)
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The line of one resource, for example `seat:17`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(Arc<str>);

impl Lane {
    pub(crate) const WHOLE_GROUP: &str = "*";

    /// The lane that stands for the whole group when it is paused.
    pub fn whole_group() -> Self {
        Self(Self::WHOLE_GROUP.into())
    }

    /// The lane's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Lane {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        check("lane", name).map(Self)
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a quota counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QuotaName(Arc<str>);

impl QuotaName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for QuotaName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        check("quota", name).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["coupon:C1", "product:a.b-c_1", "*", &"x".repeat(LANE_MAX_CHARS)] {
            assert_eq!(good.parse::<Lane>().map(|lane| lane.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "a b", "a\nb", "{x}", "쿠폰", &"x".repeat(LANE_MAX_CHARS + 1)] {
            assert!(bad.parse::<Lane>().is_err(), "{bad:?}");
            assert!(bad.parse::<Group>().is_err(), "{bad:?}");
            assert!(bad.parse::<QuotaName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn keys_of_a_group_share_its_hash_tag() {
        let group: Group = "coupon".parse().expect("a name");
        assert_eq!(group.prefix(), "{coupon}:");
        assert_eq!(group.decided_channel(), "{coupon}:decided");
    }
}
