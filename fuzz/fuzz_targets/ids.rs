//! Ids of the catalogue, of requests, of lanes, groups and kinds.

#![no_main]

use common::{CouponId, Group, Kind, ProductId, RequestId, UserId, lane};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(id) = text.parse::<ProductId>() {
        assert_eq!(id.as_str(), text);
    }
    assert_eq!(text.parse::<UserId>().is_ok(), text.parse::<CouponId>().is_ok());
    if let Some(id) = RequestId::parse(text) {
        assert_eq!(id.to_string(), text);
    }
    if let Some(lane) = lane::parse(text) {
        assert_eq!(lane.to_string(), text);
    }
    if let Ok(group) = text.parse::<Group>() {
        assert_eq!(group.to_string(), text);
    }
    if let Ok(kind) = text.parse::<Kind>() {
        assert_eq!(kind.as_str(), text);
    }
});
