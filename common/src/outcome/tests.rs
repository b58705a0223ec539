use serde_json::{Value, json};

use super::{InsufficientItem, NotApplicable, Outcome, OutcomeError, Refusal, Success};
use crate::group::Kind;
use crate::samples::{at, id, made_by};

const MADE: &str = "00000000-0000-0000-0000-000000000007";

fn check(kind: Kind, outcome: Outcome, status: &str, json: Value) {
    assert_eq!(outcome.status(), status);
    assert_eq!(outcome.to_json(), json);
    let read = Outcome::from_json(kind, status, json).expect("what was written can be read");
    assert_eq!(read, outcome);
}

#[test]
fn results_are_those_of_the_contract() {
    fn succeeds(kind: Kind, success: Success, json: Value) {
        check(kind, Outcome::Succeeded(success), "SUCCEEDED", json);
    }
    succeeds(
        Kind::CouponIssue,
        Success::CouponIssued { user_coupon_id: made_by(7), coupon_id: id("C1"), expires_at: Some(at(86_400)) },
        json!({"userCouponId": MADE, "couponId": "C1", "expiresAt": "2026-11-02T00:00:00Z"}),
    );
    succeeds(
        Kind::CouponIssue,
        Success::CouponIssued { user_coupon_id: made_by(7), coupon_id: id("C1"), expires_at: None },
        json!({"userCouponId": MADE, "couponId": "C1", "expiresAt": null}),
    );
    succeeds(
        Kind::OrderPlacement,
        Success::OrderPlaced {
            order_id: made_by(7),
            total_amount: 5_000_000_000_000_000_000,
            discount_amount: 2_000,
            final_amount: 4_999_999_999_999_998_000,
            remaining_balance: 0,
        },
        json!({
            "orderId": MADE,
            "totalAmount": 5_000_000_000_000_000_000_i64,
            "discountAmount": 2_000,
            "finalAmount": 4_999_999_999_999_998_000_i64,
            "remainingBalance": 0
        }),
    );
    succeeds(
        Kind::BalanceCharge,
        Success::BalanceCharged {
            charge_id: made_by(7),
            previous_balance: 10_000,
            charged_amount: 50_000,
            current_balance: 60_000,
        },
        json!({"chargeId": MADE, "previousBalance": 10_000, "chargedAmount": 50_000, "currentBalance": 60_000}),
    );
}

#[test]
fn refusals_are_those_of_the_contract() {
    fn fails(refusal: Refusal, json: Value) {
        assert_eq!(json["code"], refusal.code());
        check(Kind::OrderPlacement, Outcome::Failed(refusal), "FAILED", json);
    }
    fails(Refusal::ProductNotFound { product_id: id("P9") }, json!({"code": "P001", "productId": "P9"}));
    let short = |product: &str, name: &str, requested_quantity, available_stock| InsufficientItem {
        product_id: id(product),
        product_name: name.to_owned(),
        requested_quantity,
        available_stock,
    };
    fails(
        Refusal::InsufficientStock { insufficient_items: vec![short("P1", "우산", 3, 2), short("P2", "Hat", 1, 0)] },
        json!({"code": "P002", "insufficientItems": [
            {"productId": "P1", "productName": "우산", "requestedQuantity": 3, "availableStock": 2},
            {"productId": "P2", "productName": "Hat", "requestedQuantity": 1, "availableStock": 0}
        ]}),
    );
    fails(Refusal::CouponSoldOut, json!({"code": "C001"}));
    fails(Refusal::CouponNotFound, json!({"code": "C002"}));
    fails(Refusal::CouponExpired, json!({"code": "C003"}));
    fails(Refusal::AlreadyIssued, json!({"code": "C004"}));
    for (reason, text) in [
        (NotApplicable::NotOwned, "NOT_OWNED"),
        (NotApplicable::AlreadyUsed, "ALREADY_USED"),
        (NotApplicable::BelowMinOrderAmount, "BELOW_MIN_ORDER_AMOUNT"),
    ] {
        fails(Refusal::CouponNotApplicable { reason }, json!({"code": "C005", "reason": text}));
    }
    fails(Refusal::CouponNotStarted, json!({"code": "C006"}));
    fails(
        Refusal::AmountMismatch { expected_amount: 9_000, actual_amount: 8_000 },
        json!({"code": "O002", "expectedAmount": 9_000, "actualAmount": 8_000}),
    );
    fails(
        Refusal::InsufficientBalance { required_amount: 9_000, current_balance: 8_500, shortfall: 500 },
        json!({"code": "PAY001", "requiredAmount": 9_000, "currentBalance": 8_500, "shortfall": 500}),
    );
    fails(
        Refusal::PaymentFailed { reason: "card_declined".to_owned() },
        json!({"code": "PAY002", "reason": "card_declined"}),
    );
    fails(Refusal::IdempotencyKeyReused, json!({"code": "R002"}));
    fails(Refusal::Internal, json!({"code": "X003"}));
}

#[test]
fn what_is_no_outcome_is_told_apart() {
    fn check(kind: Kind, status: &str, json: Value, expected: &str) {
        let error = Outcome::from_json(kind, status, json).expect_err(expected);
        let found = match error {
            OutcomeError::UnknownStatus { .. } => "status",
            OutcomeError::UnreadableResult { .. } => "result",
            OutcomeError::UnreadableRefusal { .. } => "refusal",
        };
        assert_eq!(found, expected, "{error}");
    }
    let claimed = || json!({"userCouponId": MADE, "couponId": "C1", "expiresAt": null});
    check(Kind::CouponIssue, "QUEUED", claimed(), "status");
    check(Kind::CouponIssue, "succeeded", claimed(), "status");
    // The result of another kind of request.
    check(Kind::OrderPlacement, "SUCCEEDED", claimed(), "result");
    check(Kind::BalanceCharge, "SUCCEEDED", claimed(), "result");
    check(Kind::CouponIssue, "SUCCEEDED", json!({}), "result");
    check(Kind::CouponIssue, "SUCCEEDED", json!(null), "result");
    check(Kind::CouponIssue, "FAILED", claimed(), "refusal");
    check(Kind::CouponIssue, "FAILED", json!({"code": "C999"}), "refusal");
    check(Kind::CouponIssue, "FAILED", json!({"code": "C005"}), "refusal");
}

#[test]
fn a_result_that_a_newer_build_wrote_can_be_read() {
    let json = json!({"userCouponId": MADE, "couponId": "C1", "expiresAt": null, "later": 1});
    assert!(Outcome::from_json(Kind::CouponIssue, "SUCCEEDED", json).is_ok());
}
