// A line of the newest closes per symbol. Closes are fetched for rows in sight only, a few at a time, and then kept.

import { fetchCandles, intervalMs } from "/assets/candles.js";
import { byId } from "/assets/text.js";

const POINTS = 60;
const AT_ONCE = 2;
const RETRY_MS = 10000;
const WIDTH = 100;
const HEIGHT = 24;
const MARGIN = 2;

export class Sparklines {
  #market;
  #onLoaded;
  #interval = null;
  #series = new Map();
  #queue = [];
  #underWay = 0;

  /** `onLoaded` is called when there is something new to draw. */
  constructor(market, onLoaded) {
    this.#market = market;
    this.#onLoaded = onLoaded;
  }

  /** Takes the shortest interval of a minute or more; others begin anew. */
  setIntervals(intervals) {
    const sorted = [...intervals].sort((a, b) => intervalMs(a) - intervalMs(b));
    const chosen = sorted.find((interval) => intervalMs(interval) >= 60000) ?? sorted.at(-1) ?? null;
    if (chosen !== this.#interval) {
      this.#interval = chosen;
      this.begin();
    }
  }

  /** Forgets all lines; what is under way comes too late for those that follow. */
  begin() {
    this.#series = new Map();
    this.#queue = [];
  }

  get interval() {
    return this.#interval;
  }

  /** Says which symbols are looked at; what they lack is fetched. */
  want(symbols) {
    if (this.#interval === null || document.hidden) {
      return;
    }
    this.#queue = symbols.filter((symbol) => this.#isMissing(symbol));
    this.#fetchNext();
  }

  /** The points of a polyline, and the direction from its beginning to its end; null while there are too few. */
  line(row) {
    const series = this.#series.get(row.symbol);
    if (!series?.closes || row.value === null) {
      return null;
    }
    this.#moveOn(series, row.value);
    const values = [...series.closes, row.value];
    if (values.length < 2) {
      return null;
    }
    const least = Math.min(...values);
    const range = Math.max(...values) - least || 1;
    const step = WIDTH / (values.length - 1);
    const y = (value) => HEIGHT - MARGIN - ((value - least) / range) * (HEIGHT - 2 * MARGIN);
    const points = values.map((value, i) => `${(i * step).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
    return { points, direction: row.value === values[0] ? "" : row.value > values[0] ? "up" : "down" };
  }

  #slot() {
    return Math.floor(this.#market.now() / intervalMs(this.#interval));
  }

  #isMissing(symbol) {
    const series = this.#series.get(symbol);
    if (series === undefined) {
      return true;
    }
    // A row that was out of sight for some candles is fetched anew, and so is one of which there was little.
    const isOld = series.slot !== undefined && this.#slot() - series.slot > 1;
    return !series.isUnderWay && (isOld || (series.isThin && Date.now() - series.at > RETRY_MS));
  }

  #moveOn(series, value) {
    if (this.#slot() - series.slot === 1) {
      series.slot += 1;
      series.closes = [...series.closes, value].slice(-POINTS);
    }
  }

  #fetchNext() {
    while (this.#underWay < AT_ONCE && this.#queue.length > 0) {
      this.#fetch(this.#queue.shift());
    }
  }

  async #fetch(symbol) {
    const [interval, series] = [this.#interval, this.#series];
    this.#underWay += 1;
    series.set(symbol, { isUnderWay: true });
    try {
      const { candles } = await fetchCandles({ symbol, interval, now: this.#market.now(), count: POINTS });
      const slot = this.#slot();
      const closes = candles.filter(({ isClosed }) => isClosed).map(({ close }) => close);
      series.set(symbol, { slot, closes, at: Date.now(), isThin: closes.length < POINTS / 2 });
    } catch {
      series.set(symbol, { at: Date.now(), isThin: true });
    }
    this.#underWay -= 1;
    this.#onLoaded();
    this.#fetchNext();
  }
}

/** Puts an empty line into a cell. */
export function makeLine(cell) {
  cell.append(byId("sparkline").content.cloneNode(true));
}

/** Draws what `Sparklines.line` gave. */
export function writeLine(cell, line) {
  const svg = cell.firstElementChild;
  const points = line?.points ?? "";
  if (svg.firstElementChild.getAttribute("points") !== points) {
    svg.firstElementChild.setAttribute("points", points);
    svg.dataset.direction = line?.direction ?? "";
  }
}
