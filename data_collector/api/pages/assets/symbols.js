// The table of symbols.

import { nextFrame } from "/assets/frame.js";
import { Grid, textColumn } from "/assets/grid.js";
import { makeLine, Sparklines, writeLine } from "/assets/sparkline.js";
import { byId, change, compact, directionOf, setText, span, whole, withDecimals } from "/assets/text.js";

/** Rows change places at most so often: nobody can click on what jumps. */
const SORT_MS = 2000;
/** A price that is older is marked, for quiet symbols are quiet and broken ones too. */
const STALE_S = 60;

export class SymbolsPanel {
  #market;
  #grid;
  #sparklines;
  #sortedAt = 0;

  /** `onSelect(symbol)` is called for a row that was chosen. */
  constructor(market, onSelect) {
    this.#market = market;
    this.#sparklines = new Sparklines(market, () => nextFrame(this.#grid.draw));
    this.#grid = new Grid(byId("symbols"), {
      caption: "Symbols with live price, change and volume of 24 hours, and the age of the price",
      describedBy: "symbols-help",
      columns: this.#columns(),
      sort: null,
      onSelect,
    });
    byId("search").addEventListener("input", ({ target }) => {
      this.#grid.search(target.value);
      this.#count();
    });
  }

  /** Forgets all: another exchange is shown. */
  begin() {
    this.#market.clear();
    this.#sparklines.begin();
  }

  /** Takes what `hello` says. */
  setHello({ symbols, intervals }) {
    this.#market.setSymbols(symbols);
    this.#sparklines.setIntervals(intervals);
    this.#arrange();
  }

  /** Prices have come. */
  drawPrices(isLonger) {
    if (isLonger || performance.now() - this.#sortedAt > SORT_MS) {
      this.#arrange();
    } else {
      nextFrame(this.#grid.draw);
    }
  }

  /** Once a second: ages, and sparklines of what is in sight. */
  tick() {
    nextFrame(this.#grid.draw);
    this.#sparklines.want(this.#grid.inSight().map(({ symbol }) => symbol));
  }

  select(symbol) {
    this.#grid.select(symbol);
  }

  #arrange() {
    this.#sortedAt = performance.now();
    this.#grid.setRows([...this.#market.rows.values()]);
    this.#count();
  }

  #count() {
    const all = this.#market.rows.size;
    const shown = this.#grid.shown;
    setText(byId("symbols-count"), shown === all ? whole(all) : `${whole(shown)} of ${whole(all)}`);
  }

  #columns() {
    const age = (row) => this.#market.age(row);
    return [
      textColumn("symbol", "Symbol", "name", (row) => row.symbol, (row) => row.symbol),
      {
        key: "price", title: "Price", className: "number price", descendsFirst: true, value: (row) => row.value,
        write: (cell, row) => {
          setText(cell, row.price === null ? "–" : withDecimals(row.price, row.decimals));
          cell.dataset.direction = row.direction;
        },
      },
      {
        key: "change", title: "24 h", className: "number change", descendsFirst: true, value: (row) => row.change,
        write: (cell, row) => {
          setText(cell, change(row.change));
          cell.dataset.direction = directionOf(row.change);
        },
      },
      textColumn("volume", "Volume", "number wide", (row) => (row.volume === null ? "–" : compact(row.volume)), (row) => row.volume,
        { descendsFirst: true }),
      {
        key: "line", title: "Trend", className: "line", make: makeLine,
        write: (cell, row) => writeLine(cell, this.#sparklines.line(row)),
      },
      {
        key: "age", title: "Age", className: "number age", value: age,
        write: (cell, row) => {
          setText(cell, row.seen === null ? "–" : span(age(row)));
          cell.dataset.stale = String(row.seen === null || age(row) > STALE_S);
        },
      },
    ];
  }
}
