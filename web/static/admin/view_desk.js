// The desk for orders that the order system did not take, and what admins were told of.

import { h } from "/web/shared/dom.js";
import { addTexts, count, text, won } from "/web/shared/language.js";
import { ask } from "./dialog.js";
import { Pages } from "./pages.js";
import { badge, button, choices, duration, emptiness, figures, look, moment, name, table } from "./parts.js";

addTexts({
  desk_about: [
    "모든 재시도가 실패해 주문 시스템에 전송되지 못한 주문입니다. 주문 자체는 정상입니다.",
    "Orders that the order system did not take in any retry. The orders themselves are good.",
  ],
  desk_open: ["열림", "Open"],
  desk_resolved: ["해결됨", "Resolved"],
  no_failures: ["실패한 전송이 없습니다.", "No order has failed to be sent."],
  no_resolved: ["해결된 항목이 없습니다.", "None was resolved."],
  retry: ["재시도", "Retry"],
  retry_all: ["모두 재시도", "Retry all"],
  retry_all_about: [
    "데스크의 주문 {n}건을 한 번씩 다시 보냅니다. 이미 재시도를 기다리는 주문은 그대로 둡니다.",
    "The {n} orders on the desk are sent once more. Those that wait for a retry already are left as they are.",
  ],
  retried_all: ["주문 {n}건을 다시 보냅니다.", "{n} orders are sent once more."],
  retried_one: ["주문 {id}: 다시 보냅니다.", "Order {id} is sent once more."],
  resolve: ["해결 처리", "Resolve"],
  resolve_title: ["전송 실패 해결 처리", "Resolve a failed order"],
  resolve_about: ["주문 {id}: 더 이상 전송하지 않습니다.", "Order {id}: it will not be sent any more."],
  resolve_alert_title: ["알림 해결 처리", "Resolve an alert"],
  resolve_alert_about: [
    "이 알림만 닫습니다. 알림의 원인은 그대로이며, 대부분의 알림은 원인이 해결되면 저절로 닫힙니다.",
    "It ends this alert only, and not what it is about. Most alerts end by themselves with that.",
  ],
  resolved_alert: ["알림을 해결 처리했습니다.", "The alert is resolved."],
  resolved_one: ["주문 {id}: 해결 처리했습니다.", "Order {id} is resolved."],
  placed: ["주문 시각", "Placed"],
  failed_since: ["실패 시각", "Failed at"],
  attempts: ["시도", "Attempts"],
  next_retry: ["다음 재시도", "Next retry"],
  synced: ["전송 완료", "Sent after all"],
  resolved_when: ["해결 시각", "Resolved at"],
  resolved_who: ["해결한 사람", "Resolved by"],
  by_itself: ["나중 시도가 성공", "a later attempt"],
  attempts_of: ["시도 {n}회", "{n} attempts"],
  attempt: ["번호", "No."],
  at: ["시각", "At"],
  took: ["소요", "Took"],
  http_status: ["상태", "Status"],
  error: ["오류", "Error"],
  answer: ["응답", "Answer"],
  no_answer: ["응답 없음", "none"],
  waiting_retry: ["재시도 대기 중", "Retry is due"],
  alerts: ["알림", "Alerts"],
  alerts_open: ["열림", "Open"],
  alerts_all: ["전체", "All"],
  no_alerts: ["알림이 없습니다.", "There are no alerts."],
  what: ["내용", "What"],
  alert_kind: ["종류", "Kind"],
  raised: ["발생", "Raised"],
  delivery: ["전달", "Delivery"],
  no_channel: ["설정된 전달 경로 없음", "no way is configured"],
  channel_webhook: ["웹훅", "Webhook"],
  channel_mail: ["메일", "Mail"],
  delivered: ["전달됨", "delivered"],
  undelivered: ["미전달, {n}회 시도", "not delivered, {n} attempts"],
  alert_ORDER_SYNC_FAILED: ["주문 전송 실패", "Order not sent"],
  alert_GROUP_HELD: ["그룹 멈춤", "Group held"],
  alert_CHARGE_UNSETTLED: ["충전 결과 불명", "Charge unknown"],
  alert_CHARGE_CONTRADICTED: ["충전 결과 불일치", "Charge contradicted"],
});

const KINDS = ["ORDER_SYNC_FAILED", "GROUP_HELD", "CHARGE_UNSETTLED", "CHARGE_CONTRADICTED"];

const path = (orderId, verb) => `/api/admin/sync-failures/${encodeURIComponent(orderId)}/${verb}`;

const attemptsTable = ({ orderId, attempts }) =>
  table(`${text("attempts")}: ${orderId}`, [
    [text("attempt"), ({ attempt }) => String(attempt)],
    [text("at"), ({ at }) => moment(at)],
    [text("took"), ({ durationMs }) => duration(durationMs), "number"],
    [text("http_status"), ({ status }) => (status === null ? "–" : String(status)), "number"],
    [text("error"), ({ error }) => error ?? "–"],
    [text("answer"), ({ answer }) => (answer ? h("pre", {}, answer) : h("span", { class: "soft" }, text("no_answer")))],
  ], attempts, ({ attempt }) => String(attempt));

const failureButtons = ({ orderId }) => [
  button("retry", text("retry"), { of: orderId, class: "small", "aria-label": `${text("retry")}: ${orderId}` }),
  button("resolve", text("resolve"), { of: orderId, class: "small", "aria-label": `${text("resolve")}: ${orderId}` }),
];

function failureCard(failure) {
  const { orderId, resolvedAt } = failure;
  const about = [
    [text("user"), name(failure.userId)],
    [text("amount"), won(failure.finalAmount)],
    [text("placed"), moment(failure.createdAt)],
    [text("failed_since"), moment(failure.failedAt)],
    [text("last_error"), failure.lastSyncError ?? "–"],
    resolvedAt === null && [text("next_retry"), failure.nextRetryAt ? badge(text("waiting_retry"), "wait") : "–"],
    failure.syncedAt !== null && [text("synced"), moment(failure.syncedAt)],
    resolvedAt !== null && [text("resolved_when"), moment(resolvedAt)],
    resolvedAt !== null && [text("resolved_who"), failure.resolvedBy ?? text("by_itself")],
    failure.note !== null && [text("note"), failure.note],
  ];
  return h("article", { class: "card", "data-key": orderId },
    h("div", { class: "row head" },
      h("h2", { class: "plain" }, name(orderId)),
      resolvedAt === null && failureButtons(failure),
      look(orderId)),
    figures(about.filter(Boolean)),
    h("details", {},
      h("summary", {}, text("attempts_of", { n: count(failure.attempts.length) })),
      attemptsTable(failure)));
}

function deliveryLine({ channel, attempts, deliveredAt, lastError }) {
  const how = deliveredAt === null
    ? [badge(text("undelivered", { n: count(attempts) }), "bad"), lastError !== null && ` ${lastError}`]
    : [badge(text("delivered"), "good"), " ", moment(deliveredAt)];
  return h("li", {}, `${text(`channel_${channel}`)}: `, how);
}

const alertsTable = (alerts) =>
  table(text("alerts"), [
    [text("alert_kind"), ({ kind }) => (KINDS.includes(kind) ? text(`alert_${kind}`) : kind)],
    [text("raised"), ({ raisedAt }) => moment(raisedAt)],
    [text("what"), (alert) => h("p", { class: "told" }, alert.text)],
    [text("delivery"), ({ deliveries }) =>
      (deliveries.length === 0 ? text("no_channel") : h("ul", { class: "plain-list" }, deliveries.map(deliveryLine)))],
    [text("resolved_when"), ({ alertId, resolvedAt }) =>
      (resolvedAt ? moment(resolvedAt) : button("resolveAlert", text("resolve"), { of: alertId, class: "small" }))],
  ], alerts, ({ alertId }) => alertId);

export function desk(app) {
  const failures = new Pages(app, "/api/admin/sync-failures", "failures");
  const alerts = new Pages(app, "/api/admin/alerts", "alerts");
  let status = "open";
  let alertStatus = "open";

  const openCount = () => failures.last?.openCount ?? 0;

  function retryAll() {
    ask({
      title: text("retry_all"),
      about: [text("retry_all_about", { n: count(openCount()) })],
      verb: text("retry_all"),
      act: async () => {
        const { retried } = await app.send("POST", "/api/admin/sync-failures/retry-all");
        app.say("good", text("retried_all", { n: count(retried) }));
        app.refresh();
      },
    });
  }

  function resolve(id) {
    ask({
      title: text("resolve_title"),
      about: [text("resolve_about", { id })],
      fields: [{ name: "note", label: text("note"), kind: "area", hint: text("note_hint") }],
      verb: text("resolve"),
      act: async (values) => {
        await app.send("POST", path(id, "resolve"), values);
        app.say("good", text("resolved_one", { id }));
        app.refresh();
      },
    });
  }

  function resolveAlert(id) {
    const alert = alerts.items.find(({ alertId }) => alertId === id);
    ask({
      title: text("resolve_alert_title"),
      about: [alert.text, text("resolve_alert_about")],
      fields: [{ name: "note", label: text("note"), kind: "area", hint: text("note_hint") }],
      verb: text("resolve"),
      act: async (values) => {
        await app.send("POST", `/api/admin/alerts/${encodeURIComponent(id)}/resolve`, values);
        app.say("good", text("resolved_alert"));
        app.refresh();
      },
    });
  }

  return {
    everyMs: 2_000,
    async load(signal) {
      await Promise.all([
        failures.load(signal, { status }),
        alerts.load(signal, { status: alertStatus === "all" ? null : alertStatus }),
      ]);
    },
    render: () => [
      h("p", { class: "soft", "data-key": "about" }, text("desk_about")),
      h("div", { class: "row", "data-key": "choices" },
        choices("choose", text("which"), status, [
          ["open", `${text("desk_open")} (${count(openCount())})`], ["resolved", text("desk_resolved")],
        ]),
        status === "open" && openCount() > 0 && button("retryAll", text("retry_all"), { "data-key": "retry-all" })),
      h("div", { class: "cards wide", "data-key": "failures" },
        emptiness(failures.items, text(status === "open" ? "no_failures" : "no_resolved")),
        failures.items?.map(failureCard)),
      failures.moreButton(),
      h("article", { class: "card", "data-key": "alerts" },
        h("div", { class: "row head" },
          h("h2", {}, text("alerts")),
          choices("chooseAlerts", text("alerts"), alertStatus, [["open", text("alerts_open")], ["all", text("alerts_all")]])),
        emptiness(alerts.items, text("no_alerts")),
        alerts.items?.length > 0 && alertsTable(alerts.items),
        alerts.moreButton("moreAlerts")),
    ],
    acts: {
      resolve,
      resolveAlert,
      retryAll,
      async retry(id) {
        await app.send("POST", path(id, "retry"));
        app.say("good", text("retried_one", { id }));
      },
      choose(of) {
        status = of;
        failures.restart();
      },
      chooseAlerts(of) {
        alertStatus = of;
        alerts.restart();
      },
      more: () => failures.showMore(),
      moreAlerts: () => alerts.showMore(),
    },
  };
}
