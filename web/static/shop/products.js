// All products, those that hold a text, and what sells best.

import { read } from "../shared/api.js";
import { h } from "../shared/dom.js";
import { count, text, won } from "../shared/language.js";
import { empty, failed, paged, stockBadge } from "./parts.js";
import { go } from "./router.js";
import { picture } from "./svg.js";

export const title = "pageProducts";

const POPULAR_DAYS = 3;
const POPULAR_PRODUCTS = 5;
const SEARCH_MAX_CHARS = 100;

export async function show({ body, query, signal }) {
  const wanted = (query.get("q") ?? "").trim();
  const list = h("ul", { class: "grid" });
  const found = await paged(
    list,
    async (cursor) => {
      const { products, nextCursor } = await read("/api/products", { q: wanted, cursor }, signal);
      return { rows: products, nextCursor };
    },
    card,
  );
  const catalogue = h(
    "section",
    { "aria-labelledby": "all" },
    h("h2", { id: "all" }, wanted ? text("foundFor", { words: wanted }) : text("allProducts")),
    found.rows > 0
      ? found.element
      : empty(text(wanted ? "nothingFound" : "noProducts"), wanted ? "#/" : null, text("allProducts")),
  );
  const popular = h(
    "section",
    { class: "popular", "aria-labelledby": "popular", "aria-busy": "true" },
    h("h2", { id: "popular" }, text("popular")),
  );
  body.replaceChildren(searchForm(wanted), h("div", { class: wanted ? "" : "beside" }, catalogue, wanted ? null : popular));
  if (!wanted) {
    await showPopular(popular, signal);
  }
}

function searchForm(wanted) {
  const input = h("input", {
    id: "q",
    type: "search",
    value: wanted,
    maxlength: String(SEARCH_MAX_CHARS),
    placeholder: text("searchExample"),
  });
  const onsubmit = (event) => {
    event.preventDefault();
    const words = input.value.trim();
    go(words ? `/?q=${encodeURIComponent(words)}` : "/");
  };
  return h(
    "form",
    { role: "search", class: "search", onsubmit },
    h("label", { for: "q" }, text("searchLabel")),
    h("div", { class: "join" }, input, h("button", { type: "submit", class: "primary" }, text("search"))),
  );
}

const card = ({ productId, name, price, stock }) =>
  h(
    "li",
    { class: "product" },
    h("a", { href: address(productId) }, picture(productId, name), h("span", { class: "title" }, name)),
    h("div", { class: "row" }, h("strong", { class: "price" }, won(price)), stockBadge(stock)),
  );

const address = (productId) => `#/products/${encodeURIComponent(productId)}`;

// What sells best is no reason to hide the rest when it cannot be shown.
async function showPopular(section, signal) {
  try {
    const { period, products } = await read("/api/products/popular", { days: POPULAR_DAYS, limit: POPULAR_PRODUCTS }, signal);
    const rows = products.map((product) =>
      h(
        "li",
        {},
        h("span", { class: "rank" }, h("span", { class: "heard" }, text("rank")), String(product.rank)),
        h(
          "div",
          {},
          h("a", { href: address(product.productId) }, product.name),
          h("div", { class: "soft" }, `${won(product.price)} · ${text("orderCount", { count: count(product.orderCount) })}`),
        ),
      ),
    );
    section.append(
      h("p", { class: "soft" }, text("popularDays", { days: period.days })),
      rows.length > 0 ? h("ol", { class: "plain ranks" }, rows) : h("p", {}, text("nothingPopular")),
    );
  } catch (error) {
    signal.throwIfAborted();
    section.append(failed(error));
  } finally {
    section.removeAttribute("aria-busy");
  }
}
