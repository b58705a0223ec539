// What the API says is wrong with a field, in the reader's language. It speaks English, to programs.

import { addTexts, language, text } from "/web/shared/language.js";

addTexts({
  must_be_given: ["필수 항목입니다.", "must be given"],
  must_be_whole: ["정수를 입력하세요.", "must be a whole number"],
  must_be_moment: ["날짜와 시간을 입력하세요.", "must be a date and a time"],
});

const NUMBER = "(-?[\\d]+)";
const KOREAN = [
  ["must be given", "필수 항목입니다."],
  ["must not be blank", "공백만 입력할 수 없습니다."],
  ["must not contain control characters", "제어 문자는 사용할 수 없습니다."],
  [`must be between ${NUMBER} and ${NUMBER}`, "$1 이상 $2 이하여야 합니다."],
  [`must have ${NUMBER} to ${NUMBER} characters`, "$1자 이상 $2자 이하여야 합니다."],
  [`must leave a stock between ${NUMBER} and ${NUMBER}; it is ${NUMBER} now`, "재고는 $1 이상 $2 이하여야 합니다. 현재 재고는 $3개입니다."],
  ["must be after startsAt", "시작 시각보다 뒤여야 합니다."],
  ["is for discounts of the type PERCENT", "정률(PERCENT) 할인에만 쓸 수 있습니다."],
  ["belongs to a group that is not configured", "설정되지 않은 그룹의 레인입니다."],
  ["must be coupon:\\{couponId\\}.*", "coupon:{couponId}, product:{productId}, user:{userId}, charge:{userId} 또는 {그룹}:* 형식이어야 합니다."],
].map(([pattern, words]) => [new RegExp(`^${pattern}$`), words]);

// The complaint as a sentence. What is not known here is shown as the API puts it.
export function complaint(message) {
  const known = language() === "ko" && KOREAN.find(([pattern]) => pattern.test(message));
  return known ? message.replace(known[0], known[1]) : message;
}

export const mustBeGiven = () => text("must_be_given");
export const mustBeWhole = () => text("must_be_whole");
export const mustBeMoment = () => text("must_be_moment");
