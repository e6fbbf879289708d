// The newest trades of the symbol in the chart.

import { nextFrame } from "/assets/frame.js";
import { Sizes } from "/assets/sizes.js";
import { byId, clock, decimalsOf, element, resize, setText, whole, withDecimals } from "/assets/text.js";

const ROWS = 40;

export class Tape {
  #symbol = null;
  #exchange = null;
  #trades = [];
  #sizes = new Sizes();
  #leftOut = 0;
  #priceDecimals = 2;
  #quantityDecimals = 0;

  /** Begins anew with another symbol, or with that of another exchange. */
  show(symbol, exchange) {
    if (symbol !== this.#symbol || exchange !== this.#exchange) {
      this.#symbol = symbol;
      this.#exchange = exchange;
      this.#trades = [];
      this.#sizes = new Sizes();
      this.#leftOut = 0;
      this.#priceDecimals = 2;
      this.#quantityDecimals = 0;
      nextFrame(this.draw);
    }
  }

  /** Takes a `tape` event. */
  take({ symbol, trades, left_out: leftOut }) {
    if (symbol === this.#symbol) {
      const known = this.#trades[0]?.[0] ?? -1;
      const news = trades.filter(([id]) => id > known).reverse();
      this.#trades = [...news, ...this.#trades].slice(0, ROWS);
      this.#leftOut = leftOut;
      this.#sizes.take(news.map(([, , price, quantity]) => Number(price) * Number(quantity)));
      for (const [, , price, quantity] of news) {
        this.#priceDecimals = Math.max(this.#priceDecimals, decimalsOf(price));
        this.#quantityDecimals = Math.max(this.#quantityDecimals, decimalsOf(quantity));
      }
      nextFrame(this.draw);
    }
  }

  draw = () => {
    const body = byId("tape");
    resize(body, this.#trades.length, makeRow);
    this.#trades.forEach(([, ms, price, quantity, isBuyerMaker], i) => {
      const { cells } = body.rows[i];
      setText(cells[0], clock(ms));
      setText(cells[1], withDecimals(price, this.#priceDecimals));
      setText(cells[2], withDecimals(quantity, this.#quantityDecimals));
      // The buyer waited in the book, so the taker sold; some exchanges do not tell.
      const [side, direction] = isBuyerMaker === null ? ["–", ""] : isBuyerMaker ? ["Sell", "down"] : ["Buy", "up"];
      const size = this.#sizes.of(Number(price) * Number(quantity));
      setText(cells[3].firstChild, side);
      setText(cells[3].lastChild, size === "" ? "" : `, ${size}`);
      body.rows[i].dataset.direction = direction;
      body.rows[i].dataset.size = size;
    });
    setText(byId("tape-note"), this.#leftOut > 0 ? `${whole(this.#leftOut)} not shown` : "");
  };
}

function makeRow() {
  const row = element("tr");
  const side = element("td", "side");
  side.append(element("span"), element("span", "visually-hidden"));
  row.append(element("td", "time"), element("td", "number price"), element("td", "number quantity"), side);
  return row;
}
