//! What must hold whatever bytes come to the door. Properties draw the bytes by rules, and a fuzzer by what it has seen.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use common::limits::{MAX_IDEMPOTENCY_KEY_CHARS, MAX_PAGE_ROWS, MAX_WAIT_SECONDS};
use common::{ChargeBalance, CouponId, OrderItem, PlaceOrder, ProductId, UserId, Won};
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::auth::{self, is_local};
use crate::client::Client;
use crate::error_table::Code;
use crate::extract::{Object, parse};
use crate::language::Language;
use crate::page::PageParams;
use crate::problem::Problem;
use crate::submit::Wishes;

/// What a shopper or an operator is told of a mistake is short, whatever they sent.
const PROBLEM_MAX_CHARS: usize = 8_000;

/// Headers that the door reads, besides the token.
const HEADERS: [&str; 11] = [
    "accept-language",
    "forwarded",
    "host",
    "human-token",
    "idempotency-key",
    "prefer",
    "traceparent",
    "tracestate",
    "via",
    "x-forwarded-for",
    "x-request-id",
];

/// The members that commands have.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    user_id: Option<UserId>,
    items: Option<Vec<Object<OrderItem>>>,
    coupon_id: Option<CouponId>,
    final_amount: Option<Won>,
    amount: Option<Won>,
    payment_method: Option<String>,
}

fn is_refusal(problem: &Problem) {
    assert_eq!(problem.code(), Code::V001);
    let told = format!("{problem:?}");
    assert!(told.chars().count() <= PROBLEM_MAX_CHARS, "{told}");
}

/// The body of a command is read, or refused in few words.
pub fn body(bytes: &[u8]) {
    let body = match parse::<Body>(&Bytes::copy_from_slice(bytes)) {
        Ok(body) => body,
        Err(problem) => return is_refusal(&problem),
    };
    let Some(user_id) = body.user_id else { return };
    if let Some(amount) = body.amount
        && let Ok(charge) = ChargeBalance::new(user_id.clone(), amount, body.payment_method)
    {
        assert!(charge.amount > 0);
    }
    let items: Vec<OrderItem> = body.items.into_iter().flatten().map(|Object(item)| item).collect();
    if let Err(errors) = PlaceOrder::new(user_id, items, body.coupon_id, body.final_amount) {
        assert!(!errors.is_empty());
    }
}

/// Headers are understood or not; none of them ends anything. Each line is one: which of them, and its value.
pub fn headers(lines: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Some((which, value)) = line.split_first() else { continue };
        let Ok(value) = HeaderValue::from_bytes(value) else { continue };
        headers.append(HeaderName::from_static(HEADERS[usize::from(*which) % HEADERS.len()]), value);
    }
    let client = Client(IpAddr::V4(Ipv4Addr::LOCALHOST));
    match Wishes::read(client, &headers) {
        Err(problem) => is_refusal(&problem),
        Ok(wishes) => {
            let is_key = |key: &str| {
                (1..=MAX_IDEMPOTENCY_KEY_CHARS).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
            };
            assert!(wishes.key().is_none_or(is_key), "{wishes:?}");
            let longest = Duration::from_secs(MAX_WAIT_SECONDS);
            assert!(wishes.wait().is_none_or(|wait| !wait.is_zero() && wait <= longest), "{wishes:?}");
            assert!(wishes.human_token().is_none_or(|token| HeaderValue::from_str(token).is_ok()), "{wishes:?}");
        }
    }
    assert!(["ko", "en"].contains(&Language::of(&headers).tag()));
    if is_local(&headers, &Uri::from_static("/")) {
        assert!(!headers.contains_key("x-forwarded-for") && !headers.contains_key("via"));
        assert_eq!(headers.get_all("host").iter().count(), 1);
    }
}

/// A page of a list is asked for within its bounds, by an id that is one.
pub fn page(limit: &str, cursor: &str) {
    let page = || PageParams::of(Some(limit.to_owned()), Some(cursor.to_owned()));
    let check = |rows: i64, after: &str, is_id: bool| {
        assert!((2..=i64::from(MAX_PAGE_ROWS) + 1).contains(&rows), "{limit:?}");
        assert!(after.is_empty() || is_id, "{cursor:?}");
    };
    if let Ok(page) = page().page::<ProductId>() {
        check(page.limit(), &page.after, page.after == cursor && page.after.parse::<ProductId>().is_ok());
    }
    if let Ok(page) = page().page::<i64>() {
        check(page.limit(), &page.after, page.after.parse::<i64>().is_ok_and(|id| id.to_string() == page.after));
    }
    if let Ok(page) = page().page::<uuid::Uuid>() {
        check(page.limit(), &page.after, page.after.len() == uuid::fmt::Hyphenated::LENGTH || page.after.is_empty());
    }
}

/// Nobody guesses a token.
pub fn token(token: &str) {
    assert!(!auth::fuzzing::is_believed(token), "{token:?}");
}

/// A set of keys is read or not, and none of its keys makes a shared secret of a public one.
pub fn keys(set: &[u8]) {
    assert_ne!(auth::fuzzing::has_shared_key(set), Some(true));
}

/// A verifier of persons says yes only by saying so.
pub fn human_answer(body: &[u8]) {
    if crate::human::verdict(body).is_ok_and(|is_human| is_human) {
        // Members that nobody reads may be no Unicode.
        let said: serde_json::Value =
            serde_json::from_str(&String::from_utf8_lossy(body)).expect("what was read is JSON");
        assert_eq!(said["success"], true, "{said}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CASES: u32 = 2_000;

    const BODIES: [&str; 4] = [
        r#"{"userId":"user1","items":[{"productId":"P1","quantity":2}],"couponId":"C1","finalAmount":90000}"#,
        r#"{"userId":"user1","amount":50000,"paymentMethod":"pm_card_visa"}"#,
        r#"{"success":true,"error-codes":["timeout-or-duplicate"]}"#,
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a","use":"sig","alg":"EdDSA"}]}"#,
    ];

    /// Something that is nearly right, and bytes of any kind.
    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
        let damaged = (prop::sample::select(&BODIES[..]), changes).prop_map(|(body, changes)| {
            let mut bytes = body.as_bytes().to_vec();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        });
        // A value that is no such thing, and as long as a body may be.
        let long = (any::<char>(), 1..16_000_usize).prop_map(|(c, times)| {
            let text = serde_json::to_string(&c.to_string().repeat(times)).expect("a text is JSON");
            format!(r#"{{"userId":"u","items":{text}}}"#).into_bytes()
        });
        prop_oneof![4 => damaged, 4 => any::<Vec<u8>>(), 1 => long]
    }

    /// Lines of headers, many of them nearly right.
    fn lines() -> impl Strategy<Value = Vec<u8>> {
        const VALUES: [&str; 12] = [
            "wait=5",
            "respond-async, wait=\"99999999999999999999\"",
            "wait=-1;q",
            "en;q=0.5,ko;q=nan",
            "en;q=1e99",
            "1.2.3.4, [::1]:80, unknown",
            "for=\"[2001:db8::1]\";proto=https",
            "localhost:8080",
            "[::1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "key",
            "",
        ];
        let value = prop_oneof![
            prop::sample::select(&VALUES[..]).prop_map(|value| value.as_bytes().to_vec()),
            any::<Vec<u8>>(),
            proptest::string::string_regex("[ -~]{0,300}").expect("a pattern").prop_map(String::into_bytes),
        ];
        proptest::collection::vec((any::<u8>(), value), 0..8).prop_map(|lines| {
            let lines = lines.into_iter().map(|(which, value)| [vec![which], value].concat());
            lines.collect::<Vec<_>>().join(&b'\n')
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]

        #[test]
        fn a_body_is_read_or_refused_in_few_words(bytes in bodies()) {
            body(&bytes);
        }

        #[test]
        fn headers_are_understood_or_not(lines in lines()) {
            headers(&lines);
        }

        #[test]
        fn a_page_keeps_to_its_bounds(limit in "[0-9+-]{0,4}|\\PC*", cursor in "[0-9]{0,25}|(urn:uuid:|\\{)?[0-9a-f-]{36}\\}?|\\PC*") {
            page(&limit, &cursor);
        }

        #[test]
        fn nobody_guesses_a_token(text in "eyJ[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}|\\PC*") {
            token(&text);
        }

        #[test]
        fn keys_are_read_or_not(bytes in bodies()) {
            keys(&bytes);
        }

        #[test]
        fn only_a_yes_is_a_yes(bytes in bodies()) {
            human_answer(&bytes);
        }
    }
}
