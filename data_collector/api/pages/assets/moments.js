// Moments like this: past windows that look like the last candles of the chart, and what followed each.

import { intervalMs } from "/assets/candles.js";
import { drawFan, percentOf, signed } from "/assets/fan.js";
import { nextFrame } from "/assets/frame.js";
import { beyondLuck, FEW } from "/assets/luck.js";
import { routeOf } from "/assets/routes.js";
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
/** Of less similarity, windows are not what people call alike. */
const ALIKE = 0.5;
/** What a trade usually costs, in percent. */
const FEE = 0.1;
const DAY_MS = 86400000;
/** Of days nearer than this a date needs no year. */
const YEAR_DAYS = 300;

export class MomentsPanel {
  #focus = null;
  #page = null;
  #told = null;
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
    const answer = await fetch(routeOf("/similar", { ...this.#focus, window, k, horizons }), { signal, headers: { Accept: "application/json" } });
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
    for (const name of ["verdict", "worth", "outcome", "found", "tally", "inside"]) {
      setText(byId(`moments-${name}`), told[name]);
    }
    this.#told = told;
    this.#showHits(told.decimals);
    nextFrame(this.#draw);
  }

  /** Writes the times anew. */
  retime() {
    if (this.#told !== null && this.#page !== null) {
      this.#showHits(this.#told.decimals);
    }
  }

  #showHits(decimals) {
    const { hits, outcome, at } = this.#page;
    const longest = outcome.at(-1).horizon;
    setText(byId("moments-after"), `After ${longest}`);
    const isRecent = hits.every(({ end }) => Date.parse(at) - Date.parse(end) < YEAR_DAYS * DAY_MS);
    const rows = byId("moments-hits");
    resize(rows, hits.length, makeRow);
    hits.forEach((hit, i) => {
      const [when, similarity, scale, after] = rows.children[i].children;
      setText(when, minute(Date.parse(hit.end)).slice(isRecent ? "2024-".length : 0));
      setText(similarity, figure(hit.similarity));
      setText(scale, `× ${hit.scale.toFixed(2)}`);
      setText(after, signed(percentOf(hit.after[longest]), decimals));
    });
  }

  #draw = () => {
    if (this.#page !== null) {
      drawFan(this.#plot, this.#page, this.#plot.clientWidth || 600, HEIGHT, this.#told.drawn);
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
  const { hits, interval } = page;
  const [outcome, random] = [page.outcome.at(-1), page.random.at(-1)];
  const [low, high] = ["lower_quartile", "upper_quartile"].map((name) => percentOf(outcome[name] ?? 0));
  const decimals = Math.min(4, Math.max(2, Math.ceil(1 - Math.log10(high - low || 1))));
  const say = (value) => signed(percentOf(value ?? 0), decimals);
  const lasting = (horizon) => span((horizon * intervalMs(interval)) / 1000);
  const ends = hits.map(({ after }) => after[outcome.horizon]);
  const within = ends.filter((end) => end >= outcome.lower_quartile && end <= outcome.upper_quartile).length;
  const inside = `${within} of ${hits.length}`;
  const any = `any ${lasting(outcome.horizon)}`;
  const beyond = beyondLuck(page);
  const isLuck = beyond.length === 0;
  const remark = isFew(page) ? "too few to tell" : isLuck ? "no better than random" : "differs from random";
  const told = `${counted(outcome.horizon, "candle")} (${lasting(outcome.horizon)}) later: lowest ${say(Math.min(...ends))}, middle half `
    + `(${inside}) ${say(outcome.lower_quartile)} to ${say(outcome.upper_quartile)}, highest ${say(Math.max(...ends))}. `
    + `${counted(random.n, "random window")} (${any}): middle half ${say(random.lower_quartile)} to ${say(random.upper_quartile)}.`;
  return {
    verdict: verdict(beyond, hits.length, lasting), worth: worth(page, isLuck, say), outcome: told, found: found(page),
    tally: tally(ends, decimals), inside: `their middle half (${inside}) and median${isLuck ? "" : ", dashed on the way"}`, decimals,
    drawn: { isLuck, remark, inside, any },
  };
}

function verdict([surest], hits, lasting) {
  if (surest === undefined) {
    return "Tells nothing about what comes next.";
  }
  const { horizon, above, below } = surest;
  const side = above > below ? "above" : "below";
  return `Differs from random by more than luck: ${Math.max(above, below)} of ${hits} were ${side} the random median ${lasting(horizon)} later.`;
}

function isFew({ outcome }) {
  return outcome.every(({ effective_n }) => effective_n < FEW);
}

function worth(page, isLuck, say) {
  const { hits, outcome, random } = page;
  const { effective_n: independent, median } = outcome.at(-1);
  const unlike = hits.length - hits.filter(isAlike).length;
  const said = unlike === 0 ? [] : [`${unlike} of ${hits.length} hardly ${unlike === 1 ? "looks" : "look"} like now.`];
  const isEach = Math.round(independent) >= hits.length;
  const many = isEach ? counted(hits.length, "case") : `${counted(hits.length, "case")}, worth ${independent.toFixed(1)} independent ones`;
  if (isFew(page)) {
    return [...said, `Only ${many}: too few to tell anything.`].join(" ");
  }
  const against = `a median of ${say(median)} against ${say(random.at(-1).median)} at random`;
  said.push(isLuck ? `Only ${many}: ${against} is within luck. At no point drawn do they differ from random by more than luck.`
    : `Only ${many}: at the end ${against}. One look in twenty differs so by luck alone.`);
  if (Math.abs(percentOf(median)) < FEE) {
    said.push(`The median is smaller than usual fees of ${FEE} % a trade.`);
  }
  return said.join(" ");
}

function found({ hits, candles, begins, at }) {
  const similarities = hits.map(({ similarity }) => similarity);
  const days = Math.round((Date.parse(at) - Date.parse(begins)) / DAY_MS);
  const when = days < 2 ? `${counted(candles, "candle")}` : `the last ${counted(days, "day")}`;
  return `${counted(hits.length, "past window")} most like the last candles, of ${when}: similarity `
    + `${figure(Math.min(...similarities))} to ${figure(Math.max(...similarities))} (1 = same shape, not a probability).`;
}

function tally(ends, decimals) {
  const shown = ends.map((end) => Number(percentOf(end).toFixed(decimals)));
  const [up, down] = [shown.filter((end) => end > 0).length, shown.filter((end) => end < 0).length];
  const same = ends.length - up - down;
  return `${up} up, ${down} down${same === 0 ? "" : `, ${same} unchanged`}`;
}
