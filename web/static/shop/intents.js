// What a shopper means to do once: claim a coupon, order what is in the cart, charge the balance.
//
// An intent gets its idempotency key when it is meant, and is kept with the tab until its outcome is known. However often it
// is clicked, sent again or found after a reload, it is one and the same, so the shop does it once.

import { Refused, Unreachable, call } from "../shared/api.js";
import { follow, isFinal } from "../shared/follow.js";
import { current, onSession, renew, sessionSignal } from "./session.js";

const KEPT_AS = "droplane.intents";

// What is kept of an intent; the rest is learnt again.
const KEPT = ["user", "kind", "subject", "path", "body", "key", "shown", "requestId"];

// Pauses before the same is sent again, where the server does not say how long.
const PAUSE_MIN_MS = 1_000;
const PAUSE_MAX_MS = 10_000;

// Everybody was cut off at the same moment, and must not come back at the same moment.
const JITTER = 0.5;

const KEY_BYTES = 16;

const OVER = ["succeeded", "refused"];

let intents = [];
const listeners = new Set();

// Whether its outcome is known. `phase` is one of: sending; waiting, with the request's `document`, and `lost` while the
// server does not answer; retrying, because of `error`; unknown; succeeded, with a `result`; refused, with a `problem`.
export const isOver = (intent) => OVER.includes(intent.phase);

// The intent of this kind and subject that the shopper had last.
export const intentOf = (kind, subject = "") =>
  intents.find((intent) => intent.user === current()?.userId && intent.kind === kind && intent.subject === subject);

// Begins an intent, or returns the one that is under way. `shown` is kept for whoever shows it after a reload.
export function mean(kind, subject, path, body, shown = null) {
  const before = intentOf(kind, subject);
  if (before && !isOver(before)) {
    return before;
  }
  const intent = { user: current().userId, kind, subject, path, body, key: newKey(), shown, requestId: null };
  intents = [...intents.filter((other) => other !== before), intent];
  pursue(intent);
  return intent;
}

// Sends an intent again at once, with the key that it has.
export function sendAgain(intent) {
  if (intent.phase === "retrying") {
    intent.wake();
  } else if (intent.phase === "unknown") {
    intent.requestId = null;
    pursue(intent);
  }
}

// Forgets an outcome that was seen.
export function forget(intent) {
  intents = intents.filter((other) => other !== intent || !isOver(intent));
}

// Calls `listener` with an intent whenever something is new about it, until `signal`.
export function onIntent(listener, signal) {
  listeners.add(listener);
  signal.addEventListener("abort", () => listeners.delete(listener), { once: true });
}

// Goes on with what the shopper has begun before a reload, or before signing in again.
export function resume() {
  const kept = JSON.parse(sessionStorage.getItem(KEPT_AS) ?? "[]");
  intents = [...intents.filter(isOver), ...kept];
  intents.filter((intent) => !isOver(intent) && intent.user === current()?.userId).forEach(pursue);
}

onSession(resume);

async function pursue(intent) {
  const signal = sessionSignal();
  for (let failures = 0; !signal.aborted; failures += 1) {
    try {
      await send(intent, signal, () => {
        failures = 0;
      });
      return;
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      const passing = await passingCause(error);
      if (signal.aborted) {
        return;
      }
      if (passing) {
        change(intent, { phase: "retrying", error: passing });
        await pause(intent, passing, failures, signal);
      } else if (error instanceof Refused && error.problem.code === "R001") {
        change(intent, { phase: "unknown" });
        return;
      } else if (error instanceof Refused) {
        change(intent, { phase: "refused", problem: error.problem });
        return;
      } else {
        throw error;
      }
    }
  }
}

async function send(intent, signal, onAnswer) {
  const told = (document) => {
    onAnswer();
    change(intent, { phase: "waiting", requestId: document.requestId, document, lost: false });
  };
  let last = null;
  if (intent.requestId === null) {
    change(intent, { phase: "sending" });
    const { status, body } = await call("POST", intent.path, { body: intent.body, key: intent.key, signal });
    if (status !== 202) {
      change(intent, { phase: "succeeded", result: body });
      return;
    }
    last = body;
    told(last);
  } else {
    change(intent, { phase: "waiting", lost: false });
  }
  if (!last || !isFinal(last)) {
    const lost = () => change(intent, { lost: true });
    last = await follow(intent.requestId, (document) => isFinal(document) || told(document), signal, lost);
  }
  if (last.status === "SUCCEEDED") {
    change(intent, { phase: "succeeded", document: last, result: last.result });
  } else {
    change(intent, { phase: "refused", document: last, problem: last.error });
  }
}

// Why the same, sent again, may be answered otherwise; null where it will not. A fault that names a request is that request's
// outcome.
async function passingCause(error) {
  if (error.status === 401) {
    try {
      // Without a new token the session is over, and the intent goes on when its shopper is back.
      await renew();
      return error;
    } catch (reason) {
      return reason;
    }
  }
  const isFault = error instanceof Refused && error.status >= 500 && !error.headers.has("location");
  const isTooOften = error.status === 429 && error.problem.reason !== "ADDRESS_USED_UP";
  return error instanceof Unreachable || isFault || isTooOften ? error : null;
}

function pause(intent, error, failures, signal) {
  const told = Number(error.headers?.get("retry-after") ?? 0) * 1_000;
  const least = told || Math.min(PAUSE_MIN_MS * 2 ** failures, PAUSE_MAX_MS);
  return new Promise((resolve) => {
    intent.wake = resolve;
    setTimeout(resolve, least * (1 + Math.random() * JITTER));
    signal.addEventListener("abort", resolve, { once: true });
  });
}

function change(intent, news) {
  Object.assign(intent, news);
  const open = intents.filter((one) => !isOver(one));
  const kept = open.map((one) => Object.fromEntries(KEPT.map((member) => [member, one[member]])));
  sessionStorage.setItem(KEPT_AS, JSON.stringify(kept));
  listeners.forEach((listener) => listener(intent));
}

// `crypto.randomUUID` is there on safe addresses only, and a shop in a test network may have none.
const newKey = () =>
  [...crypto.getRandomValues(new Uint8Array(KEY_BYTES))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
