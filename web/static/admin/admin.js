// Starts the console: the form for the token, or the views.

import { h } from "/web/shared/dom.js";
import { addTexts, choose, language, onChange, text } from "/web/shared/language.js";
import { useToken } from "/web/shared/api.js";
import { closeAll } from "./dialog.js";
import { openDesk } from "./frame.js";
import { patch } from "./patch.js";
import { forgetToken, token } from "./session.js";
import { signIn } from "./sign_in.js";

addTexts({
  console: ["Droplane 운영 콘솔", "Droplane console"],
  lock: ["잠그기", "Lock"],
  skip: ["본문으로 건너뛰기", "Skip to the content"],
});

useToken(token);

const header = h("header", { class: "top" });
const main = h("main", { id: "main", tabindex: -1 });
const skip = h("a", { class: "skip", href: "#main", onclick: (event) => { event.preventDefault(); main.focus(); } });
document.body.append(skip, header, main);
header.addEventListener("click", (event) => {
  const pressed = event.target.closest("button")?.dataset;
  if (pressed?.language) {
    choose(pressed.language);
  } else if (pressed?.lock !== undefined) {
    lock(null);
  }
});

// What is open: it can be drawn anew and closed.
let open = null;

function drawHeader() {
  const tongue = (code, words) =>
    h("button", { type: "button", class: "small", lang: code, "data-language": code, "aria-pressed": String(language() === code) }, words);
  skip.textContent = text("skip");
  patch(header,
    h("strong", { class: "mark" }, text("console")),
    h("div", { class: "row" },
      tongue("ko", "한국어"), tongue("en", "English"),
      token() !== null && h("button", { type: "button", class: "small", "data-lock": "", "data-key": "lock" }, text("lock"))));
}

function show(next) {
  open?.close();
  main.replaceChildren();
  open = next();
  drawHeader();
  open.draw();
}

// Forgets the token and all that was shown with it; `why` is a key of the texts, or null.
function lock(why) {
  forgetToken();
  closeAll();
  show(() => signIn(main, { why, onSignedIn: unlock }));
}

const unlock = () => show(() => openDesk(main, lock));

onChange(() => {
  closeAll();
  drawHeader();
  open.draw();
});

if (token() === null) {
  lock(null);
} else {
  unlock();
}
