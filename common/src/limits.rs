//! Every bound of the shop, its reason above it, the unit last in its name. A bound that leans on another one says so
//! in an assertion that the compiler checks.

use crate::money::Won;

/// Operators choose the ids of products, coupons and users; 64 characters hold any SKU and any UUID, and keep the name
/// of a lane short enough to stand in a queue a million times.
pub const MAX_ID_CHARS: usize = 64;

/// An order stands in one lane per product, so its lines are the width of what one command can hold up.
pub const MAX_ORDER_LINES: usize = 50;

/// Products in a cart. A cart is shown whole, and above this it is a warehouse; an order takes at most half of it.
pub const MAX_CART_LINES: i64 = 100;

/// Pieces on one line as sent. Above it is a typing error or mischief, not a shopper.
pub const MAX_QUANTITY_PIECES: i64 = 100_000;

/// Pieces of one product once the lines that name it are summed.
pub const MAX_SUMMED_QUANTITY_PIECES: i64 = MAX_QUANTITY_PIECES * MAX_ORDER_LINES as i64;

/// One amount that somebody states: a price, a charge, the sum a shopper saw. Sums of such amounts may be larger.
pub const MAX_AMOUNT_WON: Won = 1_000_000_000_000;

/// A discount in per cent never takes more than the whole.
pub const MAX_DISCOUNT_PERCENT: i64 = 100;

/// A hundred years: longer than any coupon is meant to live, short enough that no date overflows.
pub const MAX_VALID_DAYS: i32 = 36_500;

/// Names of products, coupons and users, as a page can still show them.
pub const MAX_NAME_CHARS: usize = 200;

/// The text under a product.
pub const MAX_DESCRIPTION_CHARS: usize = 4_000;

/// A mail address, as long as RFC 5321 lets it be in a path.
pub const MAX_EMAIL_CHARS: usize = 254;

/// The note with which an operator settles something.
pub const MAX_NOTE_CHARS: usize = 1_000;

/// A request's body. The largest honest one is an order of [`MAX_ORDER_LINES`] lines, a third of this.
pub const BODY_MAX_BYTES: usize = 16 * 1024;

/// The name of a payment method: gateways call theirs with a few dozen characters.
pub const MAX_PAYMENT_METHOD_CHARS: usize = 255;

/// Keys that clients choose so that a repeat has no second effect.
pub const MAX_IDEMPOTENCY_KEY_CHARS: usize = 255;

/// Coupons can be spread over this many groups: what six bits of a request id can name.
pub const MAX_COUPON_GROUPS: u8 = 64;

/// Nobody is kept waiting for an answer longer than this; proxies cut connections soon after.
pub const MAX_WAIT_SECONDS: u64 = 30;

/// Rows on one page of a list: a page is read and answered in one breath.
pub const MAX_PAGE_ROWS: u32 = 100;

/// Rows on a page when nobody says how many.
pub const DEFAULT_PAGE_ROWS: u32 = 20;

// The dearest order that passes the shape check can still be added up in 64 bits.
const _: () = {
    let dearest = MAX_SUMMED_QUANTITY_PIECES as i128 * MAX_AMOUNT_WON as i128;
    assert!(dearest <= i64::MAX as i128);
};

// The largest order fits into the body: for each line both member names with their punctuation, the id, the quantity;
// around them both ids, the amount and the names of the four members.
const _: () = {
    let line = r#"{"productId":"","quantity":100000},"#.len() + MAX_ID_CHARS;
    let around = r#"{"userId":"","items":[],"couponId":"","finalAmount":1000000000000}"#.len() + 2 * MAX_ID_CHARS;
    assert!(MAX_ORDER_LINES * line + around <= BODY_MAX_BYTES);
};

// The spread of a group stands in six bits of the request id.
const _: () = assert!(MAX_COUPON_GROUPS as usize <= 1 << 6);

const _: () = assert!(DEFAULT_PAGE_ROWS <= MAX_PAGE_ROWS);
