// One product, with its stock as it is now, and the way into the cart.

import { Refused, Unreachable, call, read } from "../shared/api.js";
import { h } from "../shared/dom.js";
import { text, won } from "../shared/language.js";
import { refresh } from "./header.js";
import { QUANTITY_MAX_PIECES, announce, failed, notice, numberField, once, stockKind, stockWords, whileVisible } from "./parts.js";
import { go, signInAddress } from "./router.js";
import { current, inName } from "./session.js";
import { restockForm, shortages } from "./shortage.js";
import { picture } from "./svg.js";

export const title = "pageProduct";

const STOCK_AGAIN_MS = 3_000;

export async function show({ body, params, signal, setTitle }) {
  const path = `/api/products/${encodeURIComponent(params.id)}`;
  const product = await read(path, {}, signal);
  setTitle(product.name);
  const stock = h("p", { class: "stock" });
  const restock = h("div", {});
  let known = null;
  const showStock = (pieces) => {
    if (pieces === known) {
      return;
    }
    if (known !== null && (pieces === 0 || known === 0)) {
      announce(stockWords(pieces));
    }
    if (pieces === 0 && known !== 0) {
      restock.replaceChildren(h("h2", {}, text("askForMail")), restockForm(product.productId));
    } else if (pieces > 0) {
      restock.replaceChildren();
    }
    known = pieces;
    stock.className = `stock ${stockKind(pieces)}`;
    stock.replaceChildren(h("span", { class: "live", "aria-hidden": "true" }), stockWords(pieces));
  };
  const askStock = async () => {
    const { stock: pieces } = await read(`${path}/stock`, {}, signal);
    showStock(pieces);
    return pieces;
  };
  showStock(product.stock);
  body.replaceChildren(
    h(
      "div",
      { class: "detail" },
      picture(product.productId, product.name),
      h(
        "div",
        {},
        h("p", { class: "price large" }, won(product.price)),
        stock,
        product.description ? h("p", { class: "description" }, product.description) : null,
        cartForm(product, askStock),
        restock,
      ),
    ),
  );
  whileVisible(askStock, STOCK_AGAIN_MS, signal);
}

function cartForm(product, askStock) {
  const input = numberField("quantity", QUANTITY_MAX_PIECES, 1);
  const button = h("button", { type: "submit", class: "primary" }, text("putIntoCart"));
  const said = h("div", { role: "status", "aria-live": "polite" });
  // Forms of its own, which stand neither in this one nor in what is read out.
  const more = h("div", {});
  const short = (items) => {
    said.replaceChildren(notice("bad", text("errorP002")));
    more.replaceChildren(shortages(items));
  };
  const put = async () => {
    said.replaceChildren();
    more.replaceChildren();
    const quantity = Number(input.value);
    try {
      const pieces = await askStock();
      if (quantity > pieces) {
        short([{ productId: product.productId, productName: product.name, requestedQuantity: quantity, availableStock: pieces }]);
        return;
      }
      await call("POST", "/api/cart/items", { body: { ...inName(), productId: product.productId, quantity } });
      said.replaceChildren(notice("good", text("putInto"), " ", h("a", { href: "#/cart" }, text("toCart"))));
      refresh();
    } catch (error) {
      if (error instanceof Refused && error.problem.code === "P002") {
        short(error.problem.insufficientItems);
      } else if (error instanceof Unreachable) {
        // It may be in by now, and putting it in again would double it.
        said.replaceChildren(notice("bad", text("unreachable"), " ", h("a", { href: "#/cart" }, text("lookIntoCart"))));
      } else {
        said.replaceChildren(failed(error));
      }
    }
  };
  const onsubmit = (event) => {
    event.preventDefault();
    if (current()) {
      once(button, put);
    } else {
      go(signInAddress());
    }
  };
  const form = h(
    "form",
    { class: "into-cart", onsubmit },
    h("label", { for: "quantity" }, text("quantity")),
    h("div", { class: "join" }, input, button),
    said,
  );
  return h("div", {}, form, more);
}
