// Asking before something is done: what for, with which values, and whether at all.

import { Refused, Unreachable } from "/web/shared/api.js";
import { h } from "/web/shared/dom.js";
import { addTexts, text } from "/web/shared/language.js";
import { fieldOf, showErrors, valuesOf } from "./form.js";

addTexts({
  cancel: ["취소", "Cancel"],
  doing: ["처리 중…", "Working…"],
  unreachable_act: [
    "응답을 받지 못했습니다. 이미 처리되었을 수 있으니, 다시 시도하기 전에 확인하세요.",
    "There was no answer. It may have been done all the same: look before you try again.",
  ],
});

let opened = 0;

// What a failure says to the operator.
export function failureText(error) {
  if (error instanceof Refused) {
    return `${error.message} (${error.problem.code ?? error.status})`;
  }
  return error instanceof Unreachable ? text("unreachable_act") : String(error);
}

// Asks for the fields, and does `act` with their values; stays open until that succeeds or the operator gives up.
// `verb` is what the button says, `isGrave` that it takes something away.
export function ask({ title, about = [], fields = [], verb, isGrave = false, act }) {
  opened += 1;
  const heading = `dialog-${opened}`;
  const failed = h("p", { class: "notice bad", role: "alert" });
  const send = h("button", { type: "submit", class: isGrave ? "grave" : "primary" }, verb);
  const close = () => dialog.close();
  const form = h("form", { method: "post", novalidate: true, onsubmit: submit },
    h("h2", { id: heading }, title),
    about.map((words) => h("p", {}, words)),
    fields.map(fieldOf),
    failed,
    h("div", { class: "row ends" }, h("button", { type: "button", onclick: close }, text("cancel")), send));
  const dialog = h("dialog", { "aria-labelledby": heading, onclose: () => dialog.remove() }, form);
  // The first field, and where there is none, the way out.
  form.querySelector("input, textarea, button")?.setAttribute("autofocus", "");
  document.body.append(dialog);
  dialog.showModal();

  async function submit(event) {
    event.preventDefault();
    if (send.disabled) {
      return;
    }
    const { values, errors } = valuesOf(form, fields);
    failed.textContent = showErrors(form, errors).join(" ");
    if (errors.length > 0) {
      return;
    }
    send.disabled = true;
    send.textContent = text("doing");
    try {
      await act(values);
      close();
    } catch (error) {
      const told = error instanceof Refused ? (error.problem.errors ?? []) : [];
      const rest = showErrors(form, told);
      failed.textContent = told.length > 0 ? rest.join(" ") : failureText(error);
    } finally {
      send.disabled = false;
      send.textContent = verb;
    }
  }
}

// Closes whatever is asked.
export function closeAll() {
  document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
}
