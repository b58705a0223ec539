// What several views are made of.

import { h } from "/web/shared/dom.js";
import { addTexts, count, text, time } from "/web/shared/language.js";
import "./words.js";

addTexts({
  loading: ["불러오는 중…", "Loading…"],
  more: ["더 보기", "Show more"],
  history: ["이력 보기", "Show history"],
  milliseconds: ["{n} ms", "{n} ms"],
  seconds: ["{n}초", "{n} s"],
  minutes: ["{m}분 {s}초", "{m} min {s} s"],
  hours: ["{h}시간 {m}분", "{h} h {m} min"],
  days: ["{d}일 {h}시간", "{d} d {h} h"],
  kind_COUPON_ISSUE: ["쿠폰 발급", "Coupon claim"],
  kind_ORDER_PLACEMENT: ["주문", "Order"],
  kind_BALANCE_CHARGE: ["잔액 충전", "Balance charge"],
  status_QUEUED: ["대기 중", "Queued"],
  status_PROCESSING: ["처리 중", "Processing"],
  status_PENDING: ["확인 중", "Pending"],
  status_SUCCEEDED: ["성공", "Succeeded"],
  status_FAILED: ["거절됨", "Refused"],
});

const STATUS_LOOKS = { SUCCEEDED: "good", FAILED: "bad", QUEUED: "wait", PROCESSING: "wait", PENDING: "wait" };

// A button that does `act` of the view to what `of` names.
export const button = (act, words, { of = "", ...properties } = {}) =>
  h("button", { type: "button", "data-act": act, "data-of": of, ...properties }, words);

// A few words that stand out: "good", "bad", "wait", or plain.
export const badge = (words, look = "") => h("span", { class: `badge ${look}` }, words);

// The status of a request or charge.
export const status = (name) => badge(text(`status_${name}`), STATUS_LOOKS[name]);

// A moment; a dash where there is none.
export const moment = (iso) => (iso ? h("time", { datetime: iso }, time(iso)) : "–");

// A name that the server or an operator gave.
export const name = (id) => (id ? h("code", { class: "id" }, id) : "–");

// A button that shows the history of a request, or a shopper's requests.
export const look = (of, words = text("history")) => button("look", words, { of, class: "small", "aria-label": words === of ? null : `${words}: ${of}` });

// How long something takes or took, as a person says it.
export function duration(ms) {
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 1) {
    return text("milliseconds", { n: Math.round(ms) });
  }
  if (seconds < 60) {
    return text("seconds", { n: (ms / 1_000).toFixed(1) });
  }
  const [s, m, hours] = [seconds % 60, Math.floor(seconds / 60) % 60, Math.floor(seconds / 3_600)];
  if (hours < 1) {
    return text("minutes", { m, s });
  }
  return hours < 24 ? text("hours", { h: hours, m }) : text("days", { d: count(Math.floor(hours / 24)), h: hours % 24 });
}

// What a list is before it is loaded, and when it has nothing.
export const emptiness = (items, words) =>
  items === null ? h("p", { class: "soft" }, text("loading")) : items.length === 0 && h("p", { class: "empty" }, words);

// A table with a row for each item. A column is [heading, cell of an item, "number" for figures]; the first one names the
// row. It scrolls by itself, with the keyboard, too.
export function table(caption, columns, items, keyOf) {
  const row = (item) =>
    h("tr", { "data-key": keyOf(item) }, columns.map(([, cell, look], index) =>
      index === 0 ? h("th", { scope: "row" }, cell(item)) : h("td", { class: look }, cell(item))));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h("table", {},
      h("caption", { class: "heard" }, caption),
      h("thead", {}, h("tr", {}, columns.map(([heading, , look]) => h("th", { scope: "col", class: look }, heading)))),
      h("tbody", {}, items.map(row))));
}

// Buttons of which one is chosen. Each choice is [what it stands for, words].
export const choices = (act, label, chosen, pairs) =>
  h("div", { class: "choices", role: "group", "aria-label": label },
    pairs.map(([of, words]) => button(act, words, { of, "aria-pressed": String(of === chosen) })));

// Figures with what they are: pairs of words and figure.
export const figures = (pairs) =>
  h("dl", { class: "figures" }, pairs.map(([words, figure]) => h("div", {}, h("dt", {}, words), h("dd", {}, figure))));

// Members of a document, whatever they are, as names and values.
export function members(value) {
  if (Array.isArray(value)) {
    return h("ul", { class: "members" }, value.map((item) => h("li", {}, members(item))));
  }
  if (value !== null && typeof value === "object") {
    const pairs = Object.entries(value).map(([key, member]) => h("div", {}, h("dt", {}, key), h("dd", {}, members(member))));
    return h("dl", { class: "members" }, pairs);
  }
  return typeof value === "number" ? count(value) : String(value);
}
