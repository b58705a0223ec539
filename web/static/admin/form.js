// Forms made from a list of fields. A field: { name, label, kind, hint, value, optional, choices }, where the kind is one
// of "text", "area", "number", "moment" and "choice"; choices are [value, words].

import { h } from "/web/shared/dom.js";
import { addTexts, text } from "/web/shared/language.js";
import { complaint, mustBeGiven, mustBeMoment, mustBeWhole } from "./complaints.js";

addTexts({ optional: ["(선택)", "(optional)"] });

const WHOLE_NUMBER = /^-?\d{1,15}$/;

// The moment as an input of the reader's own clock has it.
function localText(iso) {
  const moment = new Date(iso);
  return new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

// The elements of a field: its name, its control, a hint, and a place for what is wrong with it.
export function fieldOf({ name, label, kind = "text", hint, value, optional = false, choices = [] }) {
  const describedBy = `${hint ? `hint-${name} ` : ""}wrong-${name}`;
  const about = { name, id: `field-${name}`, "aria-describedby": describedBy, autocomplete: "off" };
  const words = [label, optional && h("span", { class: "hint" }, ` ${text("optional")}`)];
  const more = [hint && h("p", { class: "hint", id: `hint-${name}` }, hint), h("p", { class: "wrong", id: `wrong-${name}` })];
  if (kind === "choice") {
    const radios = choices.map(([of, said]) =>
      h("label", { class: "choice" }, h("input", { type: "radio", name, value: of, checked: of === value }), ` ${said}`));
    return h("fieldset", { class: "field", "data-field": name, "aria-describedby": describedBy },
      h("legend", {}, words), radios, more);
  }
  const control = {
    text: () => h("input", { ...about, type: "text", value, spellcheck: "false" }),
    area: () => h("textarea", { ...about, rows: 3 }, value),
    number: () => h("input", { ...about, type: "text", inputmode: "numeric", value }),
    moment: () => h("input", { ...about, type: "datetime-local", step: 1, value: value ? localText(value) : undefined }),
  }[kind]();
  return h("div", { class: "field", "data-field": name }, h("label", { for: `field-${name}` }, words), control, more);
}

// What was typed: { values, errors }, where errors are of the form of the API's.
export function valuesOf(form, fields) {
  const values = {};
  const errors = [];
  const wrong = (field, message) => errors.push({ field, message });
  for (const { name, kind = "text", optional = false } of fields) {
    const control = form.elements[name];
    const typed = control.value.trim();
    if (typed === "") {
      if (control.validity?.badInput) {
        wrong(name, mustBeMoment());
      } else if (!optional) {
        wrong(name, mustBeGiven());
      }
    } else if (kind === "number") {
      const digits = typed.replaceAll(",", "");
      if (WHOLE_NUMBER.test(digits)) {
        values[name] = Number(digits);
      } else {
        wrong(name, mustBeWhole());
      }
    } else {
      values[name] = kind === "moment" ? new Date(typed).toISOString() : typed;
    }
  }
  return { values, errors };
}

// Shows at each field what is wrong with it, and leads the reader to the first. Returns what belongs to no field.
export function showErrors(form, errors) {
  const elsewhere = errors.filter(({ field }) => !form.querySelector(`[data-field="${CSS.escape(field)}"]`));
  let first = null;
  for (const block of form.querySelectorAll("[data-field]")) {
    const messages = errors.filter(({ field }) => field === block.dataset.field).map(({ message }) => complaint(message));
    block.querySelector(".wrong").textContent = messages.join(" ");
    for (const control of block.querySelectorAll("input, textarea")) {
      control.setAttribute("aria-invalid", String(messages.length > 0));
      first ??= messages.length > 0 ? control : null;
    }
  }
  first?.focus();
  return elsewhere.map(({ field, message }) => `${field}: ${complaint(message)}`);
}
