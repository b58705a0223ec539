// Charges of which nobody knows whether the money was taken, and what an operator found out.

import { h } from "/web/shared/dom.js";
import { addTexts, count, text, won } from "/web/shared/language.js";
import { ask } from "./dialog.js";
import { Pages } from "./pages.js";
import { badge, button, choices, emptiness, look, moment, name, status as statusBadge, table } from "./parts.js";

addTexts({
  charges_about: [
    "결제 게이트웨이의 결과를 아직 알 수 없는 충전입니다. 보통은 저절로 확인되며, 확인이 중단된 충전은 게이트웨이 기록에서 충전 ID를 찾아 직접 처리하세요.",
    "Charges of which the gateway's word is missing. Most settle by themselves; for those that are no longer asked about, look for the charge in the gateway's own records and settle it here.",
  ],
  charges_pending: ["확인 중", "Pending"],
  charges_settled: ["확정됨", "Settled"],
  no_charges: ["해당하는 충전이 없습니다.", "There are no such charges."],
  charge: ["충전", "Charge"],
  method: ["결제 수단", "Paid with"],
  asked: ["확인 시도", "Asked"],
  next_attempt: ["다음 확인", "Asked again"],
  asked_first: ["첫 응답 대기 중", "First answer awaited"],
  given_up: ["확인 중단", "given up"],
  settled: ["확정", "Settled"],
  verdict: ["운영자 판단", "Operator's word"],
  settle: ["결과 입력", "Settle"],
  settle_title: ["충전 결과 입력", "Settle a charge"],
  settle_about: [
    "{user}의 {amount} 충전({id})입니다. 게이트웨이 기록으로 확인한 결과를 선택하세요. 되돌릴 수 없습니다.",
    "{amount} of {user} ({id}). Choose what the gateway's own records show. This cannot be undone.",
  ],
  settle_outcome: ["결제 결과", "What came of it"],
  outcome_SUCCEEDED: ["돈이 결제됨: 잔액에 더합니다", "The money was taken: it is added to the balance"],
  outcome_FAILED: ["결제되지 않음: 충전을 실패로 끝냅니다", "It was not taken: the charge ends as failed"],
  settled_one: ["충전 {id}: {status}", "Charge {id}: {status}"],
  settled_soon: ["충전 {id}: 판단을 기록했고, 곧 처리됩니다.", "Charge {id}: noted, and settled in a moment."],
});

const verdictOf = ({ verdict, verdictBy, note }) =>
  verdict === null ? "–" : h("div", {}, statusBadge(verdict), ` ${verdictBy ?? ""}`, h("p", { class: "told soft" }, note ?? ""));

function nextOf({ nextAttemptAt, givenUpAt }) {
  return givenUpAt !== null ? h("span", {}, badge(text("given_up"), "bad"), " ", moment(givenUpAt)) : moment(nextAttemptAt);
}

export function charges(app) {
  const list = new Pages(app, "/api/admin/charges", "charges");
  let status = "pending";

  function settle(id) {
    const charge = list.items.find(({ chargeId }) => chargeId === id);
    ask({
      title: text("settle_title"),
      about: [text("settle_about", { id, user: charge.userId, amount: won(charge.amount) })],
      fields: [
        {
          name: "outcome", label: text("settle_outcome"), kind: "choice",
          choices: ["SUCCEEDED", "FAILED"].map((outcome) => [outcome, text(`outcome_${outcome}`)]),
        },
        { name: "note", label: text("note"), kind: "area", hint: text("note_hint") },
      ],
      verb: text("settle"),
      isGrave: true,
      act: async (values) => {
        const done = await app.send("POST", `/api/admin/charges/${encodeURIComponent(id)}/resolve`, values);
        const isSettled = done.status !== "PENDING";
        app.say("good", isSettled ? text("settled_one", { id, status: text(`status_${done.status}`) }) : text("settled_soon", { id }));
        app.refresh();
      },
    });
  }

  const columns = () => [
    [text("charge"), ({ chargeId }) => name(chargeId)],
    [text("user"), ({ userId }) => name(userId)],
    [text("amount"), ({ amount }) => won(amount), "number"],
    [text("state"), ({ status: of }) => statusBadge(of)],
    [text("accepted"), ({ acceptedAt }) => moment(acceptedAt)],
    [text("asked"), ({ attempts }) => count(attempts), "number"],
    [text("last_error"), ({ lastError }) => lastError ?? "–"],
    status === "pending" ? [text("next_attempt"), nextOf] : [text("settled"), ({ settledAt }) => moment(settledAt)],
    [text("method"), ({ paymentMethod }) => name(paymentMethod)],
    [text("verdict"), verdictOf],
    [text("act"), ({ chargeId, attempts }) => h("div", { class: "row" },
      status === "pending" && attempts === 0 && h("span", { class: "soft" }, text("asked_first")),
      status === "pending" && attempts > 0 && button("settle", text("settle"), { of: chargeId, class: "small", "aria-label": `${text("settle")}: ${chargeId}` }),
      look(chargeId))],
  ];

  return {
    everyMs: 2_000,
    load: (signal) => list.load(signal, { status }),
    render: () => [
      h("p", { class: "soft", "data-key": "about" }, text("charges_about")),
      h("div", { class: "row", "data-key": "choices" },
        choices("choose", text("which"), status, [["pending", text("charges_pending")], ["settled", text("charges_settled")]])),
      h("div", { "data-key": "list" },
        emptiness(list.items, text("no_charges")),
        list.items?.length > 0 && table(text("view_charges"), columns(), list.items, ({ chargeId }) => chargeId)),
      list.moreButton(),
    ],
    acts: {
      settle,
      choose(of) {
        status = of;
        list.restart();
      },
      more: () => list.showMore(),
    },
  };
}
