// The newest price of every symbol, as the feed told it.

import { decimalsOf } from "/assets/text.js";

export class Market {
  #offset = 0;
  #isWhole = true;
  rows = new Map();

  /** After `hello`, which begins a connection: symbols that are gone are forgotten; new ones wait for their first price. */
  setSymbols(symbols) {
    this.#isWhole = true;
    const wanted = new Set(symbols);
    for (const symbol of this.rows.keys()) {
      if (!wanted.has(symbol)) {
        this.rows.delete(symbol);
      }
    }
    for (const symbol of symbols) {
      if (!this.rows.has(symbol)) {
        this.#add(symbol);
      }
    }
  }

  /** Forgets all: another exchange is shown. */
  clear() {
    this.#isWhole = true;
    this.rows.clear();
  }

  /** Takes a `prices` event. True when a symbol came that was not there. */
  take({ at, rows }) {
    this.#offset = at - Date.now();
    const before = this.rows.size;
    const isWhole = this.#isWhole;
    this.#isWhole = false;
    for (const [symbol, price, change, volume, time] of rows) {
      const value = numberOf(price);
      // The rows themselves change, because the tables hold on to them.
      const row = this.rows.get(symbol) ?? this.#add(symbol);
      row.direction = directionOf(row, value);
      row.price = price;
      row.value = value;
      row.change = numberOf(change);
      row.volume = numberOf(volume);
      // The rows that come first may be old: the exchange's time says how old. Those after them are news.
      row.seen = isWhole || row.seen === null ? time : time === row.time ? row.seen : at;
      row.time = time;
      row.decimals = price === null ? row.decimals : Math.max(row.decimals, decimalsOf(price));
    }
    return this.rows.size !== before;
  }

  #add(symbol) {
    const row = { symbol, price: null, value: null, change: null, volume: null, time: null, seen: null, direction: "", decimals: 2 };
    this.rows.set(symbol, row);
    return row;
  }

  /** Milliseconds since 1970 by the service's clock, so that ages are right on a device whose clock is not. */
  now() {
    return Date.now() + this.#offset;
  }

  /** Seconds since the price of a row was new; null without one. */
  age(row) {
    return row.seen === null ? null : Math.max(0, (this.now() - row.seen) / 1000);
  }
}

function numberOf(text) {
  return text === null ? null : Number(text);
}

function directionOf(row, value) {
  if (row.value === null || value === null || value === row.value) {
    return row.direction;
  }
  return value > row.value ? "up" : "down";
}
