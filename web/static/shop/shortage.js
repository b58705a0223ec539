// Short stock, product by product, and the wish to hear when there is more.

import { Refused, call } from "../shared/api.js";
import { h } from "../shared/dom.js";
import { count, text } from "../shared/language.js";
import { failed, notice, once } from "./parts.js";
import { signInAddress } from "./router.js";
import { current, inName } from "./session.js";

let forms = 0;

// Each short product with what was asked for, what there is, and a form to be told of more.
export const shortages = (items) =>
  h(
    "ul",
    { class: "plain" },
    items.map((item) => h("li", { class: "short" }, ...shortage(item), restockForm(item.productId))),
  );

function shortage({ productName, requestedQuantity, availableStock }) {
  const numbers = { requested: count(requestedQuantity), available: count(availableStock) };
  return [h("strong", {}, text("shortOf", { name: productName })), h("p", {}, text("shortNumbers", numbers))];
}

// Asks for a mail address, and registers it.
export function restockForm(productId) {
  forms += 1;
  const id = `mail${forms}`;
  if (!current()) {
    return h(
      "p",
      {},
      h("a", { class: "button", href: `#${signInAddress()}` }, text("signInForMail")),
    );
  }
  const input = h("input", {
    id,
    type: "email",
    required: true,
    maxlength: "254",
    autocomplete: "email",
    placeholder: "name@example.com",
  });
  const button = h("button", { type: "submit" }, text("askForMail"));
  const said = h("div", { role: "status", "aria-live": "polite" });
  const register = async () => {
    said.replaceChildren();
    try {
      await call("POST", `/api/products/${encodeURIComponent(productId)}/restock-notification`, {
        body: { ...inName(), email: input.value.trim() },
      });
      said.replaceChildren(notice("good", text("mailPromised")));
    } catch (error) {
      const isAddress = error instanceof Refused && error.problem.code === "V001";
      said.replaceChildren(isAddress ? notice("bad", text("badMail")) : failed(error));
    }
  };
  const onsubmit = (event) => {
    event.preventDefault();
    once(button, register);
  };
  return h(
    "form",
    { class: "restock", onsubmit },
    h("label", { for: id }, text("mailLabel")),
    h("div", { class: "join" }, input, button),
    said,
  );
}
