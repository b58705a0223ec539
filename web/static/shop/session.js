// Who is shopping, and how they prove it. Kept with the tab, so that two tabs can be two shoppers.

import { Refused, call, read, useToken } from "../shared/api.js";

const KEPT_AS = "droplane.shopper";

// Until the server has said otherwise, nobody is believed without a token.
let settings = { auth: "jwt", demoTokens: false };
let shopper = JSON.parse(sessionStorage.getItem(KEPT_AS) ?? "null");
let ends = new AbortController();
const listeners = [];

useToken(() => shopper?.token ?? null);

// Asks the server how shoppers sign in here.
export async function loadSettings() {
  settings = await read("/web/settings");
}

// { userId, token }; null: nobody is signed in.
export const current = () => shopper;

// Ends when somebody else signs in, or nobody.
export const sessionSignal = () => ends.signal;

// Whether anybody may choose who to be.
export const isDemo = () => settings.auth === "off" || settings.demoTokens;

// The members by which a call says in whose name it is. Where tokens are demanded, the token says it.
export const inName = () => (settings.auth === "off" ? { userId: shopper.userId } : {});

// Calls `listener` whenever somebody signs in or out.
export const onSession = (listener) => listeners.push(listener);

// Signs in as this shopper, without proof or with a token that everybody gets. Throws Refused or Unreachable.
export async function signInAs(userId) {
  keep({ userId, token: settings.auth === "off" ? null : await demoToken(userId) });
}

// Signs in with a token of the shopper's own. The server says whose it is, and throws Refused where it is nobody's.
export async function signInWith(token) {
  const before = shopper;
  shopper = { userId: "", token };
  try {
    const { userId } = await read("/api/users/balance");
    keep({ userId, token });
  } catch (error) {
    shopper = before;
    throw error;
  }
}

export function signOut() {
  keep(null);
}

// Gets a new token in place of one that has ended. Says whether there is one; else the shopper is signed out.
export async function renew() {
  if (shopper?.token && settings.demoTokens) {
    try {
      shopper = { ...shopper, token: await demoToken(shopper.userId) };
      sessionStorage.setItem(KEPT_AS, JSON.stringify(shopper));
      return true;
    } catch (error) {
      if (!(error instanceof Refused) || error.status >= 500) {
        throw error;
      }
    }
  }
  signOut();
  return false;
}

const demoToken = async (userId) => (await call("POST", "/web/tokens", { body: { userId } })).body.token;

function keep(next) {
  shopper = next;
  if (next) {
    sessionStorage.setItem(KEPT_AS, JSON.stringify(next));
  } else {
    sessionStorage.removeItem(KEPT_AS);
  }
  ends.abort();
  ends = new AbortController();
  listeners.forEach((listener) => listener());
}
