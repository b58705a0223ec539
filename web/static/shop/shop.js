// Starts the storefront.

import { byId, h } from "../shared/dom.js";
import { onChange } from "../shared/language.js";
import * as balance from "./balance.js";
import * as cart from "./cart.js";
import * as checkout from "./checkout.js";
import * as coupons from "./coupons.js";
import * as header from "./header.js";
import { onIntent, resume } from "./intents.js";
import * as news from "./news.js";
import * as order from "./order.js";
import * as orders from "./orders.js";
import { failure } from "./parts.js";
import * as product from "./product.js";
import * as products from "./products.js";
import { showAgain, start } from "./router.js";
import { leaveOut } from "./second-click.js";
import { loadSettings, onSession } from "./session.js";
import * as signIn from "./sign-in.js";
import "./texts.js";
import "./texts-of-errors.js";
import * as wallet from "./wallet.js";

const PAGES = [
  ["/", products],
  ["/products/:id", product],
  ["/cart", cart],
  ["/checkout", checkout],
  ["/coupons", coupons],
  ["/wallet", wallet],
  ["/balance", balance],
  ["/orders", orders],
  ["/orders/:id", order],
  ["/sign-in", signIn],
];

async function open() {
  const main = byId("main");
  try {
    await loadSettings();
  } catch (error) {
    main.replaceChildren(h("h1", {}, "Droplane"), failure(error, open));
    return;
  }
  // What was done has changed the cart, the balance or both.
  onIntent((intent) => intent.phase === "succeeded" && header.refresh(), new AbortController().signal);
  news.begin();
  resume();
  header.refresh();
  start(main, PAGES, header.mark);
  onSession(() => {
    header.refresh();
    showAgain();
  });
  onChange(() => {
    header.show();
    showAgain();
  });
}

leaveOut();
header.show();
open();
