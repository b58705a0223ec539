// A shopper's money: how much there is, more of it from a card, and how it came about.

import { read } from "../shared/api.js";
import { byId, h } from "../shared/dom.js";
import { text, time, won } from "../shared/language.js";
import { intentOf, isOver, mean } from "./intents.js";
import { panel } from "./panel.js";
import { empty, facts, failure, notice, numberField, paged, problemText } from "./parts.js";
import { inName, isDemo } from "./session.js";

export const title = "pageBalance";
export const needsShopper = true;

const KIND = "charge";

// The usual amounts, in won.
const AMOUNTS = [10_000, 50_000, 100_000];
const AMOUNT_MAX_WON = 1_000_000_000_000;

// Names under which a payment gateway knows its test cards, and what they are called here; the first one is the shop's own choice.
const TEST_CARDS = [
  ["", "cardDefault"],
  ["pm_card_visa", "cardVisa"],
  ["pm_card_visa_chargeDeclinedInsufficientFunds", "cardEmpty"],
  ["pm_card_chargeDeclined", "cardDeclined"],
];

const REASONS = [
  "insufficient_funds",
  "generic_decline",
  "card_declined",
  "expired_card",
  "lost_card",
  "stolen_card",
  "incorrect_cvc",
  "processing_error",
];

export async function show({ body, query, signal }) {
  const wanted = Number(query.get("amount"));
  const back = query.get("back") ?? "";
  const now = h("p", { class: "price large" });
  const history = h("div", {});
  let balance = 0;
  const load = async () => {
    ({ balance } = await read("/api/users/balance", inName(), signal));
    now.replaceChildren(won(balance));
    form.showSum();
    const { element, rows } = await ledger(signal);
    history.replaceChildren(rows > 0 ? element : empty(text("emptyLedger")));
  };
  const charge = (amount, card) => {
    mean(KIND, "", "/api/users/balance/charge", { ...inName(), amount, ...(card ? { paymentMethod: card } : {}) }, { amount });
    box.focus();
  };
  const onChange = (intent) => {
    byId("charge")?.toggleAttribute("disabled", !isOver(intent));
    if (intent.phase === "succeeded") {
      load().catch((error) => signal.aborted || history.replaceChildren(failure(error, load)));
    }
  };
  const form = chargeForm(Number.isInteger(wanted) && wanted > 0 ? wanted : AMOUNTS[1], () => balance, charge);
  const box = panel(KIND, "", (intent) => outcome(intent, back), onChange, signal);
  await load();
  body.replaceChildren(
    h(
      "div",
      { class: "two even" },
      h(
        "section",
        { class: "card", "aria-labelledby": "more" },
        h("h2", {}, text("currentBalance")),
        now,
        h("h2", { id: "more" }, text("chargeBalance")),
        form.element,
        box,
      ),
      h("section", { "aria-labelledby": "history" }, h("h2", { id: "history" }, text("ledger")), history),
    ),
  );
  const before = intentOf(KIND);
  byId("charge").toggleAttribute("disabled", Boolean(before) && !isOver(before));
}

function chargeForm(amount, balanceNow, charge) {
  const input = numberField("amount", AMOUNT_MAX_WON, amount);
  const sum = h("output", { for: "amount", class: "sum" });
  const showSum = () => {
    const meant = Number(input.value);
    const isAmount = Number.isInteger(meant) && meant > 0 && meant <= AMOUNT_MAX_WON;
    sum.replaceChildren(
      isAmount
        ? text("chargeSum", { amount: won(meant), after: won(balanceNow() + meant) })
        : text("chargeBounds", { most: won(AMOUNT_MAX_WON) }),
    );
  };
  input.addEventListener("input", showSum);
  const choose = (chosen) => {
    input.value = String(chosen);
    showSum();
  };
  const card = isDemo()
    ? h(
        "select",
        { id: "card" },
        TEST_CARDS.map(([name, words]) => h("option", { value: name }, text(words))),
      )
    : null;
  const onsubmit = (event) => {
    event.preventDefault();
    const before = intentOf(KIND);
    if (!before || isOver(before)) {
      charge(Number(input.value), card?.value);
    }
  };
  const element = h(
    "form",
    { onsubmit },
    h(
      "fieldset",
      { id: "charge", class: "plain" },
      h("legend", { class: "heard" }, text("chargeBalance")),
      h(
        "div",
        { class: "field" },
        h("label", { for: "amount" }, text("amountLabel")),
        input,
        h(
          "div",
          { class: "row quick" },
          AMOUNTS.map((each) => h("button", { type: "button", onclick: () => choose(each) }, won(each))),
        ),
      ),
      card
        ? h(
            "div",
            { class: "field" },
            h("label", { for: "card" }, text("cardLabel")),
            card,
            h("p", { class: "hint" }, text("cardHint")),
          )
        : null,
      h("p", {}, sum),
      h("button", { type: "submit", class: "primary large" }, text("charge")),
    ),
  );
  return { element, showSum };
}

const ledger = (signal) =>
  paged(
    h("ul", { class: "plain lines" }),
    async (cursor) => {
      const { entries, nextCursor } = await read("/api/users/balance/history", { ...inName(), cursor }, signal);
      return { rows: entries, nextCursor };
    },
    ({ type, amount, balanceAfter, referenceId, createdAt }) =>
      h(
        "li",
        { class: "line" },
        h(
          "div",
          { class: "grow" },
          type === "ORDER" ? h("a", { href: `#/orders/${referenceId}` }, text(`ledger${type}`)) : text(`ledger${type}`),
          h("div", { class: "soft" }, `${time(createdAt)} · ${text("balanceAfter", { amount: won(balanceAfter) })}`),
        ),
        h("strong", { class: amount < 0 ? "taken" : "added" }, `${amount > 0 ? "+" : ""}${won(amount)}`),
      ),
  );

function outcome({ phase, result, problem }, back) {
  if (phase === "succeeded") {
    return [
      notice(
        "good",
        h("strong", {}, text("charged", { amount: won(result.chargedAmount) })),
        h("p", {}, text("balanceNow", { amount: won(result.currentBalance) })),
      ),
      back.startsWith("/") ? h("a", { class: "button primary", href: `#${back}` }, text("backToOrder")) : null,
    ].filter(Boolean);
  }
  if (problem.code !== "PAY002") {
    return [notice("bad", problemText(problem))];
  }
  const reason = REASONS.includes(problem.reason) ? text(`reason_${problem.reason}`) : problem.reason;
  return [notice("bad", h("strong", {}, text("paymentFailed")), h("p", {}, text("checkCard")), facts([text("reason"), reason]))];
}
