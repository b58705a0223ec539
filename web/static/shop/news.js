// Outcomes that come while the shopper looks at another page.

import { byId, h } from "../shared/dom.js";
import { text } from "../shared/language.js";
import { isOver, onIntent } from "./intents.js";
import { isShown } from "./panel.js";

const PAGES = { claim: "/coupons", order: "/checkout", charge: "/balance" };

// Tells of outcomes from now on.
export function begin() {
  onIntent((intent) => {
    if (isOver(intent) && !isShown(intent)) {
      tell(intent);
    }
  }, new AbortController().signal);
}

function tell({ kind }) {
  const clear = () => byId("news").replaceChildren();
  const link = h("a", { href: `#${PAGES[kind]}`, onclick: clear }, text("newsLook"));
  const close = h("button", { type: "button", onclick: clear }, text("close"));
  byId("news").replaceChildren(
    h("div", { class: "notice wait row" }, h("span", { class: "grow" }, text(`news_${kind}`)), link, close),
  );
}
