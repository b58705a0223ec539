// Following a request to its end: by server-sent events, and by asking where those do not come through.
//
// `EventSource` cannot send a token, so the stream is read by fetch.

import { Refused, headers, read } from "./api.js";

const FINAL = ["SUCCEEDED", "FAILED"];

// Pauses of asking: what the server suggests, within these, and the longest one where it was not reached.
const PAUSE_MIN_MS = 100;
const PAUSE_MAX_MS = 5_000;

// A stream that is silent for longer is dead: the server speaks every 15 s.
const SILENCE_MAX_MS = 35_000;

// A browser opens six connections to a server for all its tabs, and a stream holds one. So a tab has one, and asks beside it.
const STREAMS_MAX = 1;

let streams = 0;

// Whether this status never changes again.
export const isFinal = (document) => FINAL.includes(document.status);

const pause = (ms, signal) =>
  new Promise((resolve, reject) => {
    const stop = () => { clearTimeout(timer); reject(signal.reason); };
    const timer = setTimeout(() => { signal.removeEventListener("abort", stop); resolve(); }, ms);
    signal.addEventListener("abort", stop, { once: true });
  });

// Calls `onDocument` with each document of the request until it is final, and returns that one; `onLost` when the server did
// not answer and will be asked again. It throws Refused when the server does not know the request or its caller, and stops
// when `signal` says so.
export async function follow(requestId, onDocument, signal, onLost = () => {}) {
  const path = `/api/requests/${encodeURIComponent(requestId)}`;
  for (;;) {
    const last = (await listen(`${path}/events`, onDocument, signal)) ?? (await ask(path, onDocument, signal));
    if (last && isFinal(last)) {
      return last;
    }
    if (!last) {
      onLost();
    }
    await pause(Math.min(Math.max(last?.nextPollMs ?? PAUSE_MAX_MS, PAUSE_MIN_MS), PAUSE_MAX_MS), signal);
  }
}

// One question. Nothing when there was no answer; a fault of the server is no answer.
async function ask(path, onDocument, signal) {
  try {
    const document = await read(path, {}, signal);
    onDocument(document);
    return document;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Refused && error.status < 500 && error.status !== 429) {
      throw error;
    }
    return null;
  }
}

// Reads events until the final one or the end of the stream, and returns the last document; nothing if none came.
async function listen(path, onDocument, signal) {
  if (streams >= STREAMS_MAX) {
    return null;
  }
  streams += 1;
  const silence = new AbortController();
  let watch = setTimeout(() => silence.abort(), SILENCE_MAX_MS);
  let last = null;
  try {
    const answer = await fetch(path, {
      headers: headers({ accept: "text/event-stream" }), cache: "no-store",
      signal: AbortSignal.any([signal, silence.signal]),
    });
    if (!answer.ok || !answer.headers.get("content-type")?.startsWith("text/event-stream")) {
      return null;
    }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ;) {
      const { value, done } = await reader.read();
      if (done) {
        return last;
      }
      clearTimeout(watch);
      watch = setTimeout(() => silence.abort(), SILENCE_MAX_MS);
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const data = event.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5)).join("\n");
        if (data) {
          last = JSON.parse(data);
          onDocument(last);
        }
      }
      if (last && isFinal(last)) {
        await reader.cancel();
        return last;
      }
    }
  } catch {
    signal.throwIfAborted();
    return last;
  } finally {
    streams -= 1;
    clearTimeout(watch);
  }
}
