// Products: found, made, changed and restocked.

import { byId, h } from "/web/shared/dom.js";
import { addTexts, count, text, won } from "/web/shared/language.js";
import { ask } from "./dialog.js";
import { Pages } from "./pages.js";
import { badge, button, emptiness, moment, name, table } from "./parts.js";
import { searchForm } from "./search.js";

addTexts({
  new_product: ["새 상품", "New product"],
  find_product: ["이름으로 찾기", "Find by name"],
  all_products: ["전체 보기", "Show all"],
  no_products: ["상품이 없습니다.", "There are no products."],
  product_id: ["상품 ID", "Product id"],
  product_name: ["이름", "Name"],
  description: ["설명", "Description"],
  price: ["가격(원)", "Price in won"],
  stock: ["재고", "Stock"],
  sold_out: ["품절", "Sold out"],
  changed: ["변경", "Changed"],
  edit: ["수정", "Change"],
  save: ["저장", "Save"],
  restock: ["재고 조정", "Restock"],
  product_created: ["상품 {id}을(를) 만들었습니다.", "Product {id} is made."],
  product_changed: ["상품 {id}을(를) 수정했습니다.", "Product {id} is changed."],
  restock_about: ["{name} ({id}): 현재 재고 {n}개", "{name} ({id}): {n} in stock now"],
  delta: ["더할 수량", "Pieces to add"],
  delta_hint: ["음수는 뺍니다. 0에서 늘어나면 재입고 메일이 나갑니다.", "Below 0 takes away. A rise from 0 sends the restock mails."],
  restocked: ["상품 {id}의 재고는 {n}개입니다.", "Product {id} has {n} in stock now."],
});

const SEARCH_ROWS = 50;

const path = (id) => `/api/admin/products/${encodeURIComponent(id)}`;

const aboutFields = ({ name: named, description, price } = {}) => [
  { name: "name", label: text("product_name"), value: named },
  { name: "description", label: text("description"), kind: "area", value: description, optional: true },
  { name: "price", label: text("price"), kind: "number", value: price },
];

export function products(app) {
  const list = new Pages(app, "/api/admin/products", "products");
  let sought = "";
  let found = null;

  const shown = () => (sought === "" ? list.items : found);
  const product = (id) => shown().find(({ productId }) => productId === id);

  function create() {
    ask({
      title: text("new_product"),
      fields: [
        { name: "productId", label: text("product_id"), hint: text("id_hint"), optional: true },
        ...aboutFields(),
        { name: "stock", label: text("stock"), kind: "number" },
      ],
      verb: text("create"),
      act: async (values) => {
        const { productId: id } = await app.send("POST", "/api/admin/products", values);
        app.say("good", text("product_created", { id }));
        app.refresh();
      },
    });
  }

  function edit(id) {
    ask({
      title: `${text("edit")}: ${id}`,
      fields: aboutFields(product(id)),
      verb: text("save"),
      // An emptied description is a change, too.
      act: async (values) => {
        await app.send("PATCH", path(id), { description: "", ...values });
        app.say("good", text("product_changed", { id }));
        app.refresh();
      },
    });
  }

  function restock(id) {
    const { name: named, stock } = product(id);
    ask({
      title: text("restock"),
      about: [text("restock_about", { name: named, id, n: count(stock) })],
      fields: [{ name: "delta", label: text("delta"), kind: "number", hint: text("delta_hint") }],
      verb: text("restock"),
      act: async (values) => {
        const after = await app.send("POST", `${path(id)}/stock`, values);
        app.say("good", text("restocked", { id, n: count(after.stock) }));
        app.refresh();
      },
    });
  }

  const columns = () => [
    [text("product_id"), ({ productId }) => name(productId)],
    [text("product_name"), (item) => item.name],
    [text("price"), ({ price }) => won(price), "number"],
    [text("stock"), ({ stock }) => (stock === 0 ? badge(text("sold_out"), "bad") : count(stock)), "number"],
    sought === "" && [text("changed"), ({ updatedAt }) => moment(updatedAt)],
    [text("act"), ({ productId: of }) => h("div", { class: "row" },
      button("restock", text("restock"), { of, class: "small", "aria-label": `${text("restock")}: ${of}` }),
      button("edit", text("edit"), { of, class: "small", "aria-label": `${text("edit")}: ${of}` }))],
  ].filter(Boolean);

  return {
    everyMs: 2_000,
    async load(signal) {
      if (sought === "") {
        await list.load(signal);
      } else {
        found = (await app.read("/api/products", { q: sought, limit: SEARCH_ROWS }, signal)).products;
      }
    },
    render: () => [
      h("div", { class: "row", "data-key": "find" },
        searchForm("find", text("find_product")),
        sought !== "" && button("all", text("all_products"), { "data-key": "all" }),
        button("create", text("new_product"), { class: "primary", "data-key": "new" })),
      h("div", { "data-key": "list" },
        emptiness(shown(), text("no_products")),
        shown()?.length > 0 && table(text("view_products"), columns(), shown(), ({ productId }) => productId)),
      sought === "" && list.moreButton(),
    ],
    acts: {
      create,
      edit,
      restock,
      find(form) {
        sought = form.elements.sought.value.trim();
        found = null;
      },
      all() {
        sought = "";
        byId("find-sought").value = "";
      },
      more: () => list.showMore(),
    },
  };
}
