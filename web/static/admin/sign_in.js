// The form that asks for the token.

import { Refused, Unreachable, call } from "/web/shared/api.js";
import { h } from "/web/shared/dom.js";
import { addTexts, text } from "/web/shared/language.js";
import { patch } from "./patch.js";
import { forgetToken, isSendable, keepToken } from "./session.js";

addTexts({
  sign_in: ["로그인", "Sign in"],
  token: ["운영자 토큰", "Operator's token"],
  token_hint: [
    "ADMIN_TOKEN, 또는 역할이 admin인 JWT. 이 탭에만 보관되며, 탭을 닫거나 잠그면 지워집니다.",
    "ADMIN_TOKEN, or a JWT with the role admin. It is kept in this tab only, until it is closed or locked.",
  ],
  open_console: ["열기", "Open"],
  token_empty: ["토큰을 입력하세요.", "Enter a token."],
  token_unsendable: ["토큰에 쓸 수 없는 문자가 있습니다.", "This has characters that no token has."],
  token_refused: ["서버가 이 토큰을 받아들이지 않습니다. 다시 입력하세요.", "The server does not accept this token, or no longer. Enter it again."],
  token_powerless: ["이 토큰에는 admin 역할이 없습니다.", "This token does not have the role admin."],
  token_unchecked: ["서버에 연결할 수 없습니다. 다시 시도하세요.", "The server cannot be reached. Try again."],
});

// Which sentence belongs to an answer that lets nobody in.
export const whyLocked = (refused) => (refused.status === 403 ? "token_powerless" : "token_refused");

// Puts the form into `main`; `onSignedIn` is called once the token was accepted. `why` says what locked the console.
export function signIn(main, { why, onSignedIn }) {
  let said = why;
  let isChecking = false;
  const form = h("form", { class: "card sign-in", method: "post", novalidate: true, onsubmit: submit });
  main.append(form);

  function draw() {
    document.title = `${text("sign_in")} – Droplane`;
    patch(form,
      h("h1", {}, text("sign_in")),
      h("div", { class: "field" },
        h("label", { for: "token" }, text("token")),
        h("input", {
          id: "token", name: "token", type: "password", autocomplete: "off", spellcheck: "false", autocapitalize: "off",
          "aria-describedby": "token-hint token-wrong", "aria-invalid": String(said !== null),
        }),
        h("p", { class: "hint", id: "token-hint" }, text("token_hint"))),
      h("p", { class: "notice bad", id: "token-wrong", role: "alert" }, said !== null && text(said)),
      h("button", { type: "submit", class: "primary", disabled: isChecking }, text("open_console")));
  }

  async function submit(event) {
    event.preventDefault();
    if (isChecking) {
      return;
    }
    isChecking = true;
    said = null;
    draw();
    const wrong = await check(form.elements.token.value.trim());
    isChecking = false;
    if (wrong === null) {
      onSignedIn();
      main.focus();
      return;
    }
    said = wrong;
    forgetToken();
    draw();
    form.elements.token.focus();
  }

  return {
    draw() {
      draw();
      form.elements.token.focus();
    },
    close: () => form.remove(),
  };
}

// Keeps the token and tries it on a cheap question; the key of a sentence where it is not let in.
async function check(token) {
  if (token === "") {
    return "token_empty";
  }
  if (!isSendable(token)) {
    return "token_unsendable";
  }
  keepToken(token);
  try {
    await call("GET", "/api/admin/audit-log", { query: { limit: 1 } });
  } catch (error) {
    if (error instanceof Unreachable) {
      return "token_unchecked";
    }
    // Whoever is told of another trouble was let in.
    if (error instanceof Refused && [401, 403].includes(error.status)) {
      return whyLocked(error);
    }
  }
  return null;
}
