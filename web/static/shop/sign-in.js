// Who is shopping: one of the demo's shoppers, anybody else by id, or whoever a token names.

import { Refused } from "../shared/api.js";
import { h } from "../shared/dom.js";
import { text } from "../shared/language.js";
import { nameOf } from "./header.js";
import { errorText, notice, once } from "./parts.js";
import { go } from "./router.js";
import { current, isDemo, signInAs, signInWith } from "./session.js";

export const title = "pageSignIn";

const DEMO_SHOPPERS = ["user1", "user2", "user3", "user4"];

const ID_FORM = "[A-Za-z0-9][A-Za-z0-9_.\\-]{0,63}";

export async function show({ body, query }) {
  const back = query.get("back") ?? "";
  const said = h("div", { role: "status", "aria-live": "polite" });
  const enter = (button, signIn) =>
    once(button, async () => {
      said.replaceChildren();
      try {
        await signIn();
        go(back.startsWith("/") ? back : "/");
      } catch (error) {
        const isRefused = error instanceof Refused && error.status === 401;
        said.replaceChildren(notice("bad", isRefused ? text("badToken") : errorText(error)));
      }
    });
  const signedIn = current() ? h("p", {}, text("signedInAs"), " ", h("strong", {}, nameOf(current().userId))) : null;
  body.classList.add("narrow");
  body.replaceChildren(...[signedIn, said, ...(isDemo() ? demo(enter) : withToken(enter))].filter(Boolean));
}

function demo(enter) {
  const shoppers = DEMO_SHOPPERS.map((userId) => {
    const button = h(
      "button",
      { type: "button", class: "shopper", onclick: () => enter(button, () => signInAs(userId)) },
      h("strong", {}, nameOf(userId)),
      h("span", { class: "soft" }, userId),
    );
    return h("li", {}, button);
  });
  const input = h("input", {
    id: "user",
    required: true,
    pattern: ID_FORM,
    autocomplete: "username",
    autocapitalize: "none",
    spellcheck: "false",
  });
  const button = h("button", { type: "submit" }, text("signIn"));
  const onsubmit = (event) => {
    event.preventDefault();
    enter(button, () => signInAs(input.value.trim()));
  };
  return [
    h("p", {}, text("aboutDemo")),
    h("ul", { class: "plain shoppers" }, shoppers),
    h(
      "form",
      { class: "card", onsubmit },
      h("label", { for: "user" }, text("idLabel")),
      h("div", { class: "join" }, input, button),
      h("p", { class: "hint" }, text("idHint")),
    ),
  ];
}

function withToken(enter) {
  const input = h("textarea", { id: "token", required: true, rows: "4", autocomplete: "off", spellcheck: "false" });
  const button = h("button", { type: "submit", class: "primary" }, text("signIn"));
  const onsubmit = (event) => {
    event.preventDefault();
    enter(button, () => signInWith(input.value.trim()));
  };
  return [
    h(
      "form",
      { class: "card", onsubmit },
      h(
        "div",
        { class: "field" },
        h("label", { for: "token" }, text("tokenLabel")),
        input,
        h("p", { class: "hint" }, text("tokenHint")),
      ),
      button,
    ),
  ];
}
