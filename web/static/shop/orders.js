// What a shopper has ordered, the newest first.

import { read } from "../shared/api.js";
import { h } from "../shared/dom.js";
import { count, text, time, won } from "../shared/language.js";
import { empty, paged } from "./parts.js";
import { inName } from "./session.js";

export const title = "pageOrders";
export const needsShopper = true;

export async function show({ body, signal }) {
  const { element, rows } = await paged(
    h("ul", { class: "plain lines" }),
    async (cursor) => {
      const { orders, nextCursor } = await read("/api/orders", { ...inName(), cursor }, signal);
      return { rows: orders, nextCursor };
    },
    line,
  );
  body.replaceChildren(rows > 0 ? element : empty(text("noOrders"), "#/", text("toProducts")));
}

function line({ orderId, items, finalAmount, createdAt }) {
  const [first, ...others] = items;
  const name =
    others.length > 0 ? text("andOthers", { name: first.productName, count: count(others.length) }) : first.productName;
  return h(
    "li",
    { class: "line" },
    h("div", { class: "grow" }, h("a", { href: `#/orders/${orderId}` }, name), h("div", { class: "soft" }, time(createdAt))),
    h("strong", { class: "price" }, won(finalAmount)),
  );
}
