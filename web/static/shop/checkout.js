// From the cart to an order: is there enough, what does a coupon take off, what does it come to, and then once.

import { Refused, call, read } from "../shared/api.js";
import { byId, h } from "../shared/dom.js";
import { count, text, won } from "../shared/language.js";
import { intentOf, isOver, mean } from "./intents.js";
import { panel } from "./panel.js";
import { discountWords, empty, errorText, facts, failure, loading, notice, once, problemText } from "./parts.js";
import { go } from "./router.js";
import { inName } from "./session.js";
import { shortages } from "./shortage.js";

export const title = "pageCheckout";
export const needsShopper = true;

// An order has at most so many lines.
const LINES_MAX = 50;
const COUPONS_MAX = 100;

const KIND = "order";

// The coupon that was chosen, so that it stays chosen when the prices have changed.
let chosenCoupon = "";

export async function show({ body, signal }) {
  const form = h("div", {}, loading());
  // What is there stays there until there is something new, so that nothing moves under the pointer.
  const load = async () => {
    form.setAttribute("aria-busy", "true");
    try {
      form.replaceChildren(...(await basket(signal, load, pay)));
    } catch (error) {
      if (!signal.aborted) {
        form.replaceChildren(failure(error, load));
      }
    }
    form.removeAttribute("aria-busy");
  };
  const pay = (...meant) => {
    mean(KIND, "", "/api/orders", ...meant);
    box.focus();
  };
  const onChange = (intent) => {
    byId("basket")?.setAttribute("disabled", "");
    if (intent.phase === "succeeded") {
      chosenCoupon = "";
      form.replaceChildren();
    } else if (intent.phase === "refused") {
      afterRefusal(intent.problem, form, load);
    }
  };
  const box = panel(KIND, "", outcome, onChange, signal);
  body.replaceChildren(form, box);
  const before = intentOf(KIND);
  if (!before) {
    await load();
  } else if (isOver(before)) {
    onChange(before);
  } else {
    form.replaceChildren(summary(before.shown));
  }
}

function afterRefusal(problem, form, load) {
  if (problem.code === "P002") {
    form.replaceChildren();
    return;
  }
  if (["C002", "C003", "C005"].includes(problem.code)) {
    chosenCoupon = "";
  }
  load();
}

const toCartOrAgain = () =>
  h(
    "div",
    { class: "row" },
    h("a", { class: "button primary", href: "#/cart" }, text("changeCart")),
    h("button", { type: "button", onclick: () => go("/checkout") }, text("checkAgain")),
  );

// What the cart holds, or why it cannot be ordered.
async function basket(signal, load, pay) {
  const cart = await read("/api/cart", inName(), signal);
  if (cart.items.length === 0) {
    return [empty(text("emptyCart"), "#/", text("toProducts"))];
  }
  const items = cart.items.slice(0, LINES_MAX);
  const left =
    cart.items.length > items.length ? h("p", { class: "notice wait" }, text("onlySoMany", { lines: LINES_MAX })) : null;
  const stocks = await Promise.all(
    items.map((item) => read(`/api/products/${encodeURIComponent(item.productId)}/stock`, {}, signal)),
  );
  const short = items.flatMap((item, at) =>
    item.quantity > stocks[at].stock
      ? [
          {
            productId: item.productId,
            productName: item.productName,
            requestedQuantity: item.quantity,
            availableStock: stocks[at].stock,
          },
        ]
      : [],
  );
  if (short.length > 0) {
    return [h("div", { role: "alert" }, notice("bad", text("errorP002"))), shortages(short), toCartOrAgain()];
  }
  const [wallet, money] = await Promise.all([
    read("/api/users/coupons", { ...inName(), status: "available", limit: COUPONS_MAX }, signal),
    read("/api/users/balance", inName(), signal),
  ]);
  return [left, orderForm(items, wallet.coupons, money.balance, pay)].filter(Boolean);
}

function orderForm(items, coupons, balance, pay) {
  const totalAmount = items.reduce((sum, item) => sum + item.subtotal, 0);
  let sums = { totalAmount, discountAmount: 0, finalAmount: totalAmount };
  const amounts = h("div", { role: "status", "aria-live": "polite" });
  const said = h("div", { role: "status", "aria-live": "polite" });
  const button = h("button", { type: "submit", class: "primary large" });
  const showSums = () => {
    amounts.replaceChildren(sumsOf(sums), balanceWords(balance, sums.finalAmount));
    button.replaceChildren(text("pay", { amount: won(sums.finalAmount) }));
  };
  const select = h(
    "select",
    { id: "coupon" },
    h("option", { value: "" }, text(coupons.length > 0 ? "noCoupon" : "noCouponHeld")),
    coupons.map((coupon) => h("option", { value: coupon.couponId }, `${coupon.name} – ${discountWords(coupon)}`)),
  );
  const preview = async () => {
    said.replaceChildren();
    sums = { totalAmount, discountAmount: 0, finalAmount: totalAmount };
    if (select.value) {
      try {
        const { body } = await call("POST", "/api/coupons/validate", {
          body: { ...inName(), couponId: select.value, orderAmount: totalAmount },
        });
        sums = { totalAmount, discountAmount: body.discountAmount, finalAmount: body.finalAmount };
      } catch (error) {
        said.replaceChildren(notice("bad", error instanceof Refused ? refusalText(error.problem) : errorText(error)));
        select.value = "";
      }
    }
    chosenCoupon = select.value;
    showSums();
  };
  // What the button says is what is paid, so it rests while that is being found out.
  select.addEventListener("change", () => {
    select.disabled = true;
    once(button, preview).finally(() => {
      select.disabled = false;
      select.focus();
    });
  });
  const onsubmit = (event) => {
    event.preventDefault();
    if (button.disabled) {
      return;
    }
    const ordered = items.map(({ productId, quantity }) => ({ productId, quantity }));
    const coupon = select.value ? { couponId: select.value } : {};
    const shown = { items: items.map(({ productName, quantity, subtotal }) => ({ productName, quantity, subtotal })), sums };
    pay({ ...inName(), items: ordered, ...coupon, finalAmount: sums.finalAmount }, shown);
  };
  showSums();
  if (coupons.some((coupon) => coupon.couponId === chosenCoupon)) {
    select.value = chosenCoupon;
    once(button, preview);
  }
  return h(
    "form",
    { onsubmit },
    h(
      "fieldset",
      { id: "basket", class: "plain" },
      h("legend", { class: "heard" }, text("pageCheckout")),
      h(
        "div",
        { class: "two" },
        linesOf(items),
        h(
          "div",
          { class: "card" },
          h("div", { class: "field" }, h("label", { for: "coupon" }, text("couponLabel")), select, said),
          amounts,
          button,
        ),
      ),
    ),
  );
}

const linesOf = (items) =>
  h(
    "ul",
    { class: "plain lines" },
    items.map(({ productName, quantity, subtotal }) =>
      h(
        "li",
        { class: "line" },
        h(
          "span",
          { class: "grow" },
          productName,
          " ",
          h("span", { class: "soft" }, text("pieces", { quantity: count(quantity) })),
        ),
        h("strong", {}, won(subtotal)),
      ),
    ),
  );

const sumsOf = ({ totalAmount, discountAmount, finalAmount }) =>
  facts(
    [text("totalAmount"), won(totalAmount)],
    [text("discountAmount"), won(0 - discountAmount)],
    [text("finalAmount"), h("strong", { class: "price large" }, won(finalAmount))],
  );

function balanceWords(balance, finalAmount) {
  const missing = finalAmount - balance;
  const hint = missing > 0 ? [" ", h("a", { href: chargeAddress(missing) }, text("missing", { amount: won(missing) }))] : [];
  return h("p", {}, text("balanceNow", { amount: won(balance) }), ...hint);
}

const chargeAddress = (amount) => `#/balance?amount=${amount}&back=${encodeURIComponent("/checkout")}`;

// What was sent, while it is on its way.
const summary = ({ items, sums }) => h("div", { class: "two" }, linesOf(items), h("div", { class: "card" }, sumsOf(sums)));

const refusalText = (problem) => (problem.code === "C005" ? text(`reason${problem.reason}`) : problemText(problem));

function outcome({ phase, result, problem }) {
  if (phase === "succeeded") {
    return [
      notice(
        "good",
        h("strong", {}, text("ordered")),
        facts(
          [text("orderNumber"), result.orderId],
          [text("finalAmount"), won(result.finalAmount)],
          [text("remainingBalance"), won(result.remainingBalance)],
        ),
      ),
      h(
        "div",
        { class: "row" },
        h("a", { class: "button primary", href: `#/orders/${result.orderId}` }, text("toOrder")),
        h("a", { class: "button", href: "#/" }, text("shopOn")),
      ),
    ];
  }
  switch (problem.code) {
    case "P002":
      return [notice("bad", text("errorP002")), shortages(problem.insufficientItems), toCartOrAgain()];
    case "PAY001":
      return [
        notice(
          "bad",
          h("strong", {}, text("errorPAY001")),
          facts(
            [text("requiredAmount"), won(problem.requiredAmount)],
            [text("currentBalance"), won(problem.currentBalance)],
            [text("shortfall"), won(problem.shortfall)],
          ),
        ),
        h("a", { class: "button primary", href: chargeAddress(problem.shortfall) }, text("chargeBalance")),
      ];
    case "O002":
      return [
        notice(
          "bad",
          h("strong", {}, text("errorO002")),
          facts([text("oldAmount"), won(problem.actualAmount)], [text("newAmount"), won(problem.expectedAmount)]),
        ),
      ];
    default:
      return [notice("bad", refusalText(problem))];
  }
}
