// What the codes of refusals mean, for operators.

import { addTexts, text } from "/web/shared/language.js";

const MEANINGS = {
  P001: ["상품 없음", "no such product"],
  P002: ["재고 부족", "insufficient stock"],
  C001: ["쿠폰 소진", "coupon sold out"],
  C002: ["쿠폰 없음", "no such coupon"],
  C003: ["쿠폰 기간 종료", "coupon expired"],
  C004: ["이미 발급됨", "already issued"],
  C005: ["쿠폰 적용 불가", "coupon not applicable"],
  C006: ["쿠폰 시작 전", "coupon not started"],
  O002: ["금액 불일치", "amount mismatch"],
  PAY001: ["잔액 부족", "insufficient balance"],
  PAY002: ["결제 실패", "payment failed"],
  R002: ["키 재사용", "idempotency key reused"],
  X003: ["처리 불가", "could not be decided"],
};

addTexts(Object.fromEntries(Object.entries(MEANINGS).map(([code, pair]) => [`refusal_${code}`, pair])));

// The meaning of a code; nothing where it is not known here.
export const refusalText = (code) => (Object.hasOwn(MEANINGS, code) ? text(`refusal_${code}`) : "");
