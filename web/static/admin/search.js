// A field to search in.

import { h } from "/web/shared/dom.js";
import { addTexts, text } from "/web/shared/language.js";

addTexts({ search: ["찾기", "Search"] });

// A form that does `act` of the view; what was typed is its field `sought`.
export const searchForm = (act, label) =>
  h("form", { class: "search", role: "search", method: "post", "data-act": act, "data-key": `${act}-form` },
    h("label", { for: `${act}-sought` }, label),
    h("div", { class: "row" },
      h("input", { id: `${act}-sought`, name: "sought", type: "search", autocomplete: "off", spellcheck: "false" }),
      h("button", { type: "submit" }, text("search"))));
