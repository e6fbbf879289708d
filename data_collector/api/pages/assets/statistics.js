// The newest price and the figures beside it: statistics of 24 hours, the best bid and offer, and what lies between them.

import { nextFrame } from "/assets/frame.js";
import { byId, change, compact, decimalsOf, directionOf, setText, withDecimals } from "/assets/text.js";

const NOTHING = "–";
/** How a market in which bid and ask are crossed is told. */
const CROSSED = "crossed";

export class Statistics {
  #market;
  #symbol = null;
  #ticker = null;
  #quote = null;

  constructor(market) {
    this.#market = market;
  }

  /** Begins anew with another symbol. */
  show(symbol) {
    this.#symbol = symbol;
    this.#ticker = null;
    this.#quote = null;
    nextFrame(this.draw);
  }

  /** Takes a `ticker` event. */
  takeTicker(event) {
    if (event.symbol === this.#symbol) {
      this.#ticker = event;
      nextFrame(this.draw);
    }
  }

  /** Takes a `quote` event, which is newer than the bid and ask of a ticker. */
  takeQuote(event) {
    if (event.symbol === this.#symbol) {
      this.#quote = event;
      nextFrame(this.draw);
    }
  }

  draw = () => {
    const row = this.#market.rows.get(this.#symbol) ?? null;
    const { high = null, low = null } = this.#ticker ?? {};
    const { bid = null, ask = null } = this.#quote ?? this.#ticker ?? {};
    const told = [high, low, bid, ask].filter((price) => price !== null);
    const decimals = Math.max(row?.decimals ?? 0, ...told.map(decimalsOf));
    const price = (digits) => (digits === null ? NOTHING : withDecimals(digits, decimals));
    setText(byId("chart-price"), price(row?.price ?? null));
    byId("chart-price").dataset.direction = row?.direction ?? "";
    setText(byId("stat-change"), row === null ? NOTHING : change(row.change));
    byId("stat-change").dataset.direction = row === null ? "" : directionOf(row.change);
    setText(byId("stat-high"), price(high));
    setText(byId("stat-low"), price(low));
    setText(byId("stat-bid"), price(bid));
    setText(byId("stat-ask"), price(ask));
    setText(byId("stat-spread"), spreadOf(bid, ask, decimals));
    setText(byId("stat-volume"), (row?.volume ?? null) === null ? NOTHING : compact(row.volume));
  };
}

/** What lies between bid and ask, and what that is of the price in between, in basis points. */
export function spreadOf(bid, ask, decimals) {
  const [low, high] = [bid, ask].map((price) => (price === null ? NaN : Number(price)));
  if (Number.isNaN(high - low)) {
    return NOTHING;
  }
  if (high < low) {
    return CROSSED;
  }
  const middle = (high + low) / 2;
  const points = ((high - low) / middle) * 10000;
  const said = points > 0 && points < 0.01 ? "<0.01" : points.toFixed(2);
  return `${(high - low).toFixed(decimals)}${middle === 0 ? "" : ` (${said} bp)`}`;
}
