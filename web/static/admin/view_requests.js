// What happened to a request, or to all requests of a shopper.

import { Refused } from "/web/shared/api.js";
import { h } from "/web/shared/dom.js";
import { addTexts, count, text } from "/web/shared/language.js";
import { Pages } from "./pages.js";
import { duration, emptiness, figures, look, members, moment, name, status as statusBadge, table } from "./parts.js";
import { searchForm } from "./search.js";
import { refusalText } from "./refusals.js";

addTexts({
  find_request: ["요청 ID 또는 사용자 ID", "A request's id, or a user's"],
  nothing_sought: ["요청 ID를 넣으면 그 이력을, 사용자 ID를 넣으면 결정된 요청을 최신순으로 보여 줍니다.", "A request's id shows its history, a user's id what was decided for them, newest first."],
  nothing_found: ["{of}: 찾을 수 없습니다. 아직 줄에 있는 요청은 요청 ID로만 찾을 수 있습니다.", "Nothing is known of {of}. What still stands in line is found by the request's id only."],
  requests_of: ["{of}의 요청", "Requests of {of}"],
  back_to: ["{of}의 목록으로", "Back to the list of {of}"],
  request: ["요청", "Request"],
  kind: ["종류", "Kind"],
  ticket: ["티켓", "Ticket"],
  decided: ["결정", "Decided"],
  result: ["결과", "Result"],
  group: ["그룹", "Group"],
  stood_in: ["선 레인", "Stood in"],
  with_key: ["Idempotency-Key", "Idempotency-Key"],
  with_key_yes: ["있음", "yes"],
  with_key_no: ["없음", "no"],
  repeat_of: ["반복된 요청", "Repeats"],
  step_accepted: ["접수", "Accepted"],
  step_waiting: ["줄에서 대기", "Waits in line"],
  step_taken: ["워커가 처리 중", "A worker has it"],
  step_claimed: ["배치로 처리 시작", "Claimed with a batch"],
  step_decided: ["결정", "Decided"],
  step_parked: ["보류됨(X003)", "Set aside as X003"],
  waited: ["접수 후 {d}", "{d} after acceptance"],
  ahead: ["앞에 {n}건", "{n} ahead"],
  batch_gone: ["배치 기록은 보존 기간이 지나 삭제되었습니다.", "Retention has removed the batch."],
  batch: ["배치", "Batch"],
  batch_size: ["명령 수", "Commands"],
  batch_tickets: ["티켓 범위", "Tickets"],
  worker: ["워커", "Worker"],
  decision: ["결정 번호", "Decision no."],
  why_refused: ["거절 사유", "Why it was refused"],
  what_was_done: ["처리 내용", "What was done"],
});

// What can be the id of a shopper.
const ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
const REQUEST_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const isDecided = ({ decidedAt }) => Boolean(decidedAt);
const between = (from, to) => text("waited", { d: duration(Math.max(0, Date.parse(to) - Date.parse(from))) });

const step = (words, at, ...more) =>
  h("li", {}, h("div", { class: "row" }, h("strong", {}, words), at !== null && h("span", { class: "soft" }, moment(at))), more);

function outcome({ status, outcome: told }) {
  const { code, ...rest } = told;
  const isRefused = status === "FAILED";
  return [
    h("p", {}, statusBadge(status), isRefused && " ", isRefused && h("strong", {}, `${code} ${refusalText(code)}`)),
    Object.keys(rest).length > 0 && h("h3", {}, text(isRefused ? "why_refused" : "what_was_done")),
    Object.keys(rest).length > 0 && members(rest),
  ];
}

function batchStep({ batch }) {
  if (!batch.claimedAt) {
    return step(text("step_claimed"), null, h("p", { class: "soft" }, text("batch_gone")));
  }
  return step(text("step_claimed"), batch.claimedAt,
    figures([
      [text("batch"), count(batch.batchId)],
      [text("batch_size"), count(batch.size)],
      [text("batch_tickets"), `${count(batch.firstTicket)} – ${count(batch.lastTicket)}`],
      [text("worker"), name(batch.worker)],
    ]));
}

// What happened, in its order.
function timeline(request) {
  const steps = [step(text("step_accepted"), request.acceptedAt)];
  if (!isDecided(request)) {
    const isTaken = request.status === "PROCESSING";
    steps.push(step(text(isTaken ? "step_taken" : "step_waiting"), null,
      !isTaken && h("p", {}, text("ahead", { n: count(request.position ?? 0) }))));
    return steps;
  }
  if (request.parkedBecause !== null) {
    steps.push(step(text("step_parked"), null, h("pre", {}, request.parkedBecause)));
  } else {
    steps.push(batchStep(request));
  }
  steps.push(step(text("step_decided"), request.decidedAt,
    h("p", { class: "soft" }, between(request.acceptedAt, request.decidedAt)),
    figures([[text("decision"), count(request.decision)]]),
    outcome(request)));
  return steps;
}

function requestCard(request) {
  const about = [
    [text("kind"), text(`kind_${request.kind}`)],
    [text("ticket"), count(request.ticket)],
    [text("group"), name(request.laneGroup)],
    [text("user"), request.userId ? look(request.userId, request.userId) : "–"],
    isDecided(request) && [text("with_key"), text(request.hasIdempotencyKey ? "with_key_yes" : "with_key_no")],
    request.repeatOf && [text("repeat_of"), look(request.repeatOf, request.repeatOf)],
  ];
  return h("article", { class: "card", "data-key": request.requestId },
    h("div", { class: "row head" }, h("h2", { class: "plain" }, name(request.requestId)), statusBadge(request.status)),
    figures(about.filter(Boolean)),
    h("h3", {}, text("stood_in")),
    h("ul", { class: "lanes" }, request.lanes.map((lane) => h("li", {}, name(lane)))),
    h("ol", { class: "timeline" }, timeline(request)));
}

const columns = () => [
  [text("request"), ({ requestId }) => name(requestId)],
  [text("kind"), ({ kind }) => text(`kind_${kind}`)],
  [text("ticket"), ({ ticket }) => count(ticket), "number"],
  [text("accepted"), ({ acceptedAt }) => moment(acceptedAt)],
  [text("decided"), ({ decidedAt }) => moment(decidedAt)],
  [text("result"), ({ status, outcome: told }) => [
    statusBadge(status), status === "FAILED" && ` ${told.code} ${refusalText(told.code)}`,
  ]],
  [text("act"), ({ requestId: of }) => look(of)],
];

export function requests(app) {
  const list = new Pages(app, "/api/admin/requests", "requests");
  let sought = null;
  let request = null;
  // The shopper whose list the request was chosen from.
  let user = null;

  function find(of) {
    sought = of;
    request = null;
    list.restart();
    app.draw();
  }

  // A shopper's id may look like a request's, so what is no request may be one.
  async function load(signal) {
    if (sought === null) {
      return;
    }
    if (!ID.test(sought)) {
      list.items = [];
      return;
    }
    const of = sought;
    const read = await readRequest(of, signal);
    if (read === null) {
      await list.load(signal, { userId: of });
    }
    if (of === sought) {
      request = read;
      user = read === null ? of : user;
    }
  }

  async function readRequest(id, signal) {
    if (!REQUEST_ID.test(id) || request?.decidedAt) {
      return request;
    }
    try {
      return await app.read(`/api/admin/requests/${encodeURIComponent(id)}`, {}, signal);
    } catch (error) {
      if (error instanceof Refused && error.status === 404) {
        return null;
      }
      throw error;
    }
  }

  function listOrNothing() {
    if (list.items?.length === 0) {
      return h("p", { class: "empty" }, text("nothing_found", { of: sought }));
    }
    return [
      h("h2", {}, text("requests_of", { of: sought })),
      emptiness(list.items, ""),
      list.items?.length > 0 && table(text("requests_of", { of: sought }), columns(), list.items, ({ requestId }) => requestId),
      list.moreButton(),
    ];
  }

  return {
    everyMs: 1_000,
    load,
    render: () => [
      h("div", { class: "row", "data-key": "find" }, searchForm("search", text("find_request"))),
      sought === null && h("p", { class: "soft", "data-key": "nothing" }, text("nothing_sought")),
      user !== null && user !== sought && h("p", { "data-key": "back" }, look(user, text("back_to", { of: user }))),
      request !== null && requestCard(request),
      sought !== null && request === null && h("div", { "data-key": "list" }, listOrNothing()),
    ],
    acts: {
      find,
      search: (form) => {
        const typed = form.elements.sought.value.trim();
        user = null;
        find(typed === "" ? null : typed);
      },
      more: () => list.showMore(),
    },
  };
}
