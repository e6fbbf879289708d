// Candles as the chart wants them, read from /klines.

import { routeOf } from "/assets/routes.js";

const UNITS_MS = { s: 1000, m: 60000, h: 3600000, d: 86400000, w: 604800000, M: 31 * 86400000 };

/** How long a candle of `1m`, `4h`, `1M` lasts, at most. */
export function intervalMs(interval) {
  return Number.parseInt(interval, 10) * UNITS_MS[interval.at(-1)];
}

/** The `count` candles before `to` (ms), or the newest ones with the open one when it is null. */
export async function fetchCandles({ symbol, interval, to = null, now, count, signal }) {
  const from = Math.max(0, Math.floor((to ?? now) - count * intervalMs(interval)));
  const query = { interval, limit: 5000, from, ...(to === null ? { open: 1 } : { to }) };
  const answer = await fetch(routeOf(`/klines/${encodeURIComponent(symbol)}`, query), {
    signal, headers: { Accept: "application/json" },
  });
  const page = await answer.json();
  if (!answer.ok) {
    throw new Error(page.detail);
  }
  const reachesBackTo = page.reaches_back_to === null ? null : Date.parse(page.reaches_back_to);
  return { candles: page.records.map(candleOf), reachesBackTo, warnings: page.warnings };
}

/** Both lists as one, rising in time; of a candle that both have, the state that is further on. */
export function merged(some, others) {
  if (some.length === 0 || others.length === 0 || some.at(-1).time < others[0].time) {
    return [...some, ...others];
  }
  const byTime = new Map(some.map((candle) => [candle.time, candle]));
  for (const candle of others) {
    const known = byTime.get(candle.time);
    byTime.set(candle.time, known && isFurther(known, candle) ? known : candle);
  }
  return [...byTime.values()].sort((a, b) => a.time - b.time);
}

/** Of the `known` candles those that join `page` without a hole. */
export function since(known, page, step) {
  const begin = page[0]?.time;
  const isJoined = begin === undefined || known.some(({ time }) => time >= begin - step && time <= begin);
  return isJoined ? known : known.filter(({ time }) => time > begin);
}

function isFurther(a, b) {
  return a.isClosed === b.isClosed ? a.volume > b.volume : a.isClosed;
}

/** Of a record of /klines. */
export function candleOf({ timestamp, open, high, low, close, volume, is_closed: isClosed }) {
  return { time: Date.parse(timestamp) / 1000, open, high, low, close, volume, isClosed };
}

/** Of a `candle` event, whose numbers are texts. */
export function candleOfEvent({ time, open, high, low, close, volume, closed }) {
  return {
    time: time / 1000, open: Number(open), high: Number(high), low: Number(low), close: Number(close),
    volume: Number(volume), isClosed: closed,
  };
}
