// What several pages show.

import { Refused, Unreachable } from "../shared/api.js";
import { h } from "../shared/dom.js";
import { count, hasText, text, time, won } from "../shared/language.js";

// Pieces of a product on one line of a cart or an order.
export const QUANTITY_MAX_PIECES = 100_000;

// From this stock down a product is said to be nearly gone.
const NEARLY_GONE_PIECES = 5;

// Says something to who does not see the page change.
export function announce(words) {
  const heard = document.getElementById("heard");
  // The same words again are a change only if they were gone.
  heard.textContent = "";
  setTimeout(() => {
    heard.textContent = words;
  }, 50);
}

// What a shopper is told of a problem, in the language of now.
export function problemText({ code, reason, message }) {
  // A reason says more than its code.
  const key = [`error${code}_${reason}`, `error${code}`].find(hasText);
  return key ? text(key) : (message ?? text("errorX003"));
}

// What a shopper is told when a call failed.
export function errorText(error) {
  if (error instanceof Refused) {
    return problemText(error.problem);
  }
  return text(error instanceof Unreachable ? "unreachable" : "errorX003");
}

// The same as a notice.
export const failed = (error) => notice("bad", errorText(error), ...fieldTexts(error.problem));

// What is wrong with each member, where the server names them.
const fieldTexts = (problem) =>
  (problem?.errors ?? []).map(({ field, message }) => h("div", { class: "hint", lang: "en" }, `${field}: ${message}`));

// A box in the colours of "good", "bad" or "wait".
export const notice = (kind, ...children) => h("div", { class: `notice ${kind}` }, ...children);

// In place of something that could not be loaded.
export const failure = (error, retry) =>
  h("div", { class: "failure" }, failed(error), h("button", { type: "button", onclick: retry }, text("retry")));

// In place of something that is still loading.
export const loading = () => h("p", { class: "loading soft" }, text("loading"));

// Where there is nothing to be shown, and where to go instead.
export const empty = (words, href, label) =>
  h("div", { class: "empty" }, h("p", {}, words), href && h("a", { class: "button", href }, label));

// How many pieces there are, in words.
export function stockWords(stock) {
  if (stock === 0) {
    return text("soldOut");
  }
  return text(stock <= NEARLY_GONE_PIECES ? "nearlyGone" : "inStock", { stock: count(stock) });
}

// The class of what tells of it.
export const stockKind = (stock) => (stock === 0 ? "gone" : stock <= NEARLY_GONE_PIECES ? "few" : "plenty");

// The words as a badge.
export const stockBadge = (stock) => h("span", { class: `badge ${stockKind(stock)}` }, stockWords(stock));

// Pairs of a name and a value.
export const facts = (...pairs) =>
  h(
    "dl",
    { class: "facts" },
    pairs.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );

// What a coupon takes off, in words.
export function discountWords({ discountType, discountValue, maxDiscountAmount }) {
  if (discountType === "FIXED") {
    return text("discountFixed", { amount: won(discountValue) });
  }
  const cap = maxDiscountAmount === null ? "" : ` ${text("discountCap", { amount: won(maxDiscountAmount) })}`;
  return text("discountPercent", { percent: discountValue }) + cap;
}

// From which total on a coupon can be used; nothing where there is no such bound.
export const minOrderWords = ({ minOrderAmount }) =>
  minOrderAmount > 0 ? text("minOrder", { amount: won(minOrderAmount) }) : null;

// Until when, in words.
export const untilWords = (iso) => (iso ? text("until", { time: time(iso) }) : text("forEver"));

// A field for a whole number from 1 on.
export const numberField = (id, most, value, more = {}) =>
  h("input", {
    id,
    type: "number",
    inputmode: "numeric",
    min: "1",
    max: String(most),
    step: "1",
    value: String(value),
    required: true,
    ...more,
  });

// A list that is loaded page by page. `read(cursor)` returns { rows, nextCursor }, `row` makes an element of each. Returns the
// element and how many rows there are.
export async function paged(list, read, row) {
  const foot = h("div", { class: "more" });
  const add = async (cursor) => {
    const { rows, nextCursor } = await read(cursor);
    const made = rows.map(row);
    list.append(...made);
    foot.replaceChildren(...(nextCursor ? [moreButton(nextCursor)] : []));
    return made;
  };
  const moreButton = (cursor) => {
    const button = h("button", { type: "button", onclick: () => more(cursor, button) }, text("more"));
    return button;
  };
  const more = async (cursor, button) => {
    button.disabled = true;
    try {
      const made = await add(cursor);
      // A keyboard goes on where the list goes on.
      made[0]?.querySelector("a, button")?.focus();
    } catch (error) {
      foot.replaceChildren(failure(error, () => more(cursor, button)));
    }
  };
  const first = await add(null);
  return { element: h("div", {}, list, foot), rows: first.length };
}

// Does `what` now and then every `ms` while somebody looks at the page, until `signal`. That it fails is no reason to stop.
export function whileVisible(what, ms, signal) {
  let timer;
  const go = async () => {
    clearTimeout(timer);
    if (document.hidden || signal.aborted) {
      return;
    }
    try {
      await what();
    } catch {
      // Next time it may work, and until then the page says what it knows.
    }
    clearTimeout(timer);
    timer = signal.aborted ? undefined : setTimeout(go, ms);
  };
  document.addEventListener("visibilitychange", go, { signal });
  timer = setTimeout(go, ms);
}

// Takes a button out of use, or gives it back. A button that cannot be used loses the focus, and gets it back then.
export function disable(button, isDisabled) {
  if (isDisabled && document.activeElement === button) {
    button.dataset.focused = "";
  }
  button.disabled = isDisabled;
  if (!isDisabled && "focused" in button.dataset) {
    delete button.dataset.focused;
    if (document.activeElement === document.body) {
      button.focus();
    }
  }
}

// Does `what` when a button is used, and not again before it is done.
export async function once(button, what) {
  if (button.disabled) {
    return;
  }
  disable(button, true);
  try {
    await what();
  } finally {
    disable(button, false);
  }
}
