// What the chart says in words: the figures of a candle, the text alternative, and the countdown.

import { intervalMs } from "/assets/candles.js";
import { byId, compact, element, grouped, resize, setText } from "/assets/text.js";
import { openTime, remaining } from "/assets/times.js";

/** Tells of a series; `shown` is the candle that is pointed at, or the last. */
export function tellSeries({ symbol, interval, candles, shown, decimals }) {
  const last = candles.at(-1);
  const at = (candle) => openTime(candle.time * 1000, interval);
  const say = (value) => grouped(value.toFixed(decimals));
  if (!last) {
    tellParts(["No candle yet"]);
    setText(byId("chart-text"), "No candle yet.");
    return;
  }
  const prices = ["open", "high", "low", "close"].map((each) => `${each[0].toUpperCase()} ${say(shown[each])}`);
  tellParts([at(shown), ...prices, `V ${compact(shown.volume)}`]);
  setText(byId("chart-text"), `${symbol}, interval ${interval}, the last of ${candles.length} candles: ${at(last)}, `
    + `opened at ${say(last.open)}, high ${say(last.high)}, low ${say(last.low)}, ${last.isClosed ? "closed" : "now"} at ${say(last.close)}, `
    + `volume ${compact(last.volume)}.`);
}

/** Tells how long an open candle has still to go; of a feed that is not live nothing. */
export function tellRemaining(last, interval, now) {
  const isMoving = last && !last.isClosed && document.body.dataset.live !== "bad";
  const left = isMoving ? last.time * 1000 + intervalMs(interval) - now : 0;
  setText(byId("countdown"), left > 0 ? `Closes in ${remaining(left)}` : "");
}

// Each part stays on one line.
function tellParts(parts) {
  resize(byId("legend"), parts.length, () => element("span"));
  parts.forEach((part, i) => setText(byId("legend").children[i], part));
}
