//! Names: those that operators choose, and the id of a request, which also says where the request stands.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::group::Group;
use crate::limits::MAX_ID_CHARS;

/// A text that is not the id it was meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {what} has 1 to {MAX_ID_CHARS} characters of A-Z a-z 0-9 _ . -, the first a letter or digit")]
pub struct InvalidId {
    /// Which kind of id was expected, in words: `product id`.
    pub what: &'static str,
}

fn is_id(text: &str) -> bool {
    text.len() <= MAX_ID_CHARS
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

macro_rules! chosen_id {
    ($name:ident, $what:literal, $doc:literal) => {
        #[doc = $doc]
        ///
        /// 1 to 64 characters of `A-Z a-z 0-9 _ . -`, the first a letter or digit. Ids sort by their bytes, as the
        /// database sorts them. A batch copies its ids into rows, changes and outcomes, so a copy shares the text.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if is_id(text) { Ok(Self(Arc::from(text))) } else { Err(InvalidId { what: $what }) }
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidId;

            fn try_from(text: &str) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("a ", $what))
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }
    };
}

chosen_id!(ProductId, "product id", "The id of a product: `P001`.");
chosen_id!(CouponId, "coupon id", "The id of a coupon: `C1`.");
chosen_id!(UserId, "user id", "The id of a shopper: `user1`.");

/// The id of a request, and of what the request makes: the order, the wallet entry, the charge.
///
/// A UUIDv7 whose last byte names the group of lanes in which the request stands, so that whoever looks for its status
/// has to ask one place only. The 66 random bits that are left keep ids of the same millisecond apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(Uuid);

impl RequestId {
    /// The id of a new request that will stand in `group`, from a fresh UUIDv7 whose last byte is given up.
    ///
    /// # Panics
    /// If the spread of `group` is above 63.
    pub fn new(v7: Uuid, group: Group) -> Self {
        let mut bytes = v7.into_bytes();
        bytes[15] = group.to_byte();
        RequestId(Uuid::from_bytes(bytes))
    }

    /// An id that was made before, as it was stored.
    pub fn from_uuid(id: Uuid) -> Self {
        RequestId(id)
    }

    /// Reads the usual text form, 36 characters with hyphens; none for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        // The parser also knows braces, URNs and bare digits: one request would have many addresses.
        let hyphenated = text.len() == uuid::fmt::Hyphenated::LENGTH;
        hyphenated.then(|| Uuid::try_parse(text).ok().map(RequestId))?
    }

    /// The id as the database keeps it.
    pub fn as_uuid(self) -> Uuid {
        self.0
    }

    /// The group in whose lanes the request stands; none: this id was not made here.
    pub fn group(self) -> Option<Group> {
        Group::from_byte(self.0.as_bytes()[15])
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::{CouponId, ProductId, RequestId, UserId};
    use crate::group::{Group, Kind};
    use uuid::Uuid;

    #[test]
    fn ids_hold_the_alphabet_and_nothing_else() {
        fn check(text: &str, valid: bool) {
            assert_eq!(text.parse::<ProductId>().is_ok(), valid, "{text:?}");
            assert_eq!(CouponId::try_from(text).is_ok(), valid, "{text:?}");
            assert_eq!(UserId::try_from(text.to_owned()).is_ok(), valid, "{text:?}");
            let json = serde_json::to_string(text).unwrap();
            let read: Result<UserId, _> = serde_json::from_str(&json);
            assert_eq!(read.is_ok(), valid, "{json}");
        }
        for text in ["P001", "user1", "a", "0", "Z_z.9-", "a--", "a..b", &"x".repeat(64)] {
            check(text, true);
        }
        for text in ["", "_a", ".a", "-a", "a b", "a:b", "a/b", "a\n", "a\0", "é", "a상품", "a{b}", "a*"] {
            check(text, false);
        }
        check(&"x".repeat(65), false);
        // 64 characters, but more bytes: a limit in bytes must not let them in by another way.
        check(&"é".repeat(64), false);
    }

    #[test]
    fn an_id_is_written_as_it_is() {
        let id: ProductId = "P001".parse().unwrap();
        assert_eq!(id.as_str(), "P001");
        assert_eq!(id.to_string(), "P001");
        assert_eq!(format!("{id:?}"), "\"P001\"");
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"P001\"");
        assert_eq!(id.clone(), id);
    }

    #[test]
    fn ids_sort_by_their_bytes() {
        let mut ids: Vec<UserId> = ["b", "a10", "a2", "B", "a-", "a"].map(|text| text.parse().unwrap()).into();
        ids.sort();
        let sorted: Vec<_> = ids.iter().map(UserId::as_str).collect();
        assert_eq!(sorted, ["B", "a", "a-", "a10", "a2", "b"]);
    }

    #[test]
    fn a_wrong_id_is_told_what_an_id_is() {
        let error = "".parse::<CouponId>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "a coupon id has 1 to 64 characters of A-Z a-z 0-9 _ . -, the first a letter or digit"
        );
        assert!(serde_json::from_str::<CouponId>("7").is_err());
    }

    const FRESH: Uuid = Uuid::from_u128(0x019a_3c5e_7f00_7abc_8def_0123_4567_89ab);

    #[test]
    fn a_request_id_names_its_group() {
        fn check(kind: Kind, spread: u8, last_byte: u8) {
            let group = Group { kind, spread };
            let id = RequestId::new(FRESH, group);
            assert_eq!(id.as_uuid().as_bytes()[15], last_byte, "{group}");
            assert_eq!(id.as_uuid().as_bytes()[..15], FRESH.as_bytes()[..15], "{group}");
            assert_eq!(id.as_uuid().get_version_num(), 7);
            assert_eq!(id.group(), Some(group));
            assert_eq!(RequestId::parse(&id.to_string()), Some(id));
            assert_eq!(RequestId::from_uuid(id.as_uuid()), id);
        }
        check(Kind::CouponIssue, 0, 0x40);
        check(Kind::CouponIssue, 1, 0x41);
        check(Kind::CouponIssue, 63, 0x7f);
        check(Kind::OrderPlacement, 0, 0x80);
        check(Kind::BalanceCharge, 0, 0xc0);
    }

    #[test]
    fn other_last_bytes_name_no_group() {
        for byte in (0x00..0x40).chain(0x81..0xc0).chain(0xc1..=0xff) {
            let mut bytes = FRESH.into_bytes();
            bytes[15] = byte;
            let id = RequestId::from_uuid(Uuid::from_bytes(bytes));
            assert_eq!(id.group(), None, "{byte:#x}");
        }
    }

    #[test]
    #[should_panic(expected = "a spread of 64 does not fit into six bits")]
    fn a_spread_that_would_name_another_kind_is_refused() {
        let kind = Kind::CouponIssue;
        RequestId::new(FRESH, Group { kind, spread: 64 });
    }

    #[test]
    fn a_request_has_one_address() {
        let text = "019a3c5e-7f00-7abc-8def-012345678980";
        let id = RequestId::parse(text).unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
        for other in [
            "",
            "R1",
            "019a3c5e7f007abc8def012345678980",
            "{019a3c5e-7f00-7abc-8def-012345678980}",
            "urn:uuid:019a3c5e-7f00-7abc-8def-012345678980",
            "019a3c5e-7f00-7abc-8def-01234567898",
            "019a3c5e-7f00-7abc-8def-01234567898g",
            "019a3c5e-7f00-7abc-8def_012345678980",
        ] {
            assert_eq!(RequestId::parse(other), None, "{other:?}");
        }
    }
}
