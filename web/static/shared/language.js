// Korean or English: texts, numbers and times.

const KEPT_AS = "droplane.language";
const LOCALES = { ko: "ko-KR", en: "en-GB" };
const texts = { ko: {}, en: {} };
const listeners = [];

// The kept choice, else what the browser prefers, else Korean.
let chosen = localStorage.getItem(KEPT_AS) ?? (navigator.language.startsWith("en") ? "en" : "ko");
if (!(chosen in LOCALES)) {
  chosen = "ko";
}
document.documentElement.lang = chosen;

// "ko" or "en"; also what `Accept-Language` says, so that the server's texts match.
export const language = () => chosen;

// Keeps the choice and tells all who asked to be told.
export function choose(next) {
  chosen = next;
  localStorage.setItem(KEPT_AS, next);
  document.documentElement.lang = next;
  listeners.forEach((listener) => listener(next));
}

// Calls `listener` after each change of language.
export const onChange = (listener) => listeners.push(listener);

// Adds texts: { key: ["한국어", "English"], … }. A text may have places such as {amount}.
export function addTexts(pairs) {
  for (const [key, [korean, english]] of Object.entries(pairs)) {
    texts.ko[key] = korean;
    texts.en[key] = english;
  }
}

// Whether there is a text of this key.
export const hasText = (key) => key in texts[chosen];

// The text of this key with its places filled.
export function text(key, values = {}) {
  const found = texts[chosen][key];
  if (found === undefined) {
    throw new Error(`no text ${key}`);
  }
  return found.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

// 1,234
export const count = (number) => number.toLocaleString(LOCALES[chosen]);

// 1,234원 or ₩1,234; below 0 -1,234원 or -₩1,234.
export function won(amount) {
  if (chosen === "ko") {
    return `${count(amount)}원`;
  }
  return `${amount < 0 ? "-" : ""}₩${count(Math.abs(amount))}`;
}

// A time of the server in the reader's zone, to the second; a dash where there is none.
export const time = (iso) =>
  iso ? new Date(iso).toLocaleString(LOCALES[chosen], { dateStyle: "medium", timeStyle: "medium" }) : "–";
