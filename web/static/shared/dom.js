// Elements by plain calls. Texts become text nodes, never markup, so nothing that somebody wrote can become a script.

// h("button", { class: "primary", disabled: true, onclick: buy }, "Buy") makes that element. A property that begins with
// "on" is a listener; true and false set or leave out an attribute; null and undefined leave it out, too.
export function h(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) {
      made.addEventListener(key.slice(2), value);
    } else if (value === true) {
      made.setAttribute(key, "");
    } else if (value !== false && value !== null && value !== undefined) {
      made.setAttribute(key, value);
    }
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

// The same for an element of a drawing, whose properties are attributes.
export function svg(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  made.append(...children);
  return made;
}

// The element of this id.
export const byId = (id) => document.getElementById(id);

// Puts children into an element in place of what it has; leaves it alone when it says the same already, so that a selection
// and the focus survive a refresh.
export function fill(element, ...children) {
  const next = h("div", {}, ...children);
  if (element.innerHTML !== next.innerHTML) {
    element.replaceChildren(...next.childNodes);
  }
}
