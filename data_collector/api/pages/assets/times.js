// Whether times are told in UTC or in the zone of this device, and how the chart writes its own.

import { intervalMs } from "/assets/candles.js";
import { keep, kept } from "/assets/kept.js";
import { byId, clock, minute, setLocal, zone } from "/assets/text.js";

const KEY = "time";
const DAY_MS = 86400000;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/** Kinds of marks of the chart's time axis, in its own numbers. */
const SECONDS_MARK = 4;

/** Follows the choice at the top; `onChange` writes all times anew. */
export function followTimes(onChange) {
  const choice = byId("time");
  choice.value = kept(KEY, "utc") === "local" ? "local" : "utc";
  setLocal(choice.value === "local");
  choice.addEventListener("change", () => {
    keep(KEY, choice.value);
    setLocal(choice.value === "local");
    onChange();
  });
}

/** When a candle opened. Candles of a day and more begin in UTC wherever one lives. */
export function openTime(ms, interval) {
  return intervalMs(interval) >= DAY_MS ? `${new Date(ms).toISOString().slice(0, 10)} UTC` : `${minute(ms)} ${zone(ms)}`;
}

/** The text of a mark below the chart, of that kind; null leaves it to the chart, which knows UTC only. */
export function markText(ms, kind, interval) {
  if (zone(ms) === "UTC" || intervalMs(interval) >= DAY_MS) {
    return null;
  }
  const time = clock(ms);
  if (time === "00:00:00") {
    const [, month, day] = minute(ms).slice(0, 10).split("-");
    return `${Number(day)} ${MONTHS[Number(month) - 1]}`;
  }
  return kind === SECONDS_MARK ? time : time.slice(0, 5);
}

/** 01:05, 2:03:00: until an open candle closes. */
export function remaining(ms) {
  const s = Math.max(0, Math.ceil(ms / 1000));
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(s / 3600), Math.floor(s / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(s % 60)}` : `${two(minutes)}:${two(s % 60)}`;
}
