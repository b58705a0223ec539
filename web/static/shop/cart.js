// What a shopper wants to order.

import { Refused, call, read } from "../shared/api.js";
import { byId, h } from "../shared/dom.js";
import { count, text, won } from "../shared/language.js";
import { refresh } from "./header.js";
import { QUANTITY_MAX_PIECES, announce, disable, empty, failed, notice, numberField } from "./parts.js";
import { current, inName } from "./session.js";
import { shortages } from "./shortage.js";
import { picture } from "./svg.js";

export const title = "pageCart";
export const needsShopper = true;

export async function show({ body, signal }) {
  const said = h("div", { role: "status", "aria-live": "polite" });
  const content = h("div", {});
  const load = async () => {
    const cart = await read("/api/cart", inName(), signal);
    content.replaceChildren(
      ...(cart.items.length > 0 ? filled(cart, change) : [empty(text("emptyCart"), "#/", text("toProducts"))]),
    );
    return cart;
  };
  // One change at a time: which of two came last could not be seen.
  const change = async (controls, what, words) => {
    said.replaceChildren();
    controls.forEach((control) => disable(control, true));
    try {
      await what();
      announce(words);
    } catch (error) {
      const isShort = error instanceof Refused && error.problem.code === "P002";
      said.replaceChildren(
        ...(isShort ? [notice("bad", text("errorP002")), shortages(error.problem.insufficientItems)] : [failed(error)]),
      );
    }
    const focused = document.activeElement?.id || controls.find((control) => "focused" in control.dataset)?.id;
    await load().catch((error) => signal.aborted || said.replaceChildren(failed(error)));
    if (signal.aborted) {
      return;
    }
    (byId(focused) ?? document.querySelector("h1")).focus();
    refresh();
  };
  await load();
  body.replaceChildren(said, content);
}

function filled(cart, change) {
  return [
    h(
      "div",
      { class: "two" },
      h(
        "ul",
        { class: "plain lines" },
        cart.items.map((item) => line(item, change)),
      ),
      h(
        "div",
        { class: "card total" },
        h("p", {}, h("span", {}, text("total")), " ", h("strong", { class: "price large" }, won(cart.totalAmount))),
        cart.items.every((item) => item.available) ? null : h("p", { class: "notice bad" }, text("someShort")),
        h("a", { class: "button primary", href: "#/checkout" }, text("toCheckout")),
      ),
    ),
  ];
}

function line(item, change) {
  const path = `/api/cart/items/${encodeURIComponent(item.productId)}`;
  const id = (what) => `${what}-${item.productId}`;
  const shopper = current() ? inName() : {};
  const setTo = (quantity) => {
    if (!Number.isInteger(quantity) || quantity < 1 || quantity > QUANTITY_MAX_PIECES) {
      input.value = String(item.quantity);
      return;
    }
    const what = () => call("PATCH", path, { body: { ...shopper, quantity } });
    change(controls, what, text("changedTo", { name: item.productName, quantity: count(quantity) }));
  };
  const button = (what, sign, label, onclick, more = {}) =>
    h("button", { type: "button", id: id(what), "aria-label": label, onclick, ...more }, sign);
  const input = numberField(id("quantity"), QUANTITY_MAX_PIECES, item.quantity, {
    "aria-label": text("quantityOf", { name: item.productName }),
    onchange: () => setTo(Number(input.value)),
  });
  const less = button("less", "−", text("oneLess", { name: item.productName }), () => setTo(item.quantity - 1), {
    disabled: item.quantity <= 1,
  });
  const more = button("more", "+", text("oneMore", { name: item.productName }), () => setTo(item.quantity + 1));
  const remove = () =>
    change(controls, () => call("DELETE", path, { query: shopper }), text("removed", { name: item.productName }));
  const out = button("remove", text("remove"), text("removeOf", { name: item.productName }), remove);
  const controls = [less, input, more, out];
  return h(
    "li",
    { class: "line" },
    picture(item.productId, item.productName),
    h(
      "div",
      { class: "grow" },
      h("a", { href: `#/products/${encodeURIComponent(item.productId)}` }, item.productName),
      h("p", { class: "soft" }, won(item.price)),
      item.available
        ? null
        : h(
            "p",
            { class: "notice bad" },
            text("shortNumbers", { requested: count(item.quantity), available: count(item.stock) }),
          ),
      h("div", { class: "row" }, h("div", { class: "join stepper" }, less, input, more), out),
    ),
    h("strong", { class: "price" }, won(item.subtotal)),
  );
}
