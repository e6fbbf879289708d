// One market at all exchanges, side by side.

import { DOLLARS, pairOf } from "/assets/pair.js";
import { routeOf } from "/assets/routes.js";
import { byId, decimalsOf, directionOf, element, resize, setText, span, withDecimals } from "/assets/text.js";

const EVERY_MS = 2000;
const NOTHING = "–";

export class SpreadPanel {
  #panel = byId("spread");
  #asOne = byId("spread-as-one");
  #onSelect;
  #exchanges = [];
  #pair = null;
  #asking = null;
  #again = 0;
  #isSeen = false;
  /** Whether the reader has said what is one quote; until then it is both where a market would stand alone. */
  #isChosen = false;

  /** `onSelect(exchange, symbol)` is called for a market that was chosen. */
  constructor(onSelect) {
    this.#onSelect = onSelect;
    this.#asOne.addEventListener("change", () => {
      this.#isChosen = true;
      this.#name();
      this.#begin();
    });
    // Nobody is asked for what nobody looks at.
    new IntersectionObserver(([entry]) => {
      this.#isSeen = entry.isIntersecting;
      this.#askIfDue();
    }).observe(this.#panel);
    document.addEventListener("visibilitychange", () => this.#askIfDue());
  }

  /** Shows the market of a symbol; of one exchange alone there is no panel. `known`: the symbols of all. */
  show(symbol, exchanges, known) {
    this.#panel.hidden = exchanges.length < 2;
    this.#exchanges = exchanges;
    this.#pair = this.#panel.hidden ? null : pairOf(symbol, known);
    byId("spread-choice").hidden = !DOLLARS.includes(this.#pair?.quote);
    this.#asOne.checked &&= this.#isChosen;
    this.#say(this.#pair === null ? `Base and quote of ${symbol} are not known.` : "Waiting for prices.");
    this.#name();
    this.#begin();
  }

  #name() {
    setText(byId("spread-of"), this.#pair === null ? "" : `${this.#pair.base} in ${this.#quotes().join(" and ")}`);
  }

  #quotes() {
    const { quote } = this.#pair;
    return this.#asOne.checked && DOLLARS.includes(quote) ? DOLLARS : [quote];
  }

  #begin() {
    clearTimeout(this.#again);
    this.#asking?.abort();
    this.#asking = null;
    this.#askIfDue();
  }

  #askIfDue() {
    if (this.#pair !== null && this.#isSeen && !document.hidden && this.#asking === null) {
      clearTimeout(this.#again);
      this.#ask();
    }
  }

  async #ask() {
    const asking = new AbortController();
    this.#asking = asking;
    const quotes = this.#quotes();
    try {
      const path = routeOf("/spread", { base: this.#pair.base, quote: quotes.join() }, null);
      const answer = await fetch(path, { signal: asking.signal, headers: { Accept: "application/json" } });
      const text = await answer.text();
      if (asking.signal.aborted) {
        return;
      }
      if (answer.ok) {
        const told = JSON.parse(text, withSource);
        if (told.rows.length < 2 && !this.#isChosen && !this.#asOne.checked && DOLLARS.includes(this.#pair.quote)) {
          this.#asOne.checked = true;
          this.#name();
          this.#begin();
          return;
        }
        this.#draw(told, quotes);
      } else {
        this.#say(JSON.parse(text).detail);
      }
    } catch (error) {
      if (asking.signal.aborted) {
        return;
      }
      this.#say(`The spread cannot be loaded: ${error.message}`);
    }
    this.#asking = null;
    this.#again = setTimeout(() => this.#askIfDue(), EVERY_MS);
  }

  /** In place of the rows, which would be those of another moment or market. */
  #say(sentence) {
    byId("spread-rows").replaceChildren();
    setText(byId("spread-note"), sentence);
  }

  #draw({ base, reference, reference_symbol: symbol, stale_after_seconds: patience, rows }, quotes) {
    const body = byId("spread-rows");
    resize(body, rows.length, () => this.#makeRow());
    const prices = rows.flatMap(({ last, bid, ask }) => [last, bid, ask]).filter((price) => price !== null).map(digitsOf);
    const decimals = Math.max(0, ...prices.map(decimalsOf));
    rows.forEach((row, i) => {
      const isReference = row.exchange === reference && row.symbol === symbol;
      writeRow(body.rows[i], row, { decimals, patience, isReference });
    });
    const lacking = this.#exchanges.filter((name) => !rows.some(({ exchange }) => exchange === name));
    const old = rows.filter((row) => isQuoteOld(row, patience));
    const notes = [
      reference === null ? "No price is fresh, so nothing is compared." : `Differences are of the last prices, to ${symbol} of ${reference}.`,
      lacking.length > 0 ? `${lacking.join(" and ")}: ${base} in ${quotes.join(" or ")} is not collected.` : "",
      ...old.map((row) => `Bid and ask of ${row.exchange} are ${span(Number(row.quoted_seconds_ago))} old.`),
    ];
    setText(byId("spread-note"), notes.filter((text) => text !== "").join(" "));
  }

  #makeRow() {
    const row = element("tr");
    const name = element("th");
    name.scope = "row";
    const button = element("button", "link");
    button.type = "button";
    button.append(element("span", "name"), " ", element("span", "muted"));
    // A press of the button, by key as well, is one of the row.
    row.addEventListener("click", () => this.#onSelect(row.dataset.exchange, row.dataset.symbol));
    name.append(button);
    const kinds = ["last", "age", "bid", "ask", "wide", "difference"];
    row.append(name, ...kinds.map((kind) => element("td", `number ${kind}`)));
    return row;
  }
}

function writeRow(node, row, { decimals, patience, isReference }) {
  const price = (number) => (number === null ? NOTHING : withDecimals(digitsOf(number), decimals));
  const [market, last, age, bid, ask, quoted, difference] = node.cells;
  const [name, symbol] = market.firstChild.children;
  node.dataset.exchange = row.exchange;
  node.dataset.symbol = row.symbol;
  setText(name, row.exchange);
  setText(symbol, row.symbol);
  setText(last, price(row.last));
  setText(bid, price(row.bid));
  setText(ask, price(row.ask));
  writeAge(age, row.age_seconds, row.stale);
  writeAge(quoted, row.quoted_seconds_ago, isQuoteOld(row, patience));
  const points = row.difference_bp === null ? null : Number(row.difference_bp);
  setText(difference, row.stale ? "stale" : points === null ? NOTHING : isReference ? "0" : signed(points));
  difference.dataset.stale = String(row.stale);
  difference.dataset.direction = directionOf(points);
}

function isQuoteOld({ quoted_seconds_ago: ago }, patience) {
  return ago !== null && Math.abs(ago) > patience;
}

function writeAge(cell, seconds, isStale) {
  setText(cell, seconds === null ? NOTHING : span(Number(seconds)));
  cell.dataset.stale = String(isStale);
}

function signed(points) {
  const sign = { up: "+", down: "−" }[directionOf(points)] ?? "";
  return `${sign}${Math.abs(points).toFixed(2)}`;
}

// A number that is parsed could lose digits; older browsers do not give its text.
function withSource(key, value, context) {
  return typeof value === "number" ? (context?.source ?? value) : value;
}

function digitsOf(number) {
  return typeof number === "string" ? number : number.toLocaleString("en-US", { useGrouping: false, maximumFractionDigits: 20 });
}
