// The coupons that can be had, first come, first served.

import { read } from "../shared/api.js";
import { h } from "../shared/dom.js";
import { count, text, time } from "../shared/language.js";
import { intentOf, isOver, mean } from "./intents.js";
import { panel } from "./panel.js";
import { disable, discountWords, empty, minOrderWords, notice, paged, problemText, untilWords, whileVisible } from "./parts.js";
import { go, signInAddress } from "./router.js";
import { current, inName } from "./session.js";

export const title = "pageCoupons";

const QUANTITIES_AGAIN_MS = 3_000;
const PAGE_MAX_ROWS = 100;

export async function show({ body, signal }) {
  const cards = new Map();
  const held = await couponsHeld(signal);
  const list = h("ul", { class: "grid wide" });
  const { element, rows } = await paged(
    list,
    async (cursor) => {
      const { coupons, nextCursor } = await read("/api/coupons", { cursor }, signal);
      return { rows: coupons, nextCursor };
    },
    (coupon) => {
      const card = couponCard(coupon, held.has(coupon.couponId), signal);
      cards.set(coupon.couponId, card);
      return card.element;
    },
  );
  if (rows === 0) {
    body.replaceChildren(empty(text("noCoupons"), "#/", text("toProducts")));
    return;
  }
  body.replaceChildren(h("p", { class: "soft" }, text("aboutCoupons")), element);
  const again = async () => {
    for (let cursor = null, seen = 0; seen < cards.size; seen += PAGE_MAX_ROWS) {
      const { coupons, nextCursor } = await read("/api/coupons", { limit: Math.min(cards.size, PAGE_MAX_ROWS), cursor }, signal);
      coupons.forEach((coupon) => cards.get(coupon.couponId)?.showQuantities(coupon));
      cursor = nextCursor;
      if (cursor === null) {
        return;
      }
    }
  };
  whileVisible(again, QUANTITIES_AGAIN_MS, signal);
}

// Which of them the shopper has already; only for a mark on the card, so nothing is lost where it cannot be known.
async function couponsHeld(signal) {
  if (!current()) {
    return new Set();
  }
  try {
    const { coupons } = await read("/api/users/coupons", { ...inName(), limit: PAGE_MAX_ROWS }, signal);
    return new Set(coupons.map((coupon) => coupon.couponId));
  } catch {
    signal.throwIfAborted();
    return new Set();
  }
}

function couponCard(coupon, isHeld, signal) {
  const id = `coupon-${coupon.couponId}`;
  const quantities = h("div", { class: "quantities" });
  const mark = h("span", { class: "badge plenty", hidden: !isHeld }, text("held"));
  const claim = h(
    "button",
    { type: "button", class: "primary", "aria-describedby": id, onclick: () => claimIt(coupon, told) },
    text("claim"),
  );
  const opens = h("p", { class: "notice wait" }, coupon.startsAt && text("opensAt", { time: time(coupon.startsAt) }));
  const showQuantities = ({ remainingQuantity, totalQuantity }) => {
    // Whoever watches sees it open.
    const isOpen = !coupon.startsAt || new Date(coupon.startsAt) <= new Date();
    opens.hidden = isOpen;
    // It can be tried all the same: the answer is certain, and more may have come.
    claim.classList.toggle("primary", isOpen && mark.hidden && remainingQuantity > 0);
    const left = text(remainingQuantity === 0 ? "couponsGone" : "couponsLeft", { left: count(remainingQuantity) });
    quantities.replaceChildren(
      h(
        "p",
        { class: remainingQuantity === 0 ? "gone" : "" },
        h("strong", {}, left),
        " ",
        h("span", { class: "soft" }, text("ofTotal", { total: count(totalQuantity) })),
      ),
      h("progress", {
        max: String(Math.max(totalQuantity, 1)),
        value: String(remainingQuantity),
        "aria-label": text("couponsLeftLabel"),
      }),
    );
  };
  const onChange = (intent) => {
    disable(claim, !isOver(intent));
    mark.hidden = mark.hidden && intent.phase !== "succeeded" && intent.problem?.code !== "C004";
  };
  showQuantities(coupon);
  const told = panel("claim", coupon.couponId, outcome, onChange, signal);
  const element = h(
    "li",
    { class: "coupon" },
    h("div", { class: "row" }, h("h2", { id }, coupon.name), mark),
    h("p", { class: "discount" }, discountWords(coupon)),
    h("p", { class: "soft" }, terms(coupon)),
    quantities,
    opens,
    claim,
    told,
  );
  const before = intentOf("claim", coupon.couponId);
  if (before) {
    onChange(before);
  }
  return { element, showQuantities };
}

function terms(coupon) {
  const days = coupon.validDays && text("validDays", { days: coupon.validDays });
  const end = coupon.endsAt && untilWords(coupon.endsAt);
  return [minOrderWords(coupon), days, end].filter(Boolean).join(" · ");
}

function claimIt({ couponId }, told) {
  if (!current()) {
    go(signInAddress());
    return;
  }
  mean("claim", couponId, `/api/coupons/${encodeURIComponent(couponId)}/issue`, inName());
  told.focus();
}

function outcome({ phase, result, problem, document }) {
  const ticket = document ? h("p", { class: "hint" }, `${text("ticket")} ${count(document.ticket)}`) : null;
  if (phase === "refused") {
    return [notice("bad", problemText(problem), ticket)];
  }
  const until = h("p", { class: "hint" }, untilWords(result.expiresAt));
  return [notice("good", text("issued"), until, ticket), h("a", { href: "#/wallet" }, text("toWallet"))];
}
