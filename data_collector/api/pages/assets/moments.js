// Moments like this: past windows that look like the last candles of the chart, and what followed each.

import { intervalMs } from "/assets/candles.js";
import { drawFan, percentOf, signed } from "/assets/fan.js";
import { nextFrame } from "/assets/frame.js";
import { byId, counted, element, minute, resize, setText, span } from "/assets/text.js";

const HITS = 12;
/** So many are shown whatever they look like. */
const HITS_LEAST = 3;
/** Of the window, how many candles after it are told. */
const HORIZONS = [0.125, 0.25, 0.5, 0.75, 1];
const HEIGHT = 300;
/** So long after a candle has closed it is remembered; all who look on at once ask a little apart. */
const SETTLED_MS = 2000;
const APART_MS = 2000;
/** Asked again so often, should no close be told. */
const STALE_MS = 60000;
const RETRY_MS = 5000;
const RETRY_MOST_MS = 30000;
/** Fewer independent outcomes than this tell nothing, whatever they say. */
const FEW = 10;
/** Of less similarity, windows are not what people call alike. */
const ALIKE = 0.5;

export class MomentsPanel {
  #focus = null;
  #page = null;
  #asking = null;
  #again = 0;
  #isSeen = false;
  #isDue = true;
  #window = byId("moments-window");
  #plot = byId("moments-plot");

  constructor() {
    this.#window.addEventListener("change", () => this.#begin());
    new ResizeObserver(() => nextFrame(this.#draw)).observe(this.#plot);
    // Nobody is asked for what nobody looks at.
    new IntersectionObserver(([entry]) => {
      this.#isSeen = entry.isIntersecting;
      this.#askIfDue();
    }).observe(byId("moments"));
    document.addEventListener("visibilitychange", () => this.#askIfDue());
  }

  /** Shows the moments of another chart. */
  show(symbol, interval) {
    this.#focus = { symbol, interval };
    setText(byId("moments-of"), `${symbol} ${interval}`);
    this.#begin();
  }

  /** Takes a `candle` event. */
  take({ symbol, interval, closed }) {
    if (closed && symbol === this.#focus?.symbol && interval === this.#focus.interval) {
      this.#askIn(SETTLED_MS + Math.random() * APART_MS);
    }
  }

  #begin() {
    this.#page = null;
    this.#asking?.abort();
    this.#asking = null;
    this.#say("Looking for moments like this…");
    this.#isDue = true;
    this.#askIfDue();
  }

  #askIn(ms) {
    clearTimeout(this.#again);
    this.#again = setTimeout(() => {
      this.#isDue = true;
      this.#askIfDue();
    }, ms);
  }

  #askIfDue() {
    if (this.#isDue && this.#isSeen && !document.hidden && this.#focus !== null && this.#asking === null) {
      this.#isDue = false;
      this.#ask();
    }
  }

  async #ask() {
    const asking = new AbortController();
    this.#asking = asking;
    clearTimeout(this.#again);
    try {
      let { answer, page } = await this.#fetch(HITS, asking.signal);
      const alike = answer.ok ? page.hits.filter(isAlike).length : HITS;
      if (answer.ok && alike < page.hits.length) {
        // What followed windows of another shape is of no interest.
        ({ answer, page } = await this.#fetch(Math.max(alike, HITS_LEAST), asking.signal));
      }
      if (answer.ok) {
        this.#page = page;
        this.#show();
        this.#askIn(STALE_MS);
      } else {
        const after = Number(answer.headers.get("Retry-After"));
        // What passes in a moment does not take away what was there.
        this.#page = after > 0 ? this.#page : null;
        this.#say(page.detail);
        // What is off, or wrong, is so until somebody changes it; a window without a shape passes, and so does too little history.
        if (after > 0) {
          this.#askIn(Math.min(RETRY_MOST_MS, 1000 * after));
        } else if (answer.status === 409) {
          this.#askIn(RETRY_MOST_MS / 3);
        }
      }
    } catch (error) {
      if (!asking.signal.aborted) {
        this.#page = null;
        this.#say(`Moments cannot be loaded: ${error.message}`);
        this.#askIn(RETRY_MS);
      }
    } finally {
      if (this.#asking === asking) {
        this.#asking = null;
      }
    }
  }

  async #fetch(k, signal) {
    const window = Number(this.#window.value);
    const horizons = HORIZONS.map((share) => Math.round(share * window)).join();
    const query = new URLSearchParams({ ...this.#focus, window, k, horizons });
    const answer = await fetch(`/similar?${query}`, { signal, headers: { Accept: "application/json" } });
    return { answer, page: await answer.json() };
  }

  #say(text) {
    byId("moments-answer").hidden = this.#page === null;
    byId("moments-note").hidden = false;
    setText(byId("moments-note"), text);
  }

  #show() {
    const page = this.#page;
    if (page.hits.length === 0) {
      this.#page = null;
      this.#say(`Of ${counted(page.candles, "candle")} no window lies so far back that what followed it is known.`);
      return;
    }
    byId("moments-note").hidden = true;
    byId("moments-answer").hidden = false;
    const told = words(page);
    setText(byId("moments-found"), told.found);
    setText(byId("moments-outcome"), told.outcome);
    setText(byId("moments-worth"), told.worth);
    this.#showHits(told.decimals);
    nextFrame(this.#draw);
  }

  #showHits(decimals) {
    const { hits, outcome } = this.#page;
    const longest = outcome.at(-1).horizon;
    setText(byId("moments-after"), `After ${longest}`);
    const rows = byId("moments-hits");
    resize(rows, hits.length, makeRow);
    hits.forEach((hit, i) => {
      const [when, similarity, scale, after] = rows.children[i].children;
      const followed = percentOf(hit.after[longest]);
      setText(when, minute(Date.parse(hit.end)));
      setText(similarity, figure(hit.similarity));
      setText(scale, `× ${hit.scale.toFixed(2)}`);
      setText(after, signed(followed, decimals));
      const shown = Number(followed.toFixed(decimals));
      after.dataset.direction = shown === 0 ? "" : shown > 0 ? "up" : "down";
    });
  }

  #draw = () => {
    if (this.#page !== null) {
      const isWorthLittle = this.#page.outcome.at(-1).effective_n < FEW;
      drawFan(this.#plot, this.#page, this.#plot.clientWidth || 600, HEIGHT, isWorthLittle);
    }
  };
}

function isAlike({ similarity }) {
  return similarity >= ALIKE;
}

function figure(number) {
  return number.toFixed(2).replace("-", "−");
}

function makeRow() {
  const row = element("tr");
  row.append(element("td", "time"), element("td", "number"), element("td", "number"), element("td", "number"));
  return row;
}

/** What there is to say of an answer with hits, and how many decimals its percentages need. */
export function words(page) {
  const { hits, interval, candles, begins } = page;
  const outcome = page.outcome.at(-1);
  const random = page.random.at(-1);
  const [low, high, median] = ["lower_quartile", "upper_quartile", "median"].map((name) => percentOf(outcome[name] ?? 0));
  const decimals = Math.min(4, Math.max(2, Math.ceil(1 - Math.log10(high - low || 1))));
  const say = (value) => signed(percentOf(value ?? 0), decimals);
  const similarities = hits.map(({ similarity }) => similarity);
  const duration = span((outcome.horizon * intervalMs(interval)) / 1000);
  const found = `${counted(hits.length, "past window")} most like the last candles, of similarity ${figure(Math.min(...similarities))} to `
    + `${figure(Math.max(...similarities))} (1 is the same shape), out of ${counted(candles, "candle")} since ${minute(Date.parse(begins))} UTC.`;
  const told = `${counted(outcome.horizon, "candle")} (${duration}) later half of them were between ${say(outcome.lower_quartile)} and `
    + `${say(outcome.upper_quartile)}, median ${say(outcome.median)}; of ${counted(random.n, "window")} drawn at random, between `
    + `${say(random.lower_quartile)} and ${say(random.upper_quartile)}, median ${say(random.median)}.`;
  const unlike = hits.length - hits.filter(isAlike).length;
  const alike = unlike === 0 ? "" : `${unlike} of ${hits.length} hardly ${unlike === 1 ? "looks" : "look"} like now. `;
  return { found, outcome: told, worth: alike + worth(outcome, random, median), decimals };
}

function worth(outcome, random, median) {
  const many = `What followed counts as ${outcome.effective_n.toFixed(outcome.effective_n < FEW ? 1 : 0)} independent outcomes`;
  if (outcome.effective_n < FEW) {
    return `${many}: too few to tell anything.`;
  }
  const isInside = median >= percentOf(random.lower_quartile ?? 0) && median <= percentOf(random.upper_quartile ?? 0);
  return isInside
    ? `${many}, and their median is where windows drawn at random end too: the shape tells nothing here.`
    : `${many}. Their median is outside the middle half of windows drawn at random, which chance alone also does now and then.`;
}
