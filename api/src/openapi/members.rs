//! What a member or a parameter means wherever it occurs: said once, by its name.

use std::ops::RangeInclusive;

use common::limits::{
    DEFAULT_PAGE_ROWS, MAX_AMOUNT_WON, MAX_DESCRIPTION_CHARS, MAX_EMAIL_CHARS, MAX_ID_CHARS, MAX_NAME_CHARS,
    MAX_NOTE_CHARS, MAX_ORDER_LINES, MAX_PAGE_ROWS, MAX_PAYMENT_METHOD_CHARS, MAX_QUANTITY_PIECES, MAX_VALID_DAYS,
    MAX_WAIT_SECONDS,
};
use popular::limits::{MAX_POPULAR_DAYS, MAX_POPULAR_PRODUCTS};
use serde_json::{Value, json};

use crate::limits::{
    DEFAULT_POPULAR_DAYS, DEFAULT_POPULAR_PRODUCTS, MAX_CLAIMS_PER_ADDRESS, MAX_COUPON_UNITS, MAX_SEARCH_CHARS,
    MAX_STOCK_PIECES,
};

/// The member, or schema and member where it means something else there; an example, in JSON; what it means. A comment at
/// the member itself goes before.
const MEMBERS: &[(&str, &str, &str)] = &[
    // catalogue
    ("productId", r#""P001""#, "Which product."),
    ("productName", r#""노트북""#, "What shoppers call it."),
    ("name", r#""노트북""#, "What it is called."),
    ("description", r#""14인치, 1.2 kg""#, "More about it."),
    ("price", "50000", "Of one piece, in won."),
    ("stock", "10", "Pieces that there are now."),
    ("delta", "5", "Pieces to be added; below 0: taken away."),
    ("email", r#""user1@example.com""#, "Where the mail goes."),
    ("RestockRegistered.status", r#""REGISTERED""#, "That it is noted."),
    ("startDate", r#""2026-11-24T01:00:00Z""#, "The first moment of the span."),
    ("endDate", r#""2026-11-27T01:00:00Z""#, "The first moment after the span."),
    ("rank", "1", "1 is the most popular."),
    ("orderCount", "17", "Orders of the period that contain it, however many pieces."),
    ("days", "3", "Days of 24 hours."),
    // cart and orders
    ("userId", r#""user1""#, "Whose; where a token names the caller it may be left out, or must be the same."),
    ("quantity", "2", "Pieces."),
    ("unitPrice", "50000", "The price of then, in won."),
    ("subtotal", "100000", "Quantity times price, in won."),
    ("available", "true", "Whether there is enough in stock."),
    ("totalAmount", "100000", "The sum of the lines, in won."),
    ("discountAmount", "10000", "What the coupon takes off, in won."),
    ("finalAmount", "90000", "What is paid, in won."),
    ("NewOrder.finalAmount", "90000", "What the shopper saw as the sum to pay, in won; a difference is 409 `O002`."),
    ("orderAmount", "100000", "The sum of the lines, in won."),
    ("remainingBalance", "10000", "The balance afterwards, in won."),
    ("requestedQuantity", "5", "Pieces that were asked for."),
    ("availableStock", "2", "Pieces that there are."),
    ("synced", "true", "Whether the order system has the order."),
    ("syncAttempts", "1", "How often it was sent."),
    ("lastSyncError", "null", "Why the last attempt failed; null: none has, or it succeeded."),
    ("nextRetryAt", "null", "When it is sent again; null: it is not."),
    ("syncedAt", r#""2026-11-27T01:00:01.5Z""#, "When the order system took it."),
    ("SyncFailure.syncedAt", "null", "When the order system took it after all."),
    ("SyncFailure.syncAttempts", "4", "How often it was sent."),
    // coupons
    ("couponId", r#""C001""#, "Which coupon."),
    ("Coupon.name", r#""신규 가입 쿠폰""#, "What it is called."),
    ("AdminCoupon.name", r#""신규 가입 쿠폰""#, "What it is called."),
    ("NewCoupon.name", r#""신규 가입 쿠폰""#, "What it is called."),
    ("WalletEntry.name", r#""신규 가입 쿠폰""#, "What it is called."),
    ("discountValue", "10000", "FIXED: won; PERCENT: 1 to 100, floored to the won."),
    ("maxDiscountAmount", "null", "PERCENT: at most this many won; null: no such cap."),
    ("minOrderAmount", "30000", "Only for orders from this total on, in won."),
    ("totalQuantity", "1000", "Units that there are."),
    ("issuedQuantity", "400", "Units that shoppers hold."),
    ("remainingQuantity", "600", "Units that can still be claimed."),
    ("startsAt", r#""2026-11-27T00:00:00Z""#, "From when on it can be claimed; null: from the start."),
    ("endsAt", r#""2026-12-31T15:00:00Z""#, "From when on it is over; null: never."),
    ("validDays", "30", "Days for which a unit is good; null: until the end."),
    (
        "maxPerAddress",
        "null",
        "How many claims are accepted of one address, an IPv6 one by its /64; more are 429 `R003`; null: any number.",
    ),
    (
        "humanCheck",
        "false",
        "Whether a claim must bring a proof of being human, in the header `Human-Token`; without a good one it is 403 `A002`.",
    ),
    ("usedAt", "null", "When an order spent it."),
    ("expiresAt", r#""2026-12-27T01:00:00.123456Z""#, "From when on it is over; null: never."),
    ("valid", "true", "An answer at all means that it is."),
    // money
    ("balance", "100000", "In won."),
    ("NewCharge.amount", "50000", "What is taken from the card, in won."),
    ("Charge.amount", "50000", "What is taken from the card, in won."),
    ("chargeId", r#""019a3c5e-7f00-7abc-8def-0123456789c0""#, "The charge; its id is that of the request."),
    ("previousBalance", "10000", "The balance before, in won."),
    ("chargedAmount", "50000", "What was added, in won."),
    ("currentBalance", "60000", "The balance afterwards, in won."),
    (
        "paymentMethod",
        r#""pm_card_visa""#,
        "With what it is paid, as the gateway calls it; left out: as the shop is set up.",
    ),
    ("beganAt", r#""2026-11-27T01:00:00.123456Z""#, "When the gateway was asked first."),
    ("gatewayId", "null", "What the gateway calls it; null: it has not said so."),
    ("Charge.attempts", "3", "How often it was asked again without learning the outcome."),
    ("Charge.lastError", r#""timed out""#, "Why the last question did not help."),
    ("nextAttemptAt", r#""2026-11-27T01:02:00Z""#, "When it is asked again; null: it is not."),
    ("givenUpAt", "null", "Since when the gateway is not asked any more; null: it is asked."),
    ("settledAt", "null", "When it became known what came of it; null: it is not known."),
    ("verdictBy", "null", "Who found it out; null: the gateway said it, or nobody yet."),
    ("amount", "-90000", "What was added, in won; below 0: taken."),
    ("balanceAfter", "10000", "The balance afterwards, in won."),
    // pages
    ("DemoTokenWish.userId", r#""user1""#, "Whom the token shall name."),
    (
        "DemoToken.token",
        r#""eyJhbGciOiJFZERTQSJ9.e30.c2ln""#,
        "What goes along with calls, as `Authorization: Bearer`.",
    ),
    ("demoTokens", "true", "Whether everybody gets a token who asks for one."),
    // requests and lines
    ("ticket", "1204", "The arrival number; rises within the group, and is the order of decisions on each resource."),
    ("position", "37", "Commands ahead on the longest of its lanes; only while QUEUED."),
    ("nextPollMs", "200", "When it makes sense to ask again, in milliseconds."),
    ("result", "{}", "What was done; only with SUCCEEDED."),
    ("RequestDocument.error", "{}", "Why not; only with FAILED."),
    ("laneGroup", r#""order""#, "The group of lanes."),
    ("group", r#""order""#, "The group of lanes."),
    ("lane", r#""product:P001""#, "The lane."),
    ("lanes", r#"["product:P001", "user:user1"]"#, "The lanes in which it stood, all at once."),
    ("depth", "3", "Commands that wait."),
    ("inFlight", "2", "Commands that workers have."),
    ("batches", "1", "Batches that workers have."),
    ("ready", "1", "Commands that could be taken now."),
    ("Readiness.ready", "true", "Whether all checks passed."),
    ("oldestAgeMs", "12", "How long the first of them has waited, in milliseconds; null: nobody waits."),
    ("decidedPerSecond", "850.5", "Decisions of the last seconds; null: Postgres cannot be asked."),
    ("pausedLanes", r#"["product:P002"]"#, "The lanes that are held."),
    ("paused", "true", "Whether it is held now."),
    ("LaneResumed.paused", "false", "Whether it is held now."),
    ("waiting", "3", "Commands that wait because of it, those behind it in other lanes included."),
    ("wasPaused", "true", "Whether it was held before."),
    ("decision", "98", "The order of all decisions."),
    ("outcome", r#"{"code": "C001"}"#, "The result, or the code of the refusal with its members."),
    ("hasIdempotencyKey", "false", "Whether it came with a key."),
    ("repeatOf", "null", "The request whose key it came with; its outcome is that one's."),
    ("parkedBecause", "null", "Why it was set aside as X003; null: it was decided."),
    ("batchId", "7", "The batch in which it was decided."),
    ("size", "12", "Commands of the batch."),
    ("firstTicket", "1200", "The first ticket of the batch."),
    ("lastTicket", "1211", "The last ticket of the batch."),
    ("AuditLogEntry.lastTicket", "1211", "The last ticket that was decided before the change; null: it has no line."),
    ("worker", r#""host-1/4711""#, "The process that decided it."),
    // operators
    ("User.name", r#""홍길동""#, "What the shop calls them."),
    ("NewUser.name", r#""홍길동""#, "What the shop calls them."),
    ("note", r#""전화로 처리""#, "How it was settled."),
    ("resolvedBy", "null", "Who settled it."),
    ("resolvedAt", "null", "When it was settled."),
    ("retried", "2", "Orders that are sent once more."),
    ("openCount", "2", "Orders that are on the desk now."),
    ("attempt", "4", "1 is the first."),
    ("SyncAttempt.status", "500", "The HTTP status of the answer; null: there was none."),
    ("error", r#""answered 500""#, "Why it failed; null: it did not."),
    ("answer", r#""oh""#, "The beginning of the answer."),
    ("durationMs", "7", "How long it took, in milliseconds."),
    ("Alert.kind", r#""ORDER_SYNC_FAILED""#, "What it is about."),
    ("text", r#""Order 019a3c5e-7f00-7abc-8def-012345678980 could not be sent.""#, "What admins are told."),
    ("details", r#"{"orderId": "019a3c5e-7f00-7abc-8def-012345678980", "attempts": 4}"#, "The same for programs."),
    ("channel", r#""webhook""#, "`webhook` or `mail`."),
    ("attempts", "4", "How often it was tried."),
    ("SyncFailure.attempts", "", "Each attempt."),
    ("deliveredAt", "null", "When it arrived."),
    ("lastError", r#""answered 500""#, "Why the last attempt failed."),
    ("ok", "true", "Whether it holds."),
    ("AuditCheck.name", r#""no_oversell""#, "The promise."),
    ("ReadinessCheck.name", r#""postgres""#, "What was checked."),
    ("detail", r#""cannot be asked""#, "What is wrong, or worth knowing."),
    ("examined", "1000", "Rows that were looked at."),
    ("violations", "0", "Rows that break the promise."),
    ("samples", "[]", "A few of them, in words."),
    ("actor", r#""admin""#, "Who: `admin` for the shared token, else the user whom the token names."),
    ("action", r#""product.restock""#, "What was done."),
    ("subject", r#""product:P001""#, "To what."),
    ("before", r#"{"stock": 2}"#, "As it was; null: it was not there."),
    ("after", r#"{"stock": 7}"#, "As it is."),
    // ids and times of the server
    ("requestId", r#""019a3c5e-7f00-7abc-8def-012345678980""#, "The request."),
    (
        "orderId",
        r#""019a3c5e-7f00-7abc-8def-012345678980""#,
        "The order; its id is that of the request that placed it.",
    ),
    (
        "userCouponId",
        r#""019a3c5e-7f00-7abc-8def-012345678980""#,
        "The entry; its id is that of the request that claimed it.",
    ),
    ("alertId", r#""019a3c5e-7f00-7abc-8def-012345678980""#, "The alert."),
    ("referenceId", r#""019a3c5e-7f00-7abc-8def-012345678980""#, "The order or charge that moved the money."),
    ("createdAt", r#""2026-11-27T01:00:00.123456Z""#, "When it was made; of an order, when it was decided."),
    ("updatedAt", r#""2026-11-27T01:00:00.123456Z""#, "When it was last changed."),
    ("acceptedAt", r#""2026-11-27T01:00:00.123456Z""#, "When it was accepted; what windows and ends are judged by."),
    ("decidedAt", r#""2026-11-27T01:00:00.123456Z""#, "When it was decided."),
    ("claimedAt", r#""2026-11-27T01:00:00.123456Z""#, "When the worker took the batch."),
    ("issuedAt", r#""2026-11-27T01:00:00.123456Z""#, "When it was issued."),
    ("raisedAt", r#""2026-11-27T01:00:00.123456Z""#, "When it was raised."),
    ("failedAt", r#""2026-11-27T01:00:00.123456Z""#, "When the last retry failed."),
    ("at", r#""2026-11-27T01:00:00.123456Z""#, "When."),
    // everywhere
    ("nextCursor", "null", "The `cursor` of the next page; null: this is the last."),
    ("code", r#""PAY001""#, "What programs tell errors apart by."),
    ("CommandError.error", r#""INSUFFICIENT_BALANCE""#, "The same as a word."),
    ("message", r#""잔액이 부족합니다.""#, "What a shopper is told."),
    ("field", r#""items[0].quantity""#, "The member."),
    ("FieldError.message", r#""must be between 1 and 100000""#, "What it should be."),
];

/// What is known of a member of a schema: its example and its description.
pub fn member(schema: &str, name: &str) -> Option<(Value, &'static str)> {
    let full = format!("{schema}.{name}");
    let row = MEMBERS.iter().find(|(key, ..)| *key == full).or_else(|| MEMBERS.iter().find(|(key, ..)| *key == name));
    let (_, example, description) = row?;
    Some((serde_json::from_str(example).unwrap_or_default(), description))
}

/// What an id looks like; none: the member is no id that somebody chose.
pub fn id(name: &str) -> Option<Value> {
    ["productId", "userId", "couponId"].contains(&name).then(|| {
        let pattern = format!("^[A-Za-z0-9][A-Za-z0-9_.-]{{0,{}}}$", MAX_ID_CHARS - 1);
        json!({"pattern": pattern, "minLength": 1, "maxLength": MAX_ID_CHARS})
    })
}

/// The bounds of a member that is sent to us.
pub fn bounds(schema: &str, name: &str) -> Option<Value> {
    let range = |range: RangeInclusive<i64>| Some(json!({"minimum": range.start(), "maximum": range.end()}));
    let chars = |range: RangeInclusive<usize>| Some(json!({"minLength": range.start(), "maxLength": range.end()}));
    match (schema, name) {
        (_, "quantity") => range(1..=MAX_QUANTITY_PIECES),
        (_, "items") => Some(json!({"minItems": 1, "maxItems": MAX_ORDER_LINES})),
        (_, "price" | "balance" | "orderAmount" | "finalAmount" | "maxDiscountAmount" | "minOrderAmount") => {
            range(0..=MAX_AMOUNT_WON)
        }
        (_, "stock") => range(0..=MAX_STOCK_PIECES),
        (_, "delta") => range(-MAX_STOCK_PIECES..=MAX_STOCK_PIECES),
        (_, "discountValue") => range(1..=MAX_AMOUNT_WON),
        (_, "amount") => range(1..=MAX_AMOUNT_WON),
        (_, "paymentMethod") => {
            Some(json!({"pattern": "^[!-~]+$", "minLength": 1, "maxLength": MAX_PAYMENT_METHOD_CHARS}))
        }
        (_, "totalQuantity") => range(0..=MAX_COUPON_UNITS),
        (_, "maxPerAddress") => range(1..=MAX_CLAIMS_PER_ADDRESS),
        (_, "validDays") => range(1..=MAX_VALID_DAYS.into()),
        ("NewUser", "name") => chars(0..=MAX_NAME_CHARS),
        (_, "name") => chars(1..=MAX_NAME_CHARS),
        (_, "description") => chars(0..=MAX_DESCRIPTION_CHARS),
        (_, "note") => chars(1..=MAX_NOTE_CHARS),
        (_, "email") => chars(3..=MAX_EMAIL_CHARS),
        _ => None,
    }
}

/// What a parameter looks like, and what it means; none: nobody has said it.
pub fn parameter(path: &str, name: &str) -> Option<(Value, &'static str)> {
    let number = |range: RangeInclusive<u64>, default: u64| {
        let (least, most) = (range.start(), range.end());
        json!({"type": "integer", "minimum": least, "maximum": most, "default": default, "examples": [default]})
    };
    let text = |example: &str| json!({"type": "string", "examples": [example]});
    let words = |words: &[&str]| json!({"type": "string", "enum": words});
    let of_server = || text(super::example::EXAMPLE_ID);
    Some(match (path, name) {
        ("/api/products/popular", "days") => {
            (number(1..=MAX_POPULAR_DAYS.into(), DEFAULT_POPULAR_DAYS.into()), "Of the last so many times 24 hours.")
        }
        ("/api/products/popular", "limit") => {
            (number(1..=MAX_POPULAR_PRODUCTS.into(), DEFAULT_POPULAR_PRODUCTS.into()), "So many products.")
        }
        (_, "limit") => (number(1..=MAX_PAGE_ROWS.into(), DEFAULT_PAGE_ROWS.into()), "At most so many rows."),
        (_, "cursor") => (text(""), "The `nextCursor` of the page before; empty: the first page."),
        (_, "q") => {
            (json!({"type": "string", "maxLength": MAX_SEARCH_CHARS, "examples": ["노트"]}), "A part of a name.")
        }
        ("/api/users/coupons", "status") => (words(&["available", "used", "expired"]), "Only those; left out: all."),
        ("/api/admin/alerts", "status") => (words(&["open", "resolved"]), "Only those; left out: all."),
        ("/api/admin/charges", "status") => (words(&["pending", "settled"]), "Only those; left out: the pending ones."),
        (_, "status") => (words(&["open", "resolved"]), "Only those; left out: the open ones."),
        (_, "wait") => {
            let rule = format!("More than {MAX_WAIT_SECONDS} is {MAX_WAIT_SECONDS}.");
            let seconds = json!({"type": "integer", "minimum": 0, "examples": [5], "description": rule});
            (seconds, "Hold the answer for up to so many seconds until the status is final.")
        }
        (_, "productId" | "userId" | "couponId") => {
            let mut schema = id(name)?;
            let (example, description) = member("", name)?;
            schema["type"] = json!("string");
            schema["examples"] = json!([example]);
            return Some((schema, description));
        }
        (_, "orderId") => (of_server(), "Which order."),
        (_, "chargeId") => (of_server(), "Which charge."),
        (_, "alertId") => (of_server(), "Which alert."),
        (_, "requestId") => (of_server(), "Which request."),
        (_, "lane") => (
            text("product:P001"),
            "`coupon:ID`, `product:ID`, `user:ID` or `charge:ID`; `order:*` and the like is a whole group.",
        ),
        (_, "folder") => (text("shared"), "The pages that it belongs to."),
        ("/web/{folder}/{file}", "file") => (text("base.css"), "Its name."),
        (_, "file") => (text("swagger-ui.css"), "Its name."),
        _ => return None,
    })
}
