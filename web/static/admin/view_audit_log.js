// Who changed what, and what was different afterwards.

import { h } from "/web/shared/dom.js";
import { addTexts, count, text } from "/web/shared/language.js";
import { Pages } from "./pages.js";
import { emptiness, moment, name, table } from "./parts.js";

const ACTIONS = {
  "product.create": ["상품 생성", "Product made"],
  "product.edit": ["상품 수정", "Product changed"],
  "product.restock": ["재고 조정", "Restocked"],
  "coupon.create": ["쿠폰 생성", "Coupon made"],
  "coupon.edit": ["쿠폰 변경", "Coupon changed"],
  "user.create": ["사용자 생성", "User made"],
  "lane.pause": ["레인 멈춤", "Lane paused"],
  "lane.resume": ["레인 재개", "Lane resumed"],
  "sync.retry": ["전송 재시도", "Sync retried"],
  "sync.retry-all": ["전송 모두 재시도", "All syncs retried"],
  "sync.resolve": ["전송 실패 해결", "Sync resolved"],
  "charge.resolve": ["충전 결과 입력", "Charge settled"],
  "alert.resolve": ["알림 해결", "Alert resolved"],
};

addTexts(Object.fromEntries(Object.entries(ACTIONS).map(([action, pair]) => [`action_${action}`, pair])));
addTexts({
  no_entries: ["변경 기록이 없습니다.", "Nothing has been changed yet."],
  when: ["시각", "When"],
  who: ["누가", "Who"],
  did: ["무엇을", "What"],
  subject: ["대상", "To what"],
  last_ticket: ["이전 마지막 티켓", "Last ticket before"],
  difference: ["변경 내용", "Difference"],
  before: ["이전", "before"],
  after: ["이후", "after"],
  no_difference: ["달라진 것 없음", "no difference"],
});

const say = (value) => (typeof value === "number" ? count(value) : value === null ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));

// A member that is another afterwards; a new one has only an afterwards.
function line(member, before, after) {
  const was = before !== undefined && [h("span", { class: "heard" }, `${text("before")} `), h("del", {}, say(before)), " → "];
  const is = after === undefined ? "–" : [h("span", { class: "heard" }, `${text("after")} `), h("ins", {}, say(after))];
  return h("li", {}, `${member}: `, was, is);
}

function difference({ before, after }) {
  const [was, is] = [before ?? {}, after ?? {}];
  const members = [...new Set([...Object.keys(was), ...Object.keys(is)])];
  const changed = members.filter((member) => JSON.stringify(was[member]) !== JSON.stringify(is[member]) && (is[member] ?? was[member] ?? null) !== null);
  if (changed.length === 0) {
    return h("span", { class: "soft" }, text("no_difference"));
  }
  return h("ul", { class: "plain-list difference" }, changed.map((member) => line(member, was[member], is[member])));
}

export function auditLog(app) {
  const list = new Pages(app, "/api/admin/audit-log", "entries");

  const columns = () => [
    [text("when"), ({ at }) => moment(at)],
    [text("who"), ({ actor }) => name(actor)],
    [text("did"), ({ action }) => (Object.hasOwn(ACTIONS, action) ? text(`action_${action}`) : action)],
    [text("subject"), ({ subject }) => name(subject)],
    [text("difference"), difference],
    [text("last_ticket"), ({ lastTicket }) => (lastTicket === null ? "–" : count(lastTicket)), "number"],
  ];

  // Entries have no name of their own; no two are of the same moment and to the same thing.
  const keyOf = ({ at, action, subject }) => `${at} ${action} ${subject}`;

  return {
    everyMs: 5_000,
    load: (signal) => list.load(signal),
    render: () => [
      h("div", { "data-key": "list" },
        emptiness(list.items, text("no_entries")),
        list.items?.length > 0 && table(text("view_log"), columns(), list.items, keyOf)),
      list.moreButton(),
    ],
    acts: { more: () => list.showMore() },
  };
}
