// Refreshing what is shown without replacing it: whoever reads, selects or types is not disturbed.

// The name by which an element is found again when others come, go or change places around it.
const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null);

// Makes the children of an element those that are given. What is there already stays the same node: with its focus, its
// selection, what was typed into it, and whether it is unfolded.
export function patch(parent, ...children) {
  const active = document.activeElement;
  reconcile(parent, nodes(children));
  // A node that changed its place has lost the focus.
  if (active !== document.activeElement && parent.contains(active)) {
    active.focus({ preventScroll: true });
  }
}

const nodes = (children) =>
  children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));

function reconcile(parent, wanted) {
  const keys = new Set(wanted.map(keyOf));
  const kept = new Map();
  for (const child of [...parent.childNodes]) {
    const key = keyOf(child);
    if (key !== null && keys.has(key)) {
      kept.set(key, child);
    } else if (key !== null) {
      child.remove();
    }
  }
  let at = parent.firstChild;
  for (const next of wanted) {
    const key = keyOf(next);
    const same = key === null ? (at && keyOf(at) === null ? at : null) : kept.get(key);
    if (same?.nodeName !== next.nodeName) {
      parent.insertBefore(next, at);
      continue;
    }
    if (same === at) {
      at = at.nextSibling;
    } else {
      parent.insertBefore(same, at);
    }
    update(same, next);
  }
  while (at !== null) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function update(shown, next) {
  if (shown.nodeType !== Node.ELEMENT_NODE) {
    if (shown.data !== next.data) {
      shown.data = next.data;
    }
    return;
  }
  for (const { name, value } of next.attributes) {
    if (shown.getAttribute(name) !== value) {
      shown.setAttribute(name, value);
    }
  }
  for (const { name } of [...shown.attributes]) {
    // Whether details are unfolded is the reader's.
    if (!next.hasAttribute(name) && !(shown.nodeName === "DETAILS" && name === "open")) {
      shown.removeAttribute(name);
    }
  }
  reconcile(shown, [...next.childNodes]);
}
