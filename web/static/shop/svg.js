// Pictures that are drawn: products have none of their own.

import { svg } from "../shared/dom.js";

const TINTS = 8;

const ICONS = {
  products: "M4 5h7v7H4zM13 5h7v7h-7zM4 14h7v5H4zM13 14h7v5h-7z",
  coupons: "M3 7h18v4a2 2 0 0 0 0 4v3H3v-3a2 2 0 0 0 0-4zM14 8v2M14 12v2M14 16v1",
  wallet: "M4 7h14a2 2 0 0 1 2 2v9H6a2 2 0 0 1-2-2zM4 7l11-3v3M16 13h1",
  balance: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M7 9l2.500 7L12 9l2.500 7L17 9M7 12h10",
  orders: "M6 3h12v18l-3-2-3 2-3-2-3 2zM9 8h6M9 12h6",
  cart: "M3 4h3l2 11h9l3-8H7M9 20h.1M16 20h.1",
};

// A small sign beside a word; nobody has to see it.
export const icon = (name) =>
  svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));

// A picture made from a product's id and name: always the same for the same product.
export function picture(productId, name) {
  const number = [...productId].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) >>> 0, 7);
  const [x, y, size] = [20 + (number % 61), 15 + ((number >>> 6) % 41), 18 + ((number >>> 12) % 22)];
  const letter = svg("text", { x: "50", y: "46", "text-anchor": "middle" });
  letter.textContent = [...name.trim()][0] ?? "";
  return svg(
    "svg",
    {
      class: `picture tint${number % TINTS}`,
      viewBox: "0 0 100 64",
      "aria-hidden": "true",
      preserveAspectRatio: "xMidYMid slice",
    },
    svg("rect", { width: "100", height: "64", class: "ground" }),
    svg("circle", { cx: x, cy: y, r: size, class: "shape" }),
    svg("circle", { cx: 100 - x, cy: 64 - y / 2, r: size * 0.7, class: "shape" }),
    letter,
  );
}
