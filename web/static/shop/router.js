// Shows the page that the address names, behind the `#`, so that the server has one page for all of them.

import { Refused, Unreachable } from "../shared/api.js";
import { h } from "../shared/dom.js";
import { text } from "../shared/language.js";
import { announce, failure, loading } from "./parts.js";
import { current, renew } from "./session.js";

const NAME = "Droplane";

// Why a page ends that is shown again at once.
export const AGAIN = new DOMException("the page is shown again", "AbortError");

let pages = [];
let main;
let shown = () => {};
let ends = new AbortController();

// Begins to show pages: [pattern, page] each, where a pattern is like "/products/:id", and a page has a `title`, perhaps
// `needsShopper`, and `show(view)`, which fills `view.body`. `onShown(path)` is called with each page.
export function start(element, all, onShown) {
  [main, pages, shown] = [element, all, onShown];
  addEventListener("hashchange", () => {
    if (location.hash === "" || location.hash.startsWith("#/")) {
      show({ isNew: true });
    }
  });
  show();
}

// Shows the page again, as when the language has changed.
export const showAgain = () => show({ why: AGAIN });

// Goes to another page.
export function go(path) {
  if (location.hash === `#${path}`) {
    show({ isNew: true });
  } else {
    location.hash = path;
  }
}

// Where to sign in and come back to this page.
export const signInAddress = () => `/sign-in?back=${encodeURIComponent(location.hash.slice(1) || "/")}`;

function find(path) {
  for (const [pattern, page] of pages) {
    const form = new RegExp(`^${pattern.replace(/:(\w+)/g, "(?<$1>[^/]+)")}$`);
    const match = form.exec(path);
    if (match) {
      const named = Object.entries(match.groups ?? {}).map(([name, value]) => [name, decoded(value)]);
      return [page, Object.fromEntries(named)];
    }
  }
  return [null, {}];
}

// An address that somebody mistyped names nothing, and is no reason to stop.
function decoded(value) {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

async function show({ isNew = false, why } = {}) {
  ends.abort(why);
  ends = new AbortController();
  const { signal } = ends;
  const [path, search] = (location.hash.slice(1) || "/").split("?");
  const [page, params] = find(path);
  if (page?.needsShopper && !current()) {
    location.replace(`#${signInAddress()}`);
    return;
  }
  shown(path);
  const heading = h("h1", { tabindex: "-1" });
  const body = h("div", { class: "page" }, loading());
  const setTitle = (words) => {
    heading.textContent = words;
    document.title = `${words} · ${NAME}`;
  };
  const rename = (words) => {
    setTitle(words);
    if (isNew) {
      announce(words);
    }
  };
  setTitle(text(page?.title ?? "pageUnknown"));
  main.replaceChildren(heading, body);
  main.setAttribute("aria-busy", "true");
  if (isNew) {
    window.scrollTo(0, 0);
    heading.focus({ preventScroll: true });
  }
  try {
    if (!page) {
      body.replaceChildren(h("p", {}, text("unknownPage")), h("a", { class: "button", href: "#/" }, text("toProducts")));
    } else {
      await page.show({ body, params, query: new URLSearchParams(search), signal, setTitle: rename });
    }
  } catch (error) {
    if (!signal.aborted) {
      await fail(error, body, signal);
    }
  } finally {
    if (!signal.aborted) {
      main.removeAttribute("aria-busy");
    }
  }
}

async function fail(error, body, signal) {
  if (error instanceof Refused && error.status === 401 && (await isRenewed())) {
    // Not at once and for ever, if new tokens are refused, too.
    setTimeout(() => signal.aborted || showAgain(), 1_000);
    return;
  }
  if (!signal.aborted) {
    body.replaceChildren(failure(error, () => show({ isNew: true })));
  }
  if (!(error instanceof Refused || error instanceof Unreachable)) {
    throw error;
  }
}

async function isRenewed() {
  try {
    return await renew();
  } catch {
    return false;
  }
}
