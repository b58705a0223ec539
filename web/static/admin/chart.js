// A small line of how something went lately.

import { h, svg } from "/web/shared/dom.js";

const WIDTH = 300;
const HEIGHT = 40;

// Nobody looked in between, so no line is drawn over it.
const GAP_MS = 10_000;

// How figures were within the last `spanMs`: samples are [moment in ms, figure], oldest first.
export class Series {
  samples = [];
  #spanMs;

  constructor(spanMs) {
    this.#spanMs = spanMs;
  }

  // Adds a figure of now; null: it is not known, and leaves a gap.
  add(figure) {
    const now = Date.now();
    this.samples.push([now, figure]);
    while (now - this.samples[0][0] > this.#spanMs) {
      this.samples.shift();
    }
  }

  // The largest figure; 0 where there is none.
  most() {
    return Math.max(0, ...this.samples.map(([, figure]) => figure ?? 0));
  }

  // The line from `spanMs` ago on the left to now on the right, between 0 and the largest figure.
  draw(label) {
    const newest = this.samples.at(-1)?.[0] ?? 0;
    const most = this.most() || 1;
    const x = (at) => (WIDTH * (1 - (newest - at) / this.#spanMs)).toFixed(1);
    const y = (figure) => (HEIGHT - 1 - (HEIGHT - 2) * (figure / most)).toFixed(1);
    let path = "";
    let before = null;
    for (const [at, figure] of this.samples) {
      if (figure !== null) {
        path += `${before !== null && at - before < GAP_MS ? "L" : "M"}${x(at)} ${y(figure)}`;
      }
      before = figure === null ? null : at;
    }
    const box = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "line", role: "img", "aria-label": label };
    return svg("svg", box, svg("path", { d: path || "M0 0", "vector-effect": "non-scaling-stroke" }));
  }
}

// A line with its words: what it shows, and its scale.
export const chart = (series, words, scale) =>
  h("figure", { class: "chart" }, h("figcaption", {}, words, h("span", { class: "soft" }, scale)), series.draw(`${words}, ${scale}`));
