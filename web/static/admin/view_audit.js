// The audit: every promise of the shop, checked over all rows.

import { h } from "/web/shared/dom.js";
import { addTexts, count, text } from "/web/shared/language.js";
import { failureText } from "./dialog.js";
import { badge, button, duration, moment, name, table } from "./parts.js";

const PROMISES = {
  coupon_quantity: ["쿠폰은 수량보다 많이 발급되지 않는다", "No coupon is issued more often than it exists"],
  coupon_counter: ["발급 수는 지갑에 있는 쿠폰 수와 같다", "A coupon counts as many units issued as lie in wallets"],
  stock_counter: ["재고는 입고 수량에서 판매 수량을 뺀 것이다", "What is in stock is what was put on the shelf less what was sold"],
  balance_is_ledger: ["잔액은 원장의 합이다", "A balance is the sum of its ledger"],
  ledger_chain: ["원장의 각 줄은 그때까지의 합을 말한다", "Each ledger entry says what those up to it add up to"],
  first_come: ["각 레인에서 티켓 순서대로 결정되었다", "In each lane, tickets rise in the order of decisions"],
  fence: ["각 레인의 기준 티켓은 마지막으로 결정된 티켓이다", "The fence of a lane stands at the last ticket decided on it"],
  one_outcome: ["성공한 요청은 정확히 하나를 만들었고, 다른 요청은 아무것도 만들지 않았다", "A success made exactly one thing, and nothing else did"],
  batch_counts: ["배치에는 기록된 수만큼의 요청이 있다", "A batch holds the requests that it says it holds"],
  order_amounts: ["주문 금액은 품목의 합에서 할인을 뺀 것이다", "An order's amounts are the sum of its lines less its discount"],
  order_paid: ["주문은 주문자가 한 번, 전액 결제했다", "An order is paid once, in full, by its shopper"],
  charges: ["결제된 충전은 한 번만 잔액에 더해졌다", "A charge is credited once, if its money was taken"],
  coupon_use: ["주문과 지갑의 쿠폰 사용 기록이 일치한다", "Orders and wallets agree on which coupons were used where"],
  outbox: ["모든 주문은 주문 시스템에 전송되도록 기록되었다", "Every order is told to the order system"],
  references: ["주문과 지갑이 가리키는 것은 모두 존재한다", "What orders and wallets name exists"],
};

addTexts(Object.fromEntries(Object.entries(PROMISES).map(([check, pair]) => [`promise_${check}`, pair])));
addTexts({
  audit_about: ["상점의 모든 약속을 전체 데이터에서 다시 검사합니다. 판매 중에도 실행할 수 있습니다.", "Checks every promise of the shop over all rows. It may run beside a sale."],
  audit_run: ["감사 실행", "Run the audit"],
  audit_running: ["감사 중…", "Auditing…"],
  audit_took: ["{d} 걸림", "took {d}"],
  audit_ok: ["모든 약속이 지켜졌습니다. 검사 {n}개가 모두 통과했습니다.", "Every promise is kept: all {n} checks passed."],
  audit_bad: ["지켜지지 않은 약속이 있습니다. 검사 {n}개가 실패했습니다.", "A promise is broken: {n} checks failed."],
  audit_none: ["이 탭에서 아직 실행하지 않았습니다.", "It has not run in this tab yet."],
  check: ["검사", "Check"],
  promise: ["약속", "Promise"],
  passed: ["통과", "Passed"],
  broken: ["위반", "Broken"],
  examined: ["검사한 행", "Examined"],
  violations: ["위반", "Violations"],
  samples: ["예", "Samples"],
});

// Fifteen checks, each of which the server gives a minute.
const AUDIT_MAX_MS = 15 * 60_000;

export function audit(app) {
  let report = null;
  let isRunning = false;
  let tookMs = 0;
  let ranAt = null;
  let failure = null;

  async function run() {
    if (isRunning) {
      return;
    }
    isRunning = true;
    failure = null;
    const began = performance.now();
    app.draw();
    try {
      report = await app.read("/api/admin/audit", {}, app.closed, AUDIT_MAX_MS);
      tookMs = performance.now() - began;
      ranAt = new Date().toISOString();
    } catch (error) {
      failure = error;
    }
    isRunning = false;
    app.draw();
  }

  const columns = () => [
    [text("check"), (check) => name(check.name)],
    [text("state"), ({ ok }) => (ok ? badge(text("passed"), "good") : badge(text("broken"), "bad"))],
    [text("promise"), (check) => (Object.hasOwn(PROMISES, check.name) ? text(`promise_${check.name}`) : "–")],
    [text("examined"), ({ examined }) => count(examined), "number"],
    [text("violations"), ({ violations }) => count(violations), "number"],
    [text("samples"), ({ samples }) => (samples.length === 0 ? "–" : h("ul", { class: "plain-list" }, samples.map((sample) => h("li", {}, sample))))],
  ];

  function verdict() {
    const failed = report.checks.filter(({ ok }) => !ok).length;
    return report.ok ? text("audit_ok", { n: count(report.checks.length) }) : text("audit_bad", { n: count(failed) });
  }

  return {
    render: () => [
      h("p", { class: "soft", "data-key": "about" }, text("audit_about")),
      h("div", { class: "row", "data-key": "run" },
        button("run", text(isRunning ? "audit_running" : "audit_run"), { class: "primary", "aria-disabled": String(isRunning) }),
        report !== null && h("span", { class: "soft" }, moment(ranAt), `, ${text("audit_took", { d: duration(tookMs) })}`)),
      h("p", { class: "notice bad", role: "alert", "data-key": "failure" }, failure !== null && failureText(failure)),
      h("p", { class: `notice ${report === null ? "" : report.ok ? "good" : "bad"}`, role: "status", "data-key": "verdict" },
        report === null ? text("audit_none") : verdict()),
      report !== null && h("div", { "data-key": "checks" }, table(text("view_audit"), columns(), report.checks, (check) => check.name)),
    ],
    acts: { run },
  };
}
