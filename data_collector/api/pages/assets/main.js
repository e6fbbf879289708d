// The dashboard: one live connection, and the panels that show what it tells.

import { ChartPanel } from "/assets/chart.js";
import { intervalMs } from "/assets/candles.js";
import { CompletenessPanel } from "/assets/completeness.js";
import { Control } from "/assets/control.js";
import { Exchanges } from "/assets/exchanges.js";
import { Feed } from "/assets/feed.js";
import { nextFrame } from "/assets/frame.js";
import { Headline } from "/assets/headline.js";
import { MomentsPanel } from "/assets/moments.js";
import { Market } from "/assets/market.js";
import { isSameInDollars, isSameMarket } from "/assets/pair.js";
import { drawPipeline } from "/assets/pipeline.js";
import { routeOf, setExchange } from "/assets/routes.js";
import { Screen } from "/assets/screen.js";
import { SpreadPanel } from "/assets/spread.js";
import { Statistics } from "/assets/statistics.js";
import { SymbolsPanel } from "/assets/symbols.js";
import { Tape } from "/assets/tape.js";
import { byId, element, setText } from "/assets/text.js";
import { followTimes } from "/assets/times.js";
import { ValidationPanel } from "/assets/validation.js";

const TICK_MS = 1000;

const market = new Market();
const headline = new Headline();
const exchanges = new Exchanges(showExchange);
const chooseSymbol = (symbol) => choose({ ...focus, symbol });
const symbols = new SymbolsPanel(market, chooseSymbol);
const completeness = new CompletenessPanel(chooseSymbol);
const validation = new ValidationPanel();
const chart = new ChartPanel(market);
const tape = new Tape();
const spread = new SpreadPanel(showMarket);
const moments = new MomentsPanel();
const control = new Control();
const statistics = new Statistics(market);
new Screen();

let version = null;
/** The exchange of which the panels are; undefined before they are of any. */
let drawn;
let focus = focusOfAddress();

const takers = {
  hello: takeHello,
  prices: ofShown((event) => {
    symbols.drawPrices(market.take(event));
    nextFrame(statistics.draw);
  }),
  state: takeState,
  completeness: takeCompleteness,
  candle: ofShown((event) => {
    chart.take(event);
    moments.take(event);
  }),
  tape: ofShown((event) => tape.take(event)),
  quote: ofShown((event) => statistics.takeQuote(event)),
  ticker: ofShown((event) => statistics.takeTicker(event)),
};

const feed = new Feed(takers, () => nextFrame(drawHeadline));

function ofShown(take) {
  return (event) => exchanges.isShown(event) && take(event);
}

function takeHello(event) {
  if (version !== null && version !== event.version) {
    // The service was updated, and this page with it.
    location.reload();
    return;
  }
  version = event.version;
  if (exchanges.take("hello", event)) {
    const isNew = drawn !== exchanges.shown;
    if (isNew) {
      begin();
    }
    describe(event);
    const allowed = allowedFocus(event);
    if (allowed !== null && (!isSame(allowed, focus) || !isSame(allowed, feed.focus))) {
      choose(allowed);
    } else if (isNew && focus !== null) {
      show();
    } else {
      chart.refresh();
    }
  }
}

function describe({ exchange, environment, control: leave, simulated, address, ...hello }) {
  byId("exchange").hidden = exchanges.isSeveral || !exchange;
  setText(byId("exchange"), exchange ?? "");
  setText(byId("chart-exchange"), exchange ?? "");
  byId("simulated").hidden = byId("chart-simulated").hidden = !simulated;
  byId("address").hidden = simulated || !address;
  setText(byId("address"), address ? `from ${address}` : "");
  byId("environment").hidden = false;
  setText(byId("environment"), environment);
  setText(byId("version"), `Data Collector ${hello.version}.`);
  control.setLeave(leave);
  symbols.setHello(hello);
  drawIntervals();
}

// The panels begin with what is known of the exchange that is shown from now on; nothing of another one stays.
function begin() {
  drawn = exchanges.shown;
  setExchange(drawn);
  control.setExchange(drawn);
  validation.show(drawn);
  symbols.begin();
  const { state, completeness: told } = exchanges.now;
  completeness.take(told?.rows ?? []);
  if (state !== null) {
    control.setRunning(state.health.collector_running);
    nextFrame(drawState);
  }
  for (const link of document.querySelectorAll("[data-of-one-exchange]")) {
    link.href = routeOf(link.pathname);
  }
}

// The reader wants another exchange.
function showExchange() {
  begin();
  const { hello } = exchanges.now;
  const allowed = hello && allowedFocus(hello);
  if (allowed === null) {
    // There is nothing to show of it yet, and nothing of the one before may stay.
    location.assign(`?${new URLSearchParams({ exchange: exchanges.shown })}`);
    return;
  }
  describe(hello);
  choose(allowed);
}

// A market of the spread.
function showMarket(exchange, symbol) {
  focus = { ...focus, symbol };
  exchanges.choose(exchange);
}

function isSame(one, other) {
  return one.exchange === other?.exchange && one.symbol === other?.symbol && one.interval === other?.interval;
}

// A reader of this page may come with the name of a symbol that is no longer collected, or that another exchange writes
// in its own way.
function allowedFocus(hello) {
  if (hello.symbols.length === 0 || hello.intervals.length === 0) {
    return null;
  }
  const shortest = [...hello.intervals].sort((a, b) => intervalMs(a) - intervalMs(b)).find((i) => intervalMs(i) >= 60000);
  const alike = focus && (hello.symbols.find((symbol) => isSameMarket(symbol, focus.symbol)) ?? hello.symbols.find((symbol) => isSameInDollars(symbol, focus.symbol, knownSymbols())));
  return {
    exchange: exchanges.shown,
    symbol: hello.symbols.includes(focus?.symbol) ? focus.symbol : (alike ?? hello.symbols[0]),
    interval: hello.intervals.includes(focus?.interval) ? focus.interval : (shortest ?? hello.intervals[0]),
  };
}

function knownSymbols() {
  return exchanges.names.flatMap((name) => exchanges.of(name).hello?.symbols ?? []);
}

function takeState(event) {
  if (exchanges.take("state", event)) {
    control.setRunning(event.health.collector_running);
    nextFrame(drawState);
  } else {
    nextFrame(drawHeadline);
  }
}

function takeCompleteness(event) {
  if (exchanges.take("completeness", event)) {
    completeness.take(event.rows);
  }
  nextFrame(drawHeadline);
}

function drawState() {
  const { state } = exchanges.now;
  if (state !== null) {
    completeness.takeGaps(state.gaps);
    drawPipeline(state);
  }
  drawHeadline();
}

function drawHeadline() {
  const told = exchanges.names.map((name) => ({ name, ...exchanges.of(name), newest: validation.newestOf(name) }));
  for (const { name, state } of told) {
    if (state !== null) {
      validation.take(name, state);
    }
  }
  exchanges.draw(headline.draw(feed.connection, told, exchanges.note, market.now()));
}

function choose(wanted) {
  focus = { ...wanted, exchange: exchanges.shown };
  const query = focus.exchange === null ? "" : `?${new URLSearchParams({ exchange: focus.exchange })}`;
  history.replaceState(null, "", `${location.pathname}${query}#${encodeURIComponent(focus.symbol)}/${focus.interval}`);
  show();
  feed.open(focus);
}

function show() {
  statistics.show(focus.symbol);
  chart.show(focus.symbol, focus.interval);
  tape.show(focus.symbol, focus.exchange);
  moments.show(focus.symbol, focus.interval);
  spread.show(focus.symbol, exchanges.isSeveral ? exchanges.names : [], knownSymbols());
  symbols.select(focus.symbol);
  drawIntervals();
}

function drawIntervals() {
  const group = byId("intervals");
  const names = exchanges.now.hello.intervals;
  // The buttons stay while their names do, so that the focus does.
  if ([...group.children].map((button) => button.value).join() !== names.join()) {
    group.replaceChildren(...names.map((name) => {
      const button = element("button", "", name);
      button.type = "button";
      button.value = name;
      button.addEventListener("click", () => choose({ ...focus, interval: name }));
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
    return symbol && interval ? { exchange: exchanges.shown, symbol, interval } : null;
  } catch {
    return null;
  }
}

addEventListener("hashchange", () => {
  const wanted = focusOfAddress();
  const { hello } = exchanges.now;
  if (wanted !== null && hello?.symbols.includes(wanted.symbol) && hello.intervals.includes(wanted.interval)) {
    choose(wanted);
  }
});

followTimes(() => {
  chart.retime();
  moments.retime();
  validation.retime();
  nextFrame(tape.draw);
  nextFrame(drawState);
});

setInterval(() => {
  symbols.tick();
  chart.tick();
  nextFrame(drawHeadline);
}, TICK_MS);

feed.open(focus);
