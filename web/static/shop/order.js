// One order, as it was decided.

import { read } from "../shared/api.js";
import { h } from "../shared/dom.js";
import { count, text, time, won } from "../shared/language.js";
import { facts } from "./parts.js";
import { inName } from "./session.js";

export const title = "pageOrder";
export const needsShopper = true;

export async function show({ body, params, signal }) {
  const order = await read(`/api/orders/${encodeURIComponent(params.id)}`, inName(), signal);
  body.replaceChildren(
    h(
      "div",
      { class: "narrow" },
      facts(
        [text("orderNumber"), order.orderId],
        [text("orderedAt"), time(order.createdAt)],
        order.couponId ? [text("couponLabel"), order.couponId] : null,
      ),
      h(
        "ul",
        { class: "plain lines" },
        order.items.map((item) =>
          h(
            "li",
            { class: "line" },
            h(
              "div",
              { class: "grow" },
              h("a", { href: `#/products/${encodeURIComponent(item.productId)}` }, item.productName),
              h("div", { class: "soft" }, `${won(item.unitPrice)} · ${text("pieces", { quantity: count(item.quantity) })}`),
            ),
            h("strong", {}, won(item.subtotal)),
          ),
        ),
      ),
      facts(
        [text("totalAmount"), won(order.totalAmount)],
        [text("discountAmount"), won(0 - order.discountAmount)],
        [text("finalAmount"), h("strong", { class: "price large" }, won(order.finalAmount))],
      ),
      h("p", {}, h("a", { class: "button", href: "#/orders" }, text("toOrders"))),
    ),
  );
}
