// What shoppers are told of errors: the codes of the API, and the reasons of some of them.

import { addTexts } from "../shared/language.js";

addTexts({
  unreachable: ["서버에 연결할 수 없습니다.", "The server cannot be reached."],

  errorV001: ["입력한 내용을 확인해 주세요.", "Please check what you entered."],
  errorA001: ["로그인이 필요합니다.", "Please sign in."],
  errorA002: ["이 작업을 할 권한이 없습니다.", "You are not allowed to do this."],
  errorR001: ["요청을 찾을 수 없습니다.", "There is no such request."],
  errorR002: ["이 요청은 다른 내용으로 이미 보내졌습니다.", "This was sent with other contents already."],
  errorR003: ["요청이 너무 많습니다.", "There are too many requests."],
  errorR004: ["대기열이 가득 찼습니다.", "The line is full."],
  errorR005: ["일시적으로 이용할 수 없습니다.", "This is not available for the moment."],
  errorP001: ["상품을 찾을 수 없습니다.", "There is no such product."],
  errorP002: ["재고가 부족합니다", "There is not enough in stock."],
  errorCART001: ["장바구니에 없는 상품입니다.", "This product is not in the cart."],
  errorO001: ["주문을 찾을 수 없습니다.", "There is no such order."],
  errorO002: ["결제 금액이 변경되었습니다. 새 금액을 확인하고 다시 결제해 주세요.", "The amount to pay has changed. Please check it and pay again."],
  errorPAY001: ["잔액이 부족합니다", "Your balance is too low."],
  errorPAY002: ["결제에 실패했습니다. 카드를 확인해주세요", "The payment failed. Please check your card."],
  errorC001: ["쿠폰이 모두 소진되었습니다", "All of these coupons are gone."],
  errorC002: ["쿠폰을 찾을 수 없습니다.", "There is no such coupon."],
  errorC003: ["사용 기간이 끝난 쿠폰입니다.", "This coupon has expired."],
  errorC004: ["이미 발급받은 쿠폰입니다", "You already have this coupon."],
  errorC005: ["이 주문에 사용할 수 없는 쿠폰입니다.", "This coupon cannot be used for this order."],
  errorC006: ["아직 발급이 시작되지 않은 쿠폰입니다.", "This coupon cannot be claimed yet."],
  errorX001: ["찾을 수 없습니다.", "There is nothing here."],
  errorX002: ["지원하지 않는 요청입니다.", "This cannot be done here."],
  errorX003: ["처리 중 오류가 발생했습니다.", "Something went wrong on our side."],
  errorX004: ["이미 존재하는 ID입니다.", "This id is already taken."],

  // claims that were refused before the line
  errorR003_ADDRESS_USED_UP: [
    "이 주소에서 받을 수 있는 쿠폰 수를 모두 받았습니다.",
    "As many of these coupons as may go to one address have gone to yours.",
  ],
  errorA002_HUMAN_TOKEN_MISSING: [
    "이 쿠폰을 받으려면 사람임을 확인해야 하는데, 이 화면에서는 확인할 수 없습니다.",
    "This coupon needs a proof that you are a person, which this page cannot ask you for.",
  ],
  errorA002_HUMAN_TOKEN_REFUSED: ["사람임을 확인하지 못했습니다.", "The proof that you are a person was not accepted."],

  // of C005
  reasonNOT_OWNED: ["보유하지 않은 쿠폰입니다.", "You do not have this coupon."],
  reasonALREADY_USED: ["이미 사용한 쿠폰입니다.", "This coupon is already used."],
  reasonBELOW_MIN_ORDER_AMOUNT: ["최소 주문 금액보다 적어 사용할 수 없습니다.", "The order is below the coupon's minimum."],

  // of PAY002, in the gateway's words
  reason_insufficient_funds: ["카드 한도 초과 또는 잔고 부족", "Insufficient funds on the card"],
  reason_generic_decline: ["카드사에서 거절", "Declined by the card's bank"],
  reason_card_declined: ["카드사에서 거절", "Declined by the card's bank"],
  reason_expired_card: ["유효 기간이 지난 카드", "The card has expired"],
  reason_lost_card: ["카드사에서 거절", "Declined by the card's bank"],
  reason_stolen_card: ["카드사에서 거절", "Declined by the card's bank"],
  reason_incorrect_cvc: ["보안 코드가 올바르지 않음", "The security code is wrong"],
  reason_processing_error: ["카드사 처리 오류", "The card's bank had a problem"],
});
