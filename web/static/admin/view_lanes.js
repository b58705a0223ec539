// The lines as they stand now, and holding one of them.

import { h } from "/web/shared/dom.js";
import { addTexts, count, text } from "/web/shared/language.js";
import { Series, chart } from "./chart.js";
import { ask } from "./dialog.js";
import { badge, button, duration, figures, name, table } from "./parts.js";

addTexts({
  group_coupon: ["쿠폰 발급", "Coupon claims"],
  group_order: ["주문", "Orders"],
  group_charge: ["잔액 충전", "Balance charges"],
  depth: ["대기", "Waiting"],
  oldest: ["가장 오래 기다린 시간", "Oldest waits"],
  in_flight: ["처리 중", "In flight"],
  in_batches: ["{n} (배치 {b})", "{n} (batches: {b})"],
  ready: ["바로 처리 가능", "Could be taken now"],
  throughput: ["처리량", "Throughput"],
  per_second: ["초당 {n}", "{n}/s"],
  unknown: ["알 수 없음", "unknown"],
  line_scale: ["최근 5분, 최대 {most}", "last 5 minutes, at most {most}"],
  longest: ["가장 긴 레인", "Longest lanes"],
  nobody_waits: ["기다리는 명령이 없습니다.", "Nobody waits."],
  lane: ["레인", "Lane"],
  held: ["멈춤", "Held"],
  flowing: ["진행", "Flowing"],
  pause: ["멈추기", "Pause"],
  resume: ["다시 진행", "Resume"],
  held_lanes: ["멈춘 레인", "Held lanes"],
  no_held: ["멈춘 레인이 없습니다.", "No lane is held."],
  pause_by_name: ["이름으로 레인 멈추기", "Pause a lane by name"],
  pause_group: ["그룹 전체 멈추기", "Pause the whole group"],
  pause_title: ["레인 멈추기", "Pause a lane"],
  pause_about: [
    "들어오는 명령은 계속 접수되어 순서대로 기다리고, 다시 진행할 때까지 처리되지 않습니다. 이 레인에 걸친 다른 명령도 함께 기다립니다.",
    "Commands are still accepted and wait in their order, undecided until you resume it. Commands behind one that touches it wait, too.",
  ],
  pause_hint: [
    "예: coupon:C001, product:P001, user:user1, charge:user1, 또는 그룹 전체 order:*",
    "For example coupon:C001, product:P001, user:user1, charge:user1, or the whole group order:*",
  ],
  paused: ["{lane}: 멈췄습니다. 이 때문에 기다리는 명령은 {n}건입니다.", "{lane} is held; {n} commands wait because of it."],
  resumed: ["{lane}: 다시 진행합니다.", "{lane} goes on."],
  was_not_paused: ["{lane}: 멈춰 있지 않았습니다.", "{lane} was not held."],
  group_is_held: [
    "{group} 그룹 전체가 멈춰 있습니다. 다시 진행할 때까지 아무것도 처리되지 않습니다.",
    "The whole group {group} is held: nothing in it is decided until you resume it.",
  ],
});

const HISTORY_MS = 5 * 60_000;

const pausePath = (lane, verb) => `/api/admin/lanes/${encodeURIComponent(lane)}/${verb}`;

// Few a second are told to the tenth.
const rounded = (figure) => (figure < 10 && !Number.isInteger(figure) ? figure.toFixed(1) : count(Math.round(figure)));

// Several groups of coupons have numbers: coupon-3.
const groupName = (group) => `${text(`group_${group.split("-")[0]}`)} (${group})`;

export function lanes(app) {
  let groups = null;
  const lately = new Map();

  const seriesOf = (group) => {
    if (!lately.has(group)) {
      lately.set(group, { decided: new Series(HISTORY_MS), depth: new Series(HISTORY_MS) });
    }
    return lately.get(group);
  };

  function pause(lane) {
    ask({
      title: text("pause_title"),
      about: [text("pause_about")],
      fields: [{ name: "lane", label: text("lane"), hint: text("pause_hint"), value: lane }],
      verb: text("pause"),
      isGrave: true,
      act: async ({ lane: named }) => {
        const done = await app.send("POST", pausePath(named, "pause"));
        app.say("good", text("paused", { lane: done.lane, n: count(done.waiting) }));
        app.refresh();
      },
    });
  }

  async function resume(lane) {
    const done = await app.send("POST", pausePath(lane, "resume"));
    app.say("good", text(done.wasPaused ? "resumed" : "was_not_paused", { lane: done.lane }));
  }

  const laneButton = (lane, isHeld) =>
    isHeld
      ? button("resume", text("resume"), { of: lane, class: "small", "aria-label": `${text("resume")}: ${lane}` })
      : button("pause", text("pause"), { of: lane, class: "small", "aria-label": `${text("pause")}: ${lane}` });

  function longest({ longestLanes, pausedLanes }) {
    const isHeld = (lane) => pausedLanes.includes(lane);
    return table(text("longest"), [
      [text("lane"), ({ lane }) => name(lane)],
      [text("depth"), ({ depth }) => count(depth), "number"],
      [text("state"), ({ lane }) => (isHeld(lane) ? badge(text("held"), "bad") : badge(text("flowing"), "good"))],
      [text("act"), ({ lane }) => laneButton(lane, isHeld(lane))],
    ], longestLanes, ({ lane }) => lane);
  }

  function groupCard(group) {
    const whole = `${group.group}:*`;
    const isHeld = group.pausedLanes.includes(whole);
    const { decided, depth } = seriesOf(group.group);
    const rate = group.decidedPerSecond === null ? text("unknown") : text("per_second", { n: rounded(group.decidedPerSecond) });
    const scale = (series) => text("line_scale", { most: rounded(series.most()) });
    return h("article", { class: "card", "data-key": group.group },
      h("div", { class: "row head" },
        h("h2", {}, groupName(group.group)),
        isHeld ? badge(text("held"), "bad") : badge(text("flowing"), "good"),
        isHeld
          ? button("resume", text("resume"), { of: whole, class: "small" })
          : button("pause", text("pause_group"), { of: whole, class: "small" })),
      figures([
        [text("depth"), count(group.depth)],
        [text("oldest"), group.oldestAgeMs === null ? "–" : duration(group.oldestAgeMs)],
        [text("in_flight"), text("in_batches", { n: count(group.inFlight), b: count(group.batches) })],
        [text("ready"), count(group.ready)],
        [text("throughput"), rate],
      ]),
      h("div", { class: "charts" },
        chart(decided, text("throughput"), scale(decided)),
        chart(depth, text("depth"), scale(depth))),
      h("h3", {}, text("longest")),
      group.longestLanes.length === 0 ? h("p", { class: "empty" }, text("nobody_waits")) : longest(group));
  }

  function heldLanes() {
    const held = groups.flatMap(({ pausedLanes }) => pausedLanes);
    return h("article", { class: "card", "data-key": "held" },
      h("div", { class: "row head" }, h("h2", {}, text("held_lanes")), button("pause", text("pause_by_name"), { class: "small" })),
      held.length === 0
        ? h("p", { class: "empty" }, text("no_held"))
        : table(text("held_lanes"), [
          [text("lane"), (lane) => name(lane)],
          [text("act"), (lane) => laneButton(lane, true)],
        ], held, (lane) => lane));
  }

  return {
    everyMs: 1_000,
    async load(signal) {
      ({ groups } = await app.read("/api/admin/lanes", {}, signal));
      for (const { group, decidedPerSecond, depth } of groups) {
        seriesOf(group).decided.add(decidedPerSecond);
        seriesOf(group).depth.add(depth);
      }
    },
    render() {
      if (groups === null) {
        return h("p", { class: "soft" }, text("loading"));
      }
      const held = groups.filter(({ group, pausedLanes }) => pausedLanes.includes(`${group}:*`));
      return [
        held.map(({ group }) =>
          h("p", { class: "notice bad loud", role: "alert", "data-key": `held-${group}` }, text("group_is_held", { group }))),
        h("div", { class: "cards", "data-key": "groups" }, groups.map(groupCard)),
        heldLanes(),
      ];
    },
    acts: { pause, resume },
  };
}
