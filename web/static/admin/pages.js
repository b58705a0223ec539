// A list of the API that is read page by page, and refreshed as far as it is shown.

import { text } from "/web/shared/language.js";
import { button } from "./parts.js";

const PAGE_ROWS = 50;

export class Pages {
  // Rows, once they are read; null before.
  items = null;
  // The last page that was read, with what it says beside its rows.
  last = null;
  #shown = 1;
  // Which list is meant: what is still on its way for another one comes too late.
  #meant = 0;
  #app; #path; #member;

  // The list at `path`, whose rows are the member `member` of its answers.
  constructor(app, path, member) {
    this.#app = app;
    this.#path = path;
    this.#member = member;
  }

  // Reads the pages that are shown.
  async load(signal, query = {}) {
    const meant = this.#meant;
    const items = [];
    let last = null;
    for (let page = 0; page < this.#shown && (last === null || last.nextCursor !== null); page += 1) {
      last = await this.#app.read(this.#path, { ...query, limit: PAGE_ROWS, cursor: last?.nextCursor }, signal);
      items.push(...last[this.#member]);
    }
    if (meant === this.#meant) {
      this.items = items;
      this.last = last;
    }
  }

  // Begins anew, with the first page.
  restart() {
    this.#meant += 1;
    this.#shown = 1;
    this.items = null;
    this.last = null;
  }

  // One page more from the next load on.
  showMore() {
    this.#shown += 1;
  }

  // The button for it, where there is more.
  moreButton(act = "more") {
    return Boolean(this.last?.nextCursor) && button(act, text("more"), { "data-key": `${act}-button` });
  }
}
