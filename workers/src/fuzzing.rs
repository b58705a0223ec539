//! What must hold whatever servers outside answer. Properties draw the bytes by rules, and a fuzzer by what it has seen.

use common::Payment;
use reqwest::StatusCode;

use crate::clients::gateway::{self, REASON_MAX_CHARS};
use crate::clients::http;

/// A gateway took the money only where it says so, and what it says can be kept and shown.
pub fn gateway_answer(status: u16, body: &[u8]) {
    let Ok(status) = StatusCode::from_u16(status) else { return };
    const AMOUNT: i64 = 500;
    for is_first in [true, false] {
        let answer = gateway::judged(status, body, AMOUNT, is_first);
        match &answer.payment {
            Ok(Payment::Taken) => {
                // Members that nobody reads may be no Unicode.
                let said: serde_json::Value =
                    serde_json::from_str(&String::from_utf8_lossy(body)).expect("what was read is JSON");
                assert!(status.is_success() && said["status"] == "succeeded" && said["amount"] == AMOUNT, "{said}");
            }
            Ok(Payment::Declined { reason }) => {
                assert!(
                    reason.chars().count() <= REASON_MAX_CHARS && !reason.chars().any(char::is_control),
                    "{reason:?}"
                );
            }
            Err(why) => assert!(!why.chars().any(char::is_control), "{why:?}"),
        }
        let can_be_sent = |id: &String| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
        assert!(answer.gateway_id.as_ref().is_none_or(can_be_sent), "{answer:?}");
    }
}

/// What is kept of an answer can be stored.
pub fn kept_answer(bytes: &[u8]) {
    if let Some(text) = http::text_of(bytes) {
        assert!(!text.is_empty() && !text.contains('\0'), "{text:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANSWERS: [&str; 4] = [
        r#"{"id":"pi_1","object":"payment_intent","amount":500,"status":"succeeded"}"#,
        r#"{"id":"pi_1","amount":500,"status":"requires_payment_method","last_payment_error":{"decline_code":"lost_card"}}"#,
        r#"{"error":{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds"}}"#,
        r#"{"id":"pi_1","amount":500,"status":"canceled\u0000\n"}"#,
    ];

    fn answers() -> impl Strategy<Value = Vec<u8>> {
        let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
        let damaged = (prop::sample::select(&ANSWERS[..]), changes).prop_map(|(answer, changes)| {
            let mut bytes = answer.as_bytes().to_vec();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        });
        // Words without an end, of any kind of character.
        let long = (any::<char>(), 1..5_000_usize, any::<bool>()).prop_map(|(c, times, is_error)| {
            let word = serde_json::to_string(&c.to_string().repeat(times)).expect("a text is JSON");
            let answer = if is_error {
                format!(r#"{{"error":{{"type":"card_error","code":{word}}}}}"#)
            } else {
                format!(r#"{{"id":{word},"amount":500,"status":{word}}}"#)
            };
            answer.into_bytes()
        });
        prop_oneof![4 => damaged, 2 => any::<Vec<u8>>(), 2 => long]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_gateway_takes_money_only_by_saying_so(
            status in prop_oneof![prop::sample::select(vec![200, 400, 402, 404, 409, 500]), any::<u16>()],
            body in answers(),
        ) {
            gateway_answer(status, &body);
            kept_answer(&body);
        }
    }
}
