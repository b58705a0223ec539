//! Every error of the contract, once: its code, its name, its HTTP status and what it is called in both languages.

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The code that clients tell errors apart by: `C001`.
    pub code: &'static str,
    /// The same as a word: `COUPON_SOLD_OUT`.
    pub error: &'static str,
    /// The HTTP status that it is answered with.
    pub status: u16,
    /// A title that is the same for every occurrence.
    pub title: &'static str,
    /// What a shopper is told, in Korean.
    pub korean: &'static str,
    /// What a shopper is told, in English.
    pub english: &'static str,
}

macro_rules! error_table {
    ($($code:ident $error:ident $status:literal $title:literal, $korean:literal, $english:literal;)*) => {
        /// The code of an error.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $code,)*
        }

        impl Code {
            /// All of them, in the order of the contract.
            pub const ALL: &[Code] = &[$(Code::$code,)*];

            /// The row of this code.
            pub const fn row(self) -> &'static Row {
                match self {
                    $(Code::$code => &Row {
                        code: stringify!($code),
                        error: stringify!($error),
                        status: $status,
                        title: $title,
                        korean: $korean,
                        english: $english,
                    },)*
                }
            }

            /// Finds a code by its text.
            pub fn find(text: &str) -> Option<Code> {
                match text {
                    $(stringify!($code) => Some(Code::$code),)*
                    _ => None,
                }
            }
        }
    };
}

error_table! {
    V001 VALIDATION_FAILED 400 "Validation failed",
        "요청 형식이 올바르지 않습니다.", "The request is not in the right form.";
    A001 UNAUTHENTICATED 401 "Unauthenticated",
        "로그인이 필요합니다.", "Please sign in.";
    A002 FORBIDDEN 403 "Forbidden",
        "이 작업을 할 권한이 없습니다.", "You are not allowed to do this.";
    R001 REQUEST_NOT_FOUND 404 "Request not found",
        "요청을 찾을 수 없습니다.", "There is no such request.";
    R002 IDEMPOTENCY_KEY_REUSED 422 "Idempotency key reused",
        "같은 Idempotency-Key가 다른 내용의 요청에 이미 사용되었습니다.",
        "This Idempotency-Key was used for a different request.";
    R003 TOO_MANY_REQUESTS 429 "Too many requests",
        "요청이 너무 많습니다. 잠시 후 다시 시도해 주세요.", "Too many requests. Please try again in a moment.";
    R004 QUEUE_FULL 503 "Queue full",
        "대기열이 가득 찼습니다. 잠시 후 다시 시도해 주세요.", "The line is full. Please try again in a moment.";
    R005 UNAVAILABLE 503 "Unavailable",
        "일시적으로 이용할 수 없습니다. 잠시 후 다시 시도해 주세요.",
        "This is not available for the moment. Please try again shortly.";
    P001 PRODUCT_NOT_FOUND 404 "Product not found",
        "상품을 찾을 수 없습니다.", "There is no such product.";
    P002 INSUFFICIENT_STOCK 400 "Insufficient stock",
        "재고가 부족합니다.", "There is not enough in stock.";
    CART001 CART_ITEM_NOT_FOUND 404 "Cart item not found",
        "장바구니에 없는 상품입니다.", "This product is not in the cart.";
    O001 ORDER_NOT_FOUND 404 "Order not found",
        "주문을 찾을 수 없습니다.", "There is no such order.";
    O002 AMOUNT_MISMATCH 409 "Amount mismatch",
        "결제 금액이 변경되었습니다. 금액을 다시 확인해 주세요.",
        "The amount to pay has changed. Please check it again.";
    PAY001 INSUFFICIENT_BALANCE 400 "Insufficient balance",
        "잔액이 부족합니다.", "The balance is too low.";
    PAY002 PAYMENT_FAILED 402 "Payment failed",
        "결제에 실패했습니다. 카드를 확인해 주세요.", "The payment failed. Please check your card.";
    C001 COUPON_SOLD_OUT 409 "Coupon sold out",
        "쿠폰이 모두 소진되었습니다.", "All of these coupons are gone.";
    C002 COUPON_NOT_FOUND 404 "Coupon not found",
        "쿠폰을 찾을 수 없습니다.", "There is no such coupon.";
    C003 COUPON_EXPIRED 400 "Coupon expired",
        "사용 기간이 끝난 쿠폰입니다.", "This coupon has expired.";
    C004 ALREADY_ISSUED 409 "Coupon already issued",
        "이미 발급받은 쿠폰입니다.", "You already have this coupon.";
    C005 COUPON_NOT_APPLICABLE 400 "Coupon not applicable",
        "이 주문에 사용할 수 없는 쿠폰입니다.", "This coupon cannot be used for this order.";
    C006 COUPON_NOT_STARTED 400 "Coupon not started",
        "아직 발급이 시작되지 않은 쿠폰입니다.", "This coupon cannot be claimed yet.";
    X001 NOT_FOUND 404 "Not found",
        "요청한 주소를 찾을 수 없습니다.", "There is nothing at this address.";
    X002 METHOD_NOT_ALLOWED 405 "Method not allowed",
        "이 주소에서 지원하지 않는 메서드입니다.", "This address does not know this method.";
    X003 INTERNAL 500 "Internal error",
        "처리 중 오류가 발생했습니다.", "Something went wrong on our side.";
    X004 ALREADY_EXISTS 409 "Already exists",
        "이미 존재하는 ID입니다.", "This id is already taken.";
}
