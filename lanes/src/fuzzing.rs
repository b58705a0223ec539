//! What must hold whatever Redis answers or tells. Properties draw the bytes by rules, and a fuzzer by what it has seen.

use redis::Value;

use crate::claim::read_entry;
use crate::listen::read_decisions;
use crate::script::{CLAIM, Reader};
use crate::{Group, Lane, QuotaName};

/// Outcomes that were told are parts of the message, one behind the other.
pub fn told(message: &[u8]) {
    let decisions = read_decisions(message);
    let length: usize = decisions.iter().map(|decision| decision.outcome.len()).sum();
    assert!(length <= message.len());
    let all: Vec<u8> = decisions.iter().flat_map(|decision| decision.outcome).copied().collect();
    let end = message.windows(2).position(|two| two == b"\n\n").map_or(message.len(), |at| at + 2);
    assert!(message[end..].starts_with(&all));
}

/// The record of a command is read or not, and the envelope comes out as it stands in it.
pub fn record(id: &[u8], record: &[u8]) {
    let (id, stored) = (Value::BulkString(id.to_vec()), Value::BulkString(record.to_vec()));
    if let Ok(entry) = read_entry(Reader::new(&CLAIM, &id), Reader::new(&CLAIM, &stored)) {
        assert!(record.ends_with(&entry.envelope));
        assert_eq!(record[record.len() - entry.envelope.len() - 1], b'\n');
    }
}

/// A name is one or none, and is written as it was read.
pub fn name(text: &str) {
    let plain = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b'{' && b != b'}');
    if let Ok(group) = text.parse::<Group>() {
        assert!(plain(text) && group.as_str() == text);
    }
    if let Ok(lane) = text.parse::<Lane>() {
        assert!(plain(text) && lane.as_str() == text);
    }
    if let Ok(quota) = text.parse::<QuotaName>() {
        assert!(plain(text) && quota.as_str() == text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "019a3c5e-7f00-7abc-8def-000000001180";

    /// Something that is nearly right.
    fn damaged(right: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
        let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
        changes.prop_map(move |changes| {
            let mut bytes = right.to_vec();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_told_is_read_or_skipped(
            message in prop_oneof![
                damaged(b"019a3c5e-7f00-7abc-8def-000000001180 5\n019a3c5e-7f00-7abc-8def-000000001280 3\n\nfirstnew"),
                any::<Vec<u8>>()
            ]
        ) {
            told(&message);
        }

        #[test]
        fn a_record_is_read_or_refused(
            bytes in prop_oneof![damaged(b"12 1790000000000000 - - seat:1 seat:2\nenvelope"), any::<Vec<u8>>()]
        ) {
            record(ID.as_bytes(), &bytes);
            record(&bytes, &bytes);
        }

        #[test]
        fn a_name_is_one_or_none(text in "[!-~]{0,140}|\\PC*") {
            name(&text);
        }
    }
}
