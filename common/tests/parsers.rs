//! Whatever anybody sends, those who read it say yes or no: they never fail, and what they accept they write as it was.

use common::limits::MAX_ID_CHARS;
use common::{CouponId, Envelope, Group, Kind, ProductId, Receipt, RequestId, Trace, UserId, lane};
use proptest::prelude::*;

/// Texts of every kind, those that are nearly an id, and those that mean something elsewhere.
fn texts() -> impl Strategy<Value = String> {
    let near =
        proptest::string::string_regex("[A-Za-z0-9_.:{}*\\- \u{0}\r\n'\"가-나\u{200b}]{0,80}").expect("a pattern");
    let sure = proptest::string::string_regex("[A-Za-z0-9][A-Za-z0-9_.\\-]{0,63}").expect("a pattern");
    prop_oneof![any::<String>(), near, sure]
}

/// A command as it stands in line, with a few bytes that are others.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    const STORED: [&str; 4] = [
        r#"{"version":1,"command":{"COUPON_ISSUE":{"userId":"u1","couponId":"C1"}}}"#,
        r#"{"version":1,"command":{"ORDER_PLACEMENT":{"userId":"u1","items":[{"productId":"P1","quantity":2}]}}}"#,
        r#"{"version":1,"command":{"BALANCE_CHARGE":{"userId":"u1","amount":50000}}}"#,
        r#"{"version":9,"command":{"LATER":{}}}"#,
    ];
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (prop::sample::select(&STORED[..]), changes).prop_map(|(stored, changes)| {
        let mut bytes = stored.as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

fn is_id(text: &str) -> bool {
    let mut chars = text.chars();
    let plain = |c: char| c.is_ascii_alphanumeric() || ['_', '.', '-'].contains(&c);
    text.chars().count() <= MAX_ID_CHARS && chars.next().is_some_and(|c| c.is_ascii_alphanumeric()) && chars.all(plain)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_id_is_one_or_none(text in texts()) {
        let product: Result<ProductId, _> = text.parse();
        prop_assert_eq!(product.is_ok(), is_id(&text));
        prop_assert_eq!(text.parse::<UserId>().is_ok(), is_id(&text));
        prop_assert_eq!(text.parse::<CouponId>().is_ok(), is_id(&text));
        if let Ok(id) = product {
            prop_assert_eq!(id.as_str(), &text);
            prop_assert_eq!(serde_json::to_string(&id).expect("JSON"), format!("\"{text}\""));
        }
    }

    #[test]
    fn what_the_shop_named_has_one_form(text in texts()) {
        for text in [text.clone(), format!("019a3c5e-7f00-7abc-8def-0000000011{text}")] {
            if let Some(id) = RequestId::parse(&text) {
                // Letters of a UUID mean the same in either case (RFC 9562, 4).
                prop_assert_eq!(id.to_string(), text.to_ascii_lowercase());
            }
        }
    }

    #[test]
    fn a_lane_a_group_and_a_kind_are_written_as_they_were_read(text in texts(), prefix in "(coupon|product|user|charge|order)?") {
        for text in [text.clone(), format!("{prefix}:{text}"), format!("{prefix}-{text}")] {
            if let Some(lane) = lane::parse(&text) {
                prop_assert_eq!(lane.to_string(), text.clone());
                prop_assert!(is_id(text.split_once(':').expect("a lane has two parts").1) || text.ends_with(":*"));
            }
            if let Ok(group) = text.parse::<Group>() {
                prop_assert_eq!(group.to_string(), text.clone());
            }
            if let Ok(kind) = text.parse::<Kind>() {
                prop_assert_eq!(kind.as_str(), text);
            }
        }
    }

    #[test]
    fn a_command_in_line_is_read_or_refused(bytes in prop_oneof![damaged(), any::<Vec<u8>>()]) {
        let _ = Envelope::trace_in(&bytes);
        let _ = Receipt::decode(&bytes);
        if let Ok(envelope) = Envelope::decode(&bytes) {
            prop_assert_eq!(Envelope::decode(&envelope.encode()).expect("what was written can be read"), envelope);
        }
    }

    #[test]
    fn a_trace_is_passed_on_or_none(parent in any::<String>(), state in proptest::option::of(any::<String>())) {
        for parent in [parent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()] {
            if let Some(trace) = Trace::read(&parent, state.as_deref()) {
                prop_assert_eq!(trace.traceparent(), parent);
                let plain = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
                prop_assert!(trace.tracestate().is_none_or(plain), "{:?} can stand in a header", trace.tracestate());
            }
        }
    }
}
