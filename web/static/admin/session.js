// The operator's token: asked for once per tab, forgotten with it, and never written anywhere else.

const KEPT_AS = "droplane.admin.token";

// What can be sent in a header; anything else is no token.
const SENDABLE = /^[\x21-\x7e]+$/;

// The token; null where there is none.
export const token = () => sessionStorage.getItem(KEPT_AS);

// Whether this text can be a token at all.
export const isSendable = (text) => SENDABLE.test(text);

// Keeps a token for as long as the tab lives.
export const keepToken = (text) => sessionStorage.setItem(KEPT_AS, text);

// Forgets the token.
export const forgetToken = () => sessionStorage.removeItem(KEPT_AS);
