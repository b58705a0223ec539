// What stands above every page: where one can go, who is signed in, what they have, and the language.

import { read } from "../shared/api.js";
import { byId, h } from "../shared/dom.js";
import { choose, count, language, text, won } from "../shared/language.js";
import { current, inName, signOut } from "./session.js";
import { icon } from "./svg.js";

// Addresses, the names of their texts and signs, and which pages belong to them.
const PLACES = [
  ["/", "navProducts", "products", /^\/(products\/.*)?$/],
  ["/coupons", "navCoupons", "coupons", /^\/coupons$/],
  ["/wallet", "navWallet", "wallet", /^\/wallet$/],
  ["/balance", "navBalance", "balance", /^\/balance$/],
  ["/orders", "navOrders", "orders", /^\/orders/],
  ["/cart", "navCart", "cart", /^\/(cart|checkout)$/],
];

let marked = "/";
let cartLines = 0;
let balance = null;
let asked = 0;

// Writes it anew, in the language of now.
export function show() {
  const [other, name] = language() === "ko" ? ["en", "English"] : ["ko", "한국어"];
  const switchTo = h("button", { type: "button", id: "language", lang: other, onclick: () => choose(other) }, name);
  const top = byId("top");
  const focused = top.contains(document.activeElement) ? keyOf(document.activeElement) : null;
  top.replaceChildren(
    h("a", { class: "skip", href: "#main", onclick: skip }, text("skip")),
    h(
      "div",
      { class: "bar" },
      h("a", { class: "brand", href: "#/" }, h("span", { class: "drop", "aria-hidden": "true" }), "Droplane"),
      h("div", { class: "who" }, ...who()),
      switchTo,
    ),
    h("nav", { class: "places", "aria-label": text("menu") }, h("ul", {}, PLACES.map(place))),
  );
  if (focused !== null) {
    [...top.querySelectorAll("a, button")].find((element) => keyOf(element) === focused)?.focus();
  }
  byId("foot").replaceChildren(h("p", { class: "soft" }, text("footer")));
}

// By what a link or button is known after the header was written anew.
const keyOf = (element) => element.id || element.getAttribute("href");

// Marks where the shopper is.
export function mark(path) {
  marked = path;
  show();
}

// Asks again what the shopper has.
export async function refresh() {
  asked += 1;
  const question = asked;
  if (!current()) {
    [cartLines, balance] = [0, null];
    show();
    return;
  }
  const [cart, money] = await Promise.allSettled([read("/api/cart", inName()), read("/api/users/balance", inName())]);
  // The answer of an earlier question may come later.
  if (question === asked) {
    cartLines = cart.value?.items.length ?? 0;
    balance = money.value?.balance ?? null;
    show();
  }
}

// How a shopper is called: the demo's shoppers have names.
export function nameOf(userId) {
  const number = /^user(\d+)$/.exec(userId)?.[1];
  return number ? text("demoUser", { number }) : userId;
}

function who() {
  const shopper = current();
  if (!shopper) {
    return [h("a", { class: "button", href: "#/sign-in" }, text("signIn"))];
  }
  const money =
    balance === null
      ? null
      : h("a", { class: "money", href: "#/balance" }, h("span", { class: "heard" }, text("navBalance")), ` ${won(balance)}`);
  return [
    h("span", { class: "name" }, h("span", { class: "heard" }, text("signedInAs")), ` ${nameOf(shopper.userId)}`),
    money,
    h("button", { type: "button", id: "sign-out", onclick: signOut }, text("signOut")),
  ];
}

function place([path, name, sign, pages]) {
  const here = pages.test(marked);
  const number =
    sign === "cart" && cartLines > 0
      ? h("span", { class: "count" }, h("span", { class: "heard" }, text("cartHas")), count(cartLines))
      : null;
  return h(
    "li",
    {},
    h("a", { href: `#${path}`, "aria-current": here ? "page" : null }, icon(sign), h("span", {}, text(name)), number),
  );
}

function skip(event) {
  event.preventDefault();
  byId("main").focus();
}
