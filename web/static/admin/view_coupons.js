// Coupons: how many are out, new campaigns, more units, another end.

import { h } from "/web/shared/dom.js";
import { addTexts, count, text, won } from "/web/shared/language.js";
import { ask } from "./dialog.js";
import { Pages } from "./pages.js";
import { badge, button, emptiness, moment, name, table } from "./parts.js";

addTexts({
  new_coupon: ["새 캠페인", "New campaign"],
  no_coupons: ["쿠폰이 없습니다.", "There are no coupons."],
  coupon_id: ["쿠폰 ID", "Coupon id"],
  coupon_name: ["이름", "Name"],
  discount: ["할인", "Discount"],
  discount_type: ["할인 방식", "Discount"],
  type_FIXED: ["정액(원)", "A sum in won"],
  type_PERCENT: ["정률(%)", "A share in percent"],
  discount_value: ["할인 값", "Sum or share"],
  discount_value_hint: ["정액이면 원, 정률이면 1–100", "In won, or 1–100 for a share"],
  max_discount: ["최대 할인액(원)", "At most, in won"],
  max_discount_hint: ["정률 할인에만 씁니다.", "For a share only."],
  min_order: ["최소 주문액(원)", "Only from this order total on, in won"],
  total: ["수량", "Units"],
  starts: ["시작", "Starts"],
  starts_hint: ["비워 두면 바로 시작합니다.", "Left empty: open at once."],
  ends: ["종료", "Ends"],
  ends_hint: ["비워 두면 종료가 없습니다.", "Left empty: it has no end."],
  valid_days: ["발급 후 유효 일수", "Days it is good for after issue"],
  max_per_address: ["주소당 발급 수", "Claims per address"],
  max_per_address_hint: [
    "비워 두면 제한이 없습니다. 한 주소를 여러 사람이 함께 쓸 수 있습니다.",
    "Left empty: any number. Many people may share one address.",
  ],
  human_check: ["사람 확인", "Proof of being human"],
  human_check_hint: [
    "켜면 Human-Token 헤더가 없는 발급 요청은 거절됩니다.",
    "If demanded, claims without a good Human-Token header are refused.",
  ],
  human_true: ["요구함", "Demanded"],
  human_false: ["요구하지 않음", "Not demanded"],
  human_demanded: ["사람 확인", "persons only"],
  per_address: ["주소당 {n}", "{n} per address"],
  change_terms: ["발급 조건", "Terms of claims"],
  terms_changed: ["쿠폰 {id}의 발급 조건을 바꾸었습니다.", "The terms of coupon {id} are changed."],
  issued: ["발급", "Issued"],
  issued_of: ["{issued} / {total}", "{issued} of {total}"],
  window: ["기간", "Open"],
  no_start: ["처음부터", "from the start"],
  no_end: ["종료 없음", "no end"],
  from: ["{won}부터", "from {won}"],
  at_most: ["최대 {won}", "at most {won}"],
  coupon_open: ["발급 중", "Open"],
  coupon_soon: ["시작 전", "Not started"],
  coupon_over: ["종료", "Over"],
  coupon_gone: ["소진", "Sold out"],
  coupon_created: ["쿠폰 {id}을(를) 만들었습니다.", "Coupon {id} is made."],
  raise: ["수량 늘리기", "Raise the quantity"],
  raise_about: ["현재 수량은 {n}입니다. 늘릴 수만 있습니다.", "There are {n} units. It can only be raised."],
  raised_to: ["쿠폰 {id}의 수량은 {n}입니다.", "Coupon {id} has {n} units now."],
  move_end: ["종료 바꾸기", "Move the end"],
  moved: ["쿠폰 {id}의 종료를 바꾸었습니다.", "The end of coupon {id} is moved."],
});

const path = (id) => `/api/admin/coupons/${encodeURIComponent(id)}`;

function discountText({ discountType, discountValue, maxDiscountAmount, minOrderAmount }) {
  return [
    discountType === "PERCENT" ? `${count(discountValue)}%` : won(discountValue),
    maxDiscountAmount !== null && text("at_most", { won: won(maxDiscountAmount) }),
    minOrderAmount > 0 && text("from", { won: won(minOrderAmount) }),
  ].filter(Boolean).join(", ");
}

function stateOf({ remainingQuantity, startsAt, endsAt }) {
  const now = Date.now();
  if (endsAt !== null && Date.parse(endsAt) <= now) {
    return badge(text("coupon_over"));
  }
  if (remainingQuantity === 0) {
    return badge(text("coupon_gone"), "bad");
  }
  return startsAt !== null && Date.parse(startsAt) > now ? badge(text("coupon_soon"), "wait") : badge(text("coupon_open"), "good");
}

function issuedCell({ couponId, issuedQuantity, totalQuantity }) {
  const words = text("issued_of", { issued: count(issuedQuantity), total: count(totalQuantity) });
  return h("div", { class: "counter" },
    // A bar must have a length, also for a coupon that has no unit.
    h("progress", { value: issuedQuantity, max: Math.max(totalQuantity, 1), "aria-label": `${text("issued")}: ${couponId}` }),
    h("span", {}, words));
}

// What a coupon demands of its claims.
function termFields({ maxPerAddress, humanCheck = false }) {
  return [
    {
      name: "maxPerAddress", label: text("max_per_address"), kind: "number", hint: text("max_per_address_hint"),
      value: maxPerAddress ?? undefined, optional: true,
    },
    {
      name: "humanCheck", label: text("human_check"), kind: "choice", hint: text("human_check_hint"), value: String(humanCheck),
      choices: ["false", "true"].map((demanded) => [demanded, text(`human_${demanded}`)]),
    },
  ];
}

export function coupons(app) {
  const list = new Pages(app, "/api/admin/coupons", "coupons");
  const coupon = (id) => list.items.find(({ couponId }) => couponId === id);

  function create() {
    ask({
      title: text("new_coupon"),
      fields: [
        { name: "couponId", label: text("coupon_id"), hint: text("id_hint"), optional: true },
        { name: "name", label: text("coupon_name") },
        {
          name: "discountType", label: text("discount_type"), kind: "choice", value: "FIXED",
          choices: ["FIXED", "PERCENT"].map((type) => [type, text(`type_${type}`)]),
        },
        { name: "discountValue", label: text("discount_value"), kind: "number", hint: text("discount_value_hint") },
        { name: "maxDiscountAmount", label: text("max_discount"), kind: "number", hint: text("max_discount_hint"), optional: true },
        { name: "minOrderAmount", label: text("min_order"), kind: "number", optional: true },
        { name: "totalQuantity", label: text("total"), kind: "number" },
        { name: "startsAt", label: text("starts"), kind: "moment", hint: text("starts_hint"), optional: true },
        { name: "endsAt", label: text("ends"), kind: "moment", hint: text("ends_hint"), optional: true },
        { name: "validDays", label: text("valid_days"), kind: "number", optional: true },
        ...termFields({}),
      ],
      verb: text("create"),
      act: async ({ humanCheck, ...values }) => {
        const coupon = { ...values, humanCheck: humanCheck === "true" };
        const { couponId: id } = await app.send("POST", "/api/admin/coupons", coupon);
        app.say("good", text("coupon_created", { id }));
        app.refresh();
      },
    });
  }

  function raise(id) {
    const { totalQuantity } = coupon(id);
    ask({
      title: `${text("raise")}: ${id}`,
      about: [text("raise_about", { n: count(totalQuantity) })],
      fields: [{ name: "totalQuantity", label: text("total"), kind: "number", value: totalQuantity }],
      verb: text("raise"),
      act: async (values) => {
        const after = await app.send("PATCH", path(id), values);
        app.say("good", text("raised_to", { id, n: count(after.totalQuantity) }));
        app.refresh();
      },
    });
  }

  function moveEnd(id) {
    ask({
      title: `${text("move_end")}: ${id}`,
      fields: [{ name: "endsAt", label: text("ends"), kind: "moment", hint: text("ends_hint"), value: coupon(id).endsAt, optional: true }],
      verb: text("move_end"),
      act: async ({ endsAt = null }) => {
        await app.send("PATCH", path(id), { endsAt });
        app.say("good", text("moved", { id }));
        app.refresh();
      },
    });
  }

  function changeTerms(id) {
    ask({
      title: `${text("change_terms")}: ${id}`,
      fields: termFields(coupon(id)),
      verb: text("change_terms"),
      act: async ({ maxPerAddress = null, humanCheck }) => {
        await app.send("PATCH", path(id), { maxPerAddress, humanCheck: humanCheck === "true" });
        app.say("good", text("terms_changed", { id }));
        app.refresh();
      },
    });
  }

  const columns = () => [
    [text("coupon_id"), ({ couponId }) => name(couponId)],
    [text("coupon_name"), (item) => item.name],
    [text("state"), stateOf],
    [text("issued"), issuedCell],
    [text("discount"), discountText],
    [text("window"), ({ startsAt, endsAt, maxPerAddress, humanCheck }) => [
      startsAt ? moment(startsAt) : text("no_start"), " – ", endsAt ? moment(endsAt) : text("no_end"),
      maxPerAddress !== null && `, ${text("per_address", { n: count(maxPerAddress) })}`,
      humanCheck && `, ${text("human_demanded")}`,
    ]],
    [text("act"), ({ couponId: of }) => h("div", { class: "row" },
      button("raise", text("raise"), { of, class: "small", "aria-label": `${text("raise")}: ${of}` }),
      button("moveEnd", text("move_end"), { of, class: "small", "aria-label": `${text("move_end")}: ${of}` }),
      button("changeTerms", text("change_terms"), { of, class: "small", "aria-label": `${text("change_terms")}: ${of}` }))],
  ];

  return {
    everyMs: 1_000,
    load: (signal) => list.load(signal),
    render: () => [
      h("div", { class: "row", "data-key": "new" }, button("create", text("new_coupon"), { class: "primary" })),
      h("div", { "data-key": "list" },
        emptiness(list.items, text("no_coupons")),
        list.items?.length > 0 && table(text("view_coupons"), columns(), list.items, ({ couponId }) => couponId)),
      list.moreButton(),
    ],
    acts: { create, raise, moveEnd, changeTerms, more: () => list.showMore() },
  };
}
