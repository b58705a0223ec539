"use strict";

// Asked anew so often. The newest of each kind are shown; how many came stands beside the heading.
const LOOK_EVERY_MS = 1000;
const SHOWN = 100;

const PLAIN = ["ok", "fail", "hang", "slow", "refuse"];
const HTTP = [...PLAIN, "drip", "redirect", "flood"];
const SWITCHES = {
  gateway: ["Payment gateway", [...HTTP, "take_and_hang", "take_and_fail", "take_and_cut"]],
  orders: ["Order system", HTTP],
  mail: ["Mail server", PLAIN],
  alerts: ["Alerts", HTTP],
  humans: ["Verifier of persons", HTTP],
};

const time = (text) => text.slice(11, 23);
const answered = (item) => item.answer ?? "none";
const well = (item) => (item.answer >= 200 && item.answer < 300 ? "good" : "bad");

// The columns of each list: a heading, the text, and perhaps a class.
const LISTS = {
  payments: [
    ["at", (p) => time(p.at)],
    ["charge", (p) => p.chargeId ?? ""],
    ["amount", (p) => `${p.amount.toLocaleString()} ${p.currency}`],
    ["method", (p) => p.paymentMethod ?? ""],
    ["key", (p) => p.idempotencyKey ?? ""],
    ["answer", (p) => answered(p) + (p.replayed ? ", replayed" : ""), well],
  ],
  ledger: [
    ["at", (t) => time(t.at)],
    ["charge", (t) => t.chargeId ?? ""],
    ["amount", (t) => `${t.amount.toLocaleString()} ${t.currency}`],
    ["method", (t) => t.paymentMethod],
    ["intent", (t) => t.intent],
  ],
  orders: [
    ["at", (o) => time(o.at)],
    ["id", (o) => o.webhookId ?? ""],
    ["signature", (o) => o.signature, (o) => (o.signature === "good" ? "good" : "bad")],
    ["body", (o) => o.body],
    ["answer", answered, well],
  ],
  mails: [
    ["at", (m) => time(m.at)],
    ["to", (m) => m.to.join(", ")],
    ["subject", (m) => m.subject],
    ["text", (m) => m.body],
    ["answer", answered, well],
  ],
  alerts: [
    ["at", (a) => time(a.at)],
    ["body", (a) => a.body],
    ["answer", answered, well],
  ],
  humans: [
    ["at", (h) => time(h.at)],
    ["token", (h) => h.token],
    ["address", (h) => h.remoteIp],
    ["person", (h) => (h.success === null ? "" : h.success ? "yes" : "no"), (h) => (h.success ? "good" : "bad")],
    ["answer", answered, well],
  ],
};

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

async function ask(path, options) {
  const answer = await fetch(path, options);
  const body = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) {
    throw new Error(body.error);
  }
  return body;
}

const shown = {};

function show(name, items, total) {
  // What is as it was is left alone, so that somebody can select text in it.
  const now = JSON.stringify([items, total]);
  if (shown[name] === now) {
    return;
  }
  shown[name] = now;
  const columns = LISTS[name];
  const head = element("tr", {}, ...columns.map(([title]) => element("th", { scope: "col", textContent: title })));
  const rows = items.toReversed().map((item) =>
    element("tr", {}, ...columns.map(([, text, kind]) =>
      element("td", { className: kind ? kind(item) : "" }, element("pre", { textContent: text(item) })))));
  document.getElementById(name).replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
  const newest = total > items.length ? `, the newest ${items.length}` : "";
  document.getElementById(`${name}-count`).textContent = `(${total.toLocaleString()}${newest})`;
}

// What a switch is set to, in words.
function inWords({ mode, status, ms, times }) {
  const how = [mode.replaceAll("_", " "), status, ms === undefined ? undefined : `${ms} ms`];
  const until = times === undefined ? "" : `, ${times} more`;
  return how.filter((part) => part !== undefined).join(" ") + until;
}

function showFaults(faults) {
  for (const [target, fault] of Object.entries(faults)) {
    const form = document.getElementById(`switch-${target}`);
    form.classList.toggle("broken", fault.mode !== "ok");
    form.querySelector(".now").textContent = inWords(fault);
  }
}

function number(title, name, value, min, max) {
  const input = element("input", { type: "number", name, value, min, max });
  return element("label", { className: name }, `${title} `, input);
}

function makeSwitch(target) {
  const [title, modes] = SWITCHES[target];
  const options = modes.map((mode) => element("option", { value: mode, textContent: mode.replaceAll("_", " ") }));
  const select = element("select", { name: "mode" }, ...options);
  const form = element("form", { id: `switch-${target}` },
    element("h3", { textContent: title }),
    element("p", { className: "now" }),
    element("label", {}, "mode ", select),
    number("status", "status", 500, 400, 599),
    number("ms", "ms", 2000, 0, 600000),
    number("times", "times", "", 1, 4294967295),
    element("button", { textContent: "Set" }),
    element("p", { className: "error" }));
  const fit = () => {
    form.querySelector(".status").hidden = !select.value.endsWith("fail");
    form.querySelector(".ms").hidden = select.value !== "slow";
    form.querySelector(".times").hidden = select.value === "ok";
  };
  select.addEventListener("change", fit);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const fault = { mode: select.value };
    for (const name of ["status", "ms", "times"]) {
      const label = form.querySelector(`.${name}`);
      const value = label.querySelector("input").value;
      if (!label.hidden && value !== "") {
        fault[name] = Number(value);
      }
    }
    const error = form.querySelector(".error");
    try {
      showFaults(await ask(`faults/${target}`, { method: "PUT", body: JSON.stringify(fault) }));
      error.textContent = "";
    } catch (why) {
      error.textContent = why.message;
    }
  });
  fit();
  return form;
}

async function look() {
  const state = document.getElementById("state");
  try {
    const [arrived, faults] = await Promise.all([ask(`arrived?limit=${SHOWN}`), ask("faults")]);
    showFaults(faults);
    for (const name of Object.keys(LISTS)) {
      show(name, arrived[name], arrived.totals[name]);
    }
    state.textContent = "";
  } catch (why) {
    state.textContent = `cannot be reached: ${why.message}`;
  }
}

// One look after the other, however long one takes, and none while nobody sees it.
async function keepLooking() {
  if (!document.hidden) {
    await look();
  }
  setTimeout(keepLooking, LOOK_EVERY_MS);
}

document.getElementById("switches").append(...Object.keys(SWITCHES).map(makeSwitch));
document.getElementById("forget").addEventListener("click", async () => {
  await ask("arrived", { method: "DELETE" });
  await look();
});
keepLooking();
