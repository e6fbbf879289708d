// The dashboard: one live connection, and the panels that show what it tells.

import { ChartPanel } from "/assets/chart.js";
import { intervalMs } from "/assets/candles.js";
import { CompletenessPanel } from "/assets/completeness.js";
import { Control } from "/assets/control.js";
import { Feed } from "/assets/feed.js";
import { nextFrame } from "/assets/frame.js";
import { Headline } from "/assets/headline.js";
import { MomentsPanel } from "/assets/moments.js";
import { Market } from "/assets/market.js";
import { drawPipeline } from "/assets/pipeline.js";
import { SymbolsPanel } from "/assets/symbols.js";
import { Tape } from "/assets/tape.js";
import { byId, decimalsOf, element, setText, withDecimals } from "/assets/text.js";
import { ValidationPanel } from "/assets/validation.js";

const TICK_MS = 1000;

const market = new Market();
const headline = new Headline();
const symbols = new SymbolsPanel(market, (symbol) => choose({ symbol, interval: focus?.interval }));
const completeness = new CompletenessPanel((symbol) => choose({ symbol, interval: focus?.interval }));
const validation = new ValidationPanel();
const chart = new ChartPanel(market);
const tape = new Tape();
const moments = new MomentsPanel();
const control = new Control();
const quoted = element("span", "muted");
quoted.id = "chart-quote";
byId("chart-price").after(quoted);

let hello = null;
let state = null;
let focus = focusOfAddress();

const takers = {
  hello: takeHello,
  prices: (event) => symbols.drawPrices(market.take(event)),
  state: takeState,
  completeness: ({ rows }) => {
    headline.takeCompleteness(rows);
    completeness.take(rows);
  },
  candle: (event) => {
    chart.take(event);
    moments.take(event);
  },
  tape: (event) => tape.take(event),
  quote: takeQuote,
};

const feed = new Feed(takers, () => nextFrame(drawHeadline));

function takeHello(event) {
  if (hello !== null && hello.version !== event.version) {
    // The service was updated, and this page with it.
    location.reload();
    return;
  }
  const isNew = hello === null;
  hello = event;
  byId("exchange").hidden = !event.exchange;
  setText(byId("exchange"), event.exchange ?? "");
  byId("environment").hidden = false;
  setText(byId("environment"), event.environment);
  setText(byId("version"), `Data Collector ${event.version}.`);
  control.setLeave(event.control);
  symbols.setHello(event);
  drawIntervals();
  const allowed = allowedFocus();
  if (allowed !== null && (!isSame(allowed, focus) || !isSame(allowed, feed.focus))) {
    choose(allowed);
  } else if (isNew && focus !== null) {
    show();
  } else {
    chart.refresh();
  }
}

function isSame(one, other) {
  return one.symbol === other?.symbol && one.interval === other?.interval;
}

// A reader of this page may come with the name of a symbol that is no longer collected.
function allowedFocus() {
  if (hello.symbols.length === 0 || hello.intervals.length === 0) {
    return null;
  }
  const shortest = [...hello.intervals].sort((a, b) => intervalMs(a) - intervalMs(b)).find((i) => intervalMs(i) >= 60000);
  return {
    symbol: hello.symbols.includes(focus?.symbol) ? focus.symbol : hello.symbols[0],
    interval: hello.intervals.includes(focus?.interval) ? focus.interval : (shortest ?? hello.intervals[0]),
  };
}

function takeState(event) {
  state = event;
  control.setRunning(event.health.collector_running);
  nextFrame(drawState);
}

function takeQuote({ symbol, bid, ask }) {
  if (symbol === focus?.symbol) {
    const decimals = Math.max(decimalsOf(bid ?? ask ?? ""), decimalsOf(ask ?? bid ?? ""));
    const [best, offer] = [bid, ask].map((price) => (price === null ? "–" : withDecimals(price, decimals)));
    setText(quoted, `Bid ${best}   Ask ${offer}`);
  }
}

function drawState() {
  validation.take(state);
  completeness.takeGaps(state.gaps);
  drawPipeline(state);
  drawHeadline();
}

function drawHeadline() {
  headline.draw(feed.connection, state, validation.newest, market.now());
}

function choose(wanted) {
  focus = wanted;
  history.replaceState(null, "", `#${encodeURIComponent(focus.symbol)}/${focus.interval}`);
  show();
  feed.open(focus);
}

function show() {
  setText(quoted, "");
  chart.show(focus.symbol, focus.interval);
  tape.show(focus.symbol);
  moments.show(focus.symbol, focus.interval);
  symbols.select(focus.symbol);
  drawIntervals();
}

function drawIntervals() {
  const group = byId("intervals");
  const names = hello.intervals;
  // The buttons stay while their names do, so that the focus does.
  if ([...group.children].map((button) => button.value).join() !== names.join()) {
    group.replaceChildren(...names.map((name) => {
      const button = element("button", "", name);
      button.type = "button";
      button.value = name;
      button.addEventListener("click", () => choose({ symbol: focus.symbol, interval: name }));
      return button;
    }));
  }
  for (const button of group.children) {
    button.setAttribute("aria-pressed", String(button.value === focus?.interval));
  }
}


function focusOfAddress() {
  try {
    const [symbol, interval] = location.hash.slice(1).split("/").map(decodeURIComponent);
    return symbol && interval ? { symbol, interval } : null;
  } catch {
    return null;
  }
}

addEventListener("hashchange", () => {
  const wanted = focusOfAddress();
  if (wanted !== null && hello?.symbols.includes(wanted.symbol) && hello.intervals.includes(wanted.interval)) {
    choose(wanted);
  }
});

setInterval(() => {
  symbols.tick();
  nextFrame(drawHeadline);
}, TICK_MS);

feed.open(focus);
