// Where an intent stands, as it happens, and what came of it.

import { h } from "../shared/dom.js";
import { count, text } from "../shared/language.js";
import { forget, intentOf, isOver, onIntent, sendAgain } from "./intents.js";
import { announce, errorText } from "./parts.js";
import { AGAIN } from "./router.js";

// A place in line changes often; more often than this nobody wants to hear of it.
const HEARD_AGAIN_MS = 20_000;

// The panel of an intent; empty while there is none. `ended(intent)` makes the elements that tell an outcome, in which
// what is said first is read out. `onChange(intent)` is called after each change.
export function panel(kind, subject, ended, onChange, signal) {
  // It is there before it says anything: what comes into it later is read out.
  const said = h("div", { class: "said", role: "status", "aria-live": "polite" });
  const place = h("div", { class: "place" });
  const more = h("div", {});
  const about = { class: "panel", tabindex: "-1", "data-intent": nameOf({ kind, subject }) };
  const element = h("div", about, said, place, more);
  let words = null;
  let heardAt = 0;

  const show = (intent) => {
    element.dataset.phase = intent.phase;
    if (isOver(intent)) {
      words = null;
      const [first, ...rest] = ended(intent);
      said.replaceChildren(first);
      place.replaceChildren();
      more.replaceChildren(...rest);
      return;
    }
    more.replaceChildren();
    const next = headline(intent);
    if (next !== words) {
      words = next;
      said.replaceChildren(h("div", { class: "notice wait" }, next));
    }
    place.replaceChildren(...details(intent));
    const now = Date.now();
    if (intent.document?.position !== undefined && now - heardAt > HEARD_AGAIN_MS) {
      heardAt = now;
      announce(positionWords(intent.document.position));
    }
  };

  onIntent((intent) => {
    if (intent === intentOf(kind, subject)) {
      show(intent);
      onChange(intent);
    }
  }, signal);
  const before = intentOf(kind, subject);
  if (before) {
    show(before);
  }
  // An outcome that was seen has been told when the shopper leaves.
  signal.addEventListener(
    "abort",
    () => {
      const last = intentOf(kind, subject);
      if (last && isOver(last) && signal.reason !== AGAIN) {
        forget(last);
      }
    },
    { once: true },
  );
  return element;
}

const nameOf = ({ kind, subject }) => `${kind} ${subject}`;

// Whether the page shows this intent.
export const isShown = (intent) =>
  [...document.querySelectorAll("[data-intent]")].some((element) => element.dataset.intent === nameOf(intent));

function headline(intent) {
  switch (intent.phase) {
    case "sending":
      return text(`sending_${intent.kind}`);
    case "retrying":
      return `${errorText(intent.error)} ${text("sendingAgain")}`;
    case "unknown":
      return text("unknownOutcome");
    default:
      if (intent.lost) {
        return text("lost");
      }
      return intent.document?.status === "QUEUED" ? text("queued") : text(`processing_${intent.kind}`);
  }
}

function details(intent) {
  const { phase, document } = intent;
  const again = (label) => h("button", { type: "button", onclick: () => sendAgain(intent) }, label);
  if (phase === "unknown") {
    return [again(text("sendSameAgain"))];
  }
  if (phase === "retrying") {
    return [again(text("sendNow"))];
  }
  if (phase !== "waiting" || !document) {
    return [];
  }
  const ticket = h("div", { class: "ticket" }, h("span", {}, text("ticket")), h("strong", {}, count(document.ticket)));
  const inLine = document.position === undefined ? null : h("p", { class: "position" }, positionWords(document.position));
  return [ticket, inLine, h("p", { class: "soft" }, text("mayReload"))].filter(Boolean);
}

const positionWords = (position) => (position === 0 ? text("nextInLine") : text("ahead", { count: count(position) }));
