// Calls of the shop's API.

import { language } from "./language.js";

// An answer that takes longer is given up. The server holds an answer for 30 s at most.
const ANSWER_MAX_MS = 40_000;

// The server said no. `problem` is its RFC 9457 document: code, error, message and the members of that code; `headers` are
// those of the answer.
export class Refused extends Error {
  constructor(status, problem, headers = new Headers()) {
    super(problem?.message ?? problem?.title ?? `HTTP ${status}`);
    this.status = status;
    this.problem = problem ?? {};
    this.headers = headers;
  }
}

// There was no answer, or none that could be read. What was asked for may have happened.
export class Unreachable extends Error {}

let bearer = () => null;

// Where the token comes from that goes along with each call; it may say null.
export function useToken(source) {
  bearer = source;
}

// What every call carries.
export function headers(more = {}) {
  const token = bearer();
  return { "accept-language": language(), ...(token ? { authorization: `Bearer ${token}` } : {}), ...more };
}

// Asks and returns { status, body }. `query` leaves out what is null or undefined; `key` is an Idempotency-Key; `signal`
// gives up early, `withinMs` is for what takes long by nature. Throws Refused or Unreachable.
export async function call(method, path, { query = {}, body, key, signal, withinMs = ANSWER_MAX_MS, more = {} } = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const search = given.length > 0 ? `?${new URLSearchParams(given)}` : "";
  const carried = headers(more);
  if (body !== undefined) {
    carried["content-type"] = "application/json";
  }
  if (key !== undefined) {
    carried["idempotency-key"] = key;
  }
  const ends = AbortSignal.any([AbortSignal.timeout(withinMs), ...(signal ? [signal] : [])]);
  let answer, document;
  try {
    answer = await fetch(path + search, {
      method, headers: carried, signal: ends, cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    document = answer.status === 204 ? null : await answer.json();
  } catch (error) {
    if (signal?.aborted) {
      throw error;
    }
    throw new Unreachable(error.message, { cause: error });
  }
  if (!answer.ok) {
    throw new Refused(answer.status, document, answer.headers);
  }
  return { status: answer.status, body: document };
}

// The body of a GET.
export const read = async (path, query, signal) => (await call("GET", path, { query, signal })).body;
