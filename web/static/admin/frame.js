// The frame around the views: which one is shown, refreshing it, doing what its buttons say.

import { Refused, Unreachable, call } from "/web/shared/api.js";
import { h } from "/web/shared/dom.js";
import { addTexts, text, time } from "/web/shared/language.js";
import { failureText } from "./dialog.js";
import { patch } from "./patch.js";
import { whyLocked } from "./sign_in.js";
import "./words.js";
import { audit } from "./view_audit.js";
import { auditLog } from "./view_audit_log.js";
import { charges } from "./view_charges.js";
import { coupons } from "./view_coupons.js";
import { desk } from "./view_desk.js";
import { lanes } from "./view_lanes.js";
import { products } from "./view_products.js";
import { requests } from "./view_requests.js";
import { users } from "./view_users.js";

addTexts({
  views: ["화면", "Views"],
  refresh: ["새로 고침", "Refresh"],
  as_of: ["{at} 기준", "As of {at}"],
  unreachable: ["서버에 연결할 수 없습니다.", "The server cannot be reached."],
  shown_is_old: ["화면은 {at}의 상태입니다.", "What is shown is of {at}."],
  nothing_shown: ["아직 불러온 내용이 없습니다.", "Nothing has been loaded yet."],
});

const MAKERS = { lanes, desk, charges, products, coupons, users, requests, audit, log: auditLog };
const FIRST = "lanes";

// A slow server is given a rest of this many times as long as its answer took.
const REST_FACTOR = 2;

// What went well is said for so long; what did not, until something else is said.
const GOOD_NEWS_MS = 8_000;

// Opens the views in `main`. `lock` is called with the reason when the token is not accepted.
export function openDesk(main, lock) {
  const closed = new AbortController();
  const nav = h("nav", {});
  const body = h("div", { class: "body" });
  const said = h("p", { class: "notice said", role: "status" });
  main.append(nav, body, said);
  const views = {};
  let current = null;

  function make(name) {
    const section = h("section", { "aria-labelledby": `heading-${name}` });
    const view = { name, section, loadedAt: null, trouble: null, wake: () => {}, ...MAKERS[name](appFor(name)) };
    section.addEventListener("click", (event) => press(view, event.target.closest("button[data-act]")));
    section.addEventListener("submit", (event) => {
      event.preventDefault();
      run(view, event.target.dataset.act, event.target);
    });
    body.append(section);
    views[name] = view;
    return view;
  }

  // What a view may use.
  const appFor = (name) => ({
    read: async (path, query, signal, withinMs) => (await send("GET", path, { query, signal, withinMs })).body,
    send: async (method, path, content) => (await send(method, path, { body: content })).body,
    say,
    draw: () => draw(views[name]),
    refresh: () => views[name].wake(),
    // Shows what happened to a request or shopper.
    look: (of) => {
      show("requests");
      views.requests.acts.find(of);
      views.requests.wake();
    },
    closed: closed.signal,
  });

  async function send(method, path, options) {
    try {
      return await call(method, path, options);
    } catch (error) {
      if (error instanceof Refused && [401, 403].includes(error.status) && !closed.signal.aborted) {
        lock(whyLocked(error));
      }
      throw error;
    }
  }

  let hush;
  function say(look, words) {
    clearTimeout(hush);
    said.className = `notice said ${look}`;
    said.textContent = words;
    if (look === "good") {
      hush = setTimeout(() => say("", ""), GOOD_NEWS_MS);
    }
  }

  function press(view, pressed) {
    if (pressed) {
      run(view, pressed.dataset.act, pressed.dataset.of);
    }
  }

  // Does what a button or form says, and looks again.
  async function run(view, act, of) {
    const doing = { refresh: () => {}, look: (id) => appFor(view.name).look(id), ...view.acts }[act];
    try {
      await doing(of);
    } catch (error) {
      if (!closed.signal.aborted) {
        say("bad", failureText(error));
      }
    }
    if (!closed.signal.aborted) {
      draw(view);
      view.wake();
    }
  }

  // Looks again and again, for as long as the view is shown and somebody sees it.
  async function keepLooking(view, signal) {
    if (view.load === undefined) {
      return;
    }
    let isAskedAgain = false;
    let wakeUp = () => {};
    view.wake = () => { isAskedAgain = true; wakeUp(); };
    while (!signal.aborted) {
      isAskedAgain = false;
      const began = performance.now();
      if (!document.hidden) {
        await loadOnce(view, signal);
      }
      if (!isAskedAgain && !signal.aborted) {
        const rest = Math.max(view.everyMs ?? 0, REST_FACTOR * (performance.now() - began));
        await new Promise((resolve) => {
          const timer = view.everyMs === undefined ? undefined : setTimeout(resolve, rest);
          wakeUp = () => { clearTimeout(timer); resolve(); };
          signal.addEventListener("abort", wakeUp, { once: true });
        });
      }
    }
  }

  async function loadOnce(view, signal) {
    try {
      await view.load(signal);
      view.trouble = null;
      view.loadedAt = new Date().toISOString();
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      view.trouble = error;
    }
    if (!signal.aborted) {
      draw(view);
    }
  }

  function troubleText({ trouble, loadedAt }) {
    const what = trouble instanceof Unreachable ? text("unreachable") : failureText(trouble);
    return `${what} ${loadedAt === null ? text("nothing_shown") : text("shown_is_old", { at: time(loadedAt) })}`;
  }

  function draw(view) {
    const active = document.activeElement;
    const wasInside = view.section.contains(active);
    patch(view.section,
      h("div", { class: "row head", "data-key": "head" },
        h("h1", { id: `heading-${view.name}`, tabindex: -1 }, text(`view_${view.name}`)),
        h("span", { class: "soft" }, view.loadedAt !== null && text("as_of", { at: time(view.loadedAt) })),
        view.load !== undefined && h("button", { type: "button", class: "small", "data-act": "refresh" }, text("refresh"))),
      h("p", { class: "notice bad", role: "status", "data-key": "trouble" }, view.trouble !== null && troubleText(view)),
      view.render());
    // What had the focus is gone: the reader goes on at the top of the view and not of the page.
    if (wasInside && !active.isConnected && document.activeElement === document.body) {
      view.section.querySelector("h1").focus();
    }
  }

  function drawNav() {
    nav.setAttribute("aria-label", text("views"));
    patch(nav, Object.keys(MAKERS).map((name) =>
      h("a", { href: `#${name}`, "aria-current": name === current?.name ? "page" : null }, text(`view_${name}`))));
    document.title = `${text(`view_${current.name}`)} – Droplane`;
  }

  let shown = null;
  function show(name) {
    const next = views[name] ?? make(name);
    if (next === current) {
      return;
    }
    shown?.abort();
    shown = new AbortController();
    const isFirst = current === null;
    current = next;
    Object.values(views).forEach((view) => { view.section.hidden = view !== current; });
    say("", "");
    drawNav();
    draw(current);
    if (isFirst) {
      history.replaceState(null, "", `#${name}`);
    } else if (location.hash !== `#${name}`) {
      history.pushState(null, "", `#${name}`);
    }
    keepLooking(current, shown.signal);
  }

  const named = () => {
    const name = location.hash.slice(1);
    return Object.hasOwn(MAKERS, name) ? name : FIRST;
  };
  const go = () => {
    show(named());
    current.section.querySelector("h1").focus();
  };
  window.addEventListener("popstate", go, { signal: closed.signal });
  document.addEventListener("visibilitychange", () => current.wake(), { signal: closed.signal });
  nav.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      show(link.hash.slice(1));
      current.section.querySelector("h1").focus();
      scrollTo(0, 0);
    }
  });

  return {
    draw() {
      if (current === null) {
        show(named());
      }
      say("", "");
      drawNav();
      Object.values(views).forEach(draw);
    },
    close() {
      clearTimeout(hush);
      closed.abort();
      shown?.abort();
      main.replaceChildren();
    },
  };
}
