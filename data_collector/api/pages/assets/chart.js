// The candlestick chart: history by scrolling back, a live last candle, volume, and its text alternative.

import { candleOfEvent, fetchCandles, intervalMs, merged, since } from "/assets/candles.js";
import { nextFrame } from "/assets/frame.js";
import { tellRemaining, tellSeries } from "/assets/legend.js";
import { byId, decimalsOf, grouped, setText } from "/assets/text.js";
import { markText, openTime } from "/assets/times.js";

const PAGE = 500;
/** The next page is fetched when fewer candles than this are left of what is in sight. */
const AHEAD = 50;
/** A longer hole ends the chart. */
const HOLE_PAGES_MOST = 10;
/** Candles in sight at first, and the pixels that each has at least. */
const IN_SIGHT = 120;
const PIXELS_LEAST = 6;
/** More than this are not kept: a year of minutes would be half a million. */
const CANDLES_MOST = 50000;
const KEY_STEP = 10;
const REFRESH_MS = 5000;
const RETRY_MS = 3000;
const RETRY_MOST_MS = 10000;
/** Candles that were fetched so recently are not fetched again. */
const FRESH_MS = 1000;

const { createChart, CandlestickSeries, HistogramSeries } = globalThis.LightweightCharts;

export class ChartPanel {
  #box = byId("chart");
  #market;
  #chart;
  #prices;
  #volumes;
  #symbol = null;
  #interval = null;
  #candles = [];
  #decimals = 2;
  #loading = null;
  #isExhausted = true;
  #refreshedAt = 0;
  #retry = 0;
  #patience = RETRY_MS;
  #hovered = null;
  #drawnUntil = 0;
  #colours = {};

  constructor(market) {
    this.#market = market;
    this.#chart = createChart(this.#box, {
      autoSize: true,
      // The logo would bring a style element, which the page's policy forbids; the footer has notice and link.
      layout: { attributionLogo: false, fontFamily: getComputedStyle(document.body).fontFamily },
      kineticScroll: { touch: false, mouse: false },
      handleScroll: { vertTouchDrag: false },
      rightPriceScale: { borderVisible: false },
      timeScale: { borderVisible: false, rightOffset: 4, tickMarkFormatter: (time, kind) => markText(time * 1000, kind, this.#interval) },
      localization: { timeFormatter: (time) => openTime(time * 1000, this.#interval) },
    });
    this.#prices = this.#chart.addSeries(CandlestickSeries, { borderVisible: false });
    this.#volumes = this.#chart.addSeries(HistogramSeries, {
      priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false,
    });
    this.#prices.priceScale().applyOptions({ scaleMargins: { top: 0.1, bottom: 0.22 } });
    this.#volumes.priceScale().applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this.#paint();
    document.addEventListener("themechange", () => {
      this.#paint();
      this.#setAll();
    });
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange((range) => range && range.from < AHEAD && this.#loadOlder());
    this.#chart.subscribeCrosshairMove(({ time }) => {
      this.#hovered = time ?? null;
      nextFrame(this.#tell);
    });
    this.#box.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** Shows another series from its newest candles on. */
  show(symbol, interval) {
    this.#loading?.abort();
    this.#loading = null;
    this.#symbol = symbol;
    this.#interval = interval;
    this.#candles = [];
    this.#isExhausted = true;
    this.#patience = RETRY_MS;
    this.#decimals = this.#market.rows.get(symbol)?.decimals ?? 2;
    this.#prices.applyOptions({ priceFormat: priceFormat(this.#decimals) });
    this.#chart.applyOptions({ timeScale: { timeVisible: intervalMs(interval) < 86400000, secondsVisible: interval.endsWith("s") } });
    this.#setAll();
    setText(byId("chart-title"), symbol);
    this.#load(null);
  }

  /** Once a second. */
  tick() {
    tellRemaining(this.#candles.at(-1), this.#interval, this.#market.now());
  }

  /** Writes the times anew. */
  retime() {
    // The chart keeps the texts of its marks until its options change.
    this.#chart.timeScale().applyOptions({ tickMarkFormatter: (time, kind) => markText(time * 1000, kind, this.#interval) });
    this.#chart.applyOptions({ localization: { timeFormatter: (time) => openTime(time * 1000, this.#interval) } });
    nextFrame(this.#tell);
  }

  /** Fetches the newest candles again, after a time when none were told: with each connection, for one. */
  refresh() {
    if (this.#symbol !== null && this.#loading === null && Date.now() - this.#refreshedAt > FRESH_MS) {
      this.#load(null);
    }
  }

  /** Takes a `candle` event. */
  take(event) {
    if (event.symbol !== this.#symbol || event.interval !== this.#interval) {
      return;
    }
    const candle = candleOfEvent(event);
    const last = this.#candles.at(-1);
    this.#learnDecimals(event);
    if (last && candle.time < last.time) {
      this.#candles = merged(this.#candles, [candle]);
      this.#setAll();
      return;
    }
    const isJump = last && (candle.time - last.time) * 1000 > 1.5 * intervalMs(this.#interval);
    if (last?.time === candle.time) {
      this.#candles[this.#candles.length - 1] = candle;
    } else {
      this.#candles.push(candle);
    }
    nextFrame(this.#drawLast);
    if (isJump && Date.now() - this.#refreshedAt > REFRESH_MS) {
      this.refresh();
    }
  }

  #drawLast = () => {
    if (this.#candles.length === 0) {
      return;
    }
    // Since the frame before, a candle may have closed and others begun.
    let i = this.#candles.length - 1;
    while (i > 0 && this.#candles[i - 1].time >= this.#drawnUntil) {
      i -= 1;
    }
    for (const candle of this.#candles.slice(i)) {
      this.#prices.update(candle);
      this.#volumes.update(this.#bar(candle));
    }
    this.#drawnUntil = this.#candles.at(-1).time;
    this.#tell();
  };

  #loadOlder() {
    if (!this.#isExhausted && this.#loading === null && this.#candles.length < CANDLES_MOST) {
      this.#load(this.#candles[0].time * 1000);
    }
  }

  async #load(to) {
    const loading = new AbortController();
    this.#loading = loading;
    clearTimeout(this.#retry);
    try {
      let before = to;
      let page;
      let steps = 0;
      do {
        steps += 1;
        page = await fetchCandles({
          symbol: this.#symbol, interval: this.#interval, to: before, now: this.#market.now(), count: PAGE, signal: loading.signal,
        });
        // A hole longer than a page is passed over; where it ends nobody knows, so the steps are one page each.
        before = (before ?? this.#market.now()) - PAGE * intervalMs(this.#interval);
      } while (page.candles.length === 0 && page.reachesBackTo !== null && page.reachesBackTo < before && steps < HOLE_PAGES_MOST);
      this.#takePage(page, to);
    } catch (error) {
      if (!loading.signal.aborted) {
        this.#isExhausted = true;
        note(`History cannot be loaded: ${error.message}`);
        this.#retry = setTimeout(() => this.refresh(), RETRY_MS);
      }
    } finally {
      if (this.#loading === loading) {
        this.#loading = null;
      }
    }
  }

  #takePage({ candles, reachesBackTo, warnings }, to) {
    const before = this.#candles.length;
    // Candles that end long before the newest page begins would stand beside it as if nothing lay between.
    const joined = to === null ? since(this.#candles, candles, intervalMs(this.#interval) / 1000) : this.#candles;
    this.#candles = merged(candles, joined);
    this.#refreshedAt = to === null ? Date.now() : this.#refreshedAt;
    const first = this.#candles[0];
    this.#isExhausted = !first || reachesBackTo === null || reachesBackTo >= first.time * 1000;
    this.#setAll();
    note(warnings.join(" "));
    if (to === null && candles.length < PAGE - 1) {
      // A service that was started a moment ago is still fetching the past; of a young symbol there is no more.
      this.#retry = setTimeout(() => this.refresh(), this.#patience);
      this.#patience = Math.min(2 * this.#patience, RETRY_MOST_MS);
    }
    if (before < IN_SIGHT && this.#candles.length > 2 * before) {
      const end = this.#candles.length + 3;
      this.#chart.timeScale().setVisibleLogicalRange({ from: end - Math.min(IN_SIGHT, Math.floor(this.#box.clientWidth / PIXELS_LEAST)), to: end });
    }
  }

  #setAll() {
    this.#prices.setData(this.#candles);
    this.#drawnUntil = this.#candles.at(-1)?.time ?? 0;
    this.#volumes.setData(this.#candles.map((candle) => this.#bar(candle)));
    nextFrame(this.#tell);
  }

  #bar({ time, open, close, volume }) {
    return { time, value: volume, color: close >= open ? this.#colours.upSoft : this.#colours.downSoft };
  }

  #tell = () => {
    const [candles, symbol, interval, decimals] = [this.#candles, this.#symbol, this.#interval, this.#decimals];
    const shown = (this.#hovered !== null && candles.find(({ time }) => time === this.#hovered)) || candles.at(-1);
    tellSeries({ symbol, interval, candles, shown, decimals });
  };

  #learnDecimals({ open, close }) {
    const decimals = Math.max(decimalsOf(open), decimalsOf(close));
    if (decimals > this.#decimals) {
      this.#decimals = decimals;
      this.#prices.applyOptions({ priceFormat: priceFormat(decimals) });
    }
  }

  #onKey(event) {
    const scale = this.#chart.timeScale();
    const steps = { ArrowLeft: -KEY_STEP, ArrowRight: KEY_STEP };
    if (event.key in steps) {
      event.preventDefault();
      scale.scrollToPosition(scale.scrollPosition() + steps[event.key], false);
    } else if (event.key === "End") {
      event.preventDefault();
      scale.scrollToRealTime();
    }
  }

  #paint() {
    const [up, down, upSoft, downSoft, text, line, surface] = ["up", "down", "up-soft", "down-soft", "muted", "line", "surface"].map(colour);
    this.#colours = { upSoft, downSoft };
    this.#chart.applyOptions({
      layout: { background: { type: "solid", color: surface }, textColor: text },
      grid: { vertLines: { color: line }, horzLines: { color: line } },
    });
    this.#prices.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
  }
}

function note(text) {
  const node = byId("chart-note");
  node.hidden = text === "";
  setText(node, text);
}

// A custom property may be light-dark(…); a colour that is in use is one colour.
function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function priceFormat(decimals) {
  return { type: "custom", formatter: (price) => grouped(price.toFixed(decimals)), minMove: 10 ** -decimals };
}
