// The coupons that a shopper holds.

import { read } from "../shared/api.js";
import { h } from "../shared/dom.js";
import { text, time } from "../shared/language.js";
import { discountWords, empty, minOrderWords, paged, untilWords } from "./parts.js";
import { inName } from "./session.js";

export const title = "pageWallet";
export const needsShopper = true;

const STATUSES = ["available", "used", "expired"];

export async function show({ body, query, signal }) {
  const status = STATUSES.includes(query.get("status")) ? query.get("status") : "available";
  const tabs = h(
    "nav",
    { class: "tabs", "aria-label": text("walletStatus") },
    STATUSES.map((each) =>
      h("a", { class: "button", href: `#/wallet?status=${each}`, "aria-current": each === status ? "true" : null }, text(each)),
    ),
  );
  const { element, rows } = await paged(
    h("ul", { class: "grid wide" }),
    async (cursor) => {
      const { coupons, nextCursor } = await read("/api/users/coupons", { ...inName(), status, cursor }, signal);
      return { rows: coupons, nextCursor };
    },
    card,
  );
  body.replaceChildren(tabs, rows > 0 ? element : empty(text("emptyWallet"), "#/coupons", text("toCoupons")));
}

const card = (coupon) =>
  h(
    "li",
    { class: `coupon ${coupon.status === "AVAILABLE" ? "" : "over"}` },
    h("h2", {}, coupon.name),
    h("p", { class: "discount" }, discountWords(coupon)),
    h("p", { class: "soft" }, [minOrderWords(coupon), lastWords(coupon)].filter(Boolean).join(" · ")),
  );

const lastWords = ({ usedAt, expiresAt }) => (usedAt ? text("usedAt", { time: time(usedAt) }) : untilWords(expiresAt));
