// Past windows over the present one, and what followed each, as a fan: lines, and the middle half of the outcomes beside
// that of windows drawn at random. Numbers come as log returns over the last close; they are shown in percent.

import { byId } from "/assets/text.js";

const MARGIN = { top: 22, right: 10, bottom: 22, left: 66 };
const TICKS = 5;

/** What a log return is in percent. */
export function percentOf(logReturn) {
  return Math.expm1(logReturn) * 100;
}

/** Draws an answer of /similar into an svg of so many pixels; what is worth little is drawn faintly. */
export function drawFan(svg, page, width, height, isWorthLittle) {
  svg.dataset.faint = String(isWorthLittle);
  const longest = Math.max(...page.outcome.map(({ horizon }) => horizon));
  const past = page.hits.map(({ closes }) => line(closes, 1 - page.window));
  const after = page.hits.map(({ followed }) => [[0, 0], ...line(followed, 1)]);
  const now = line(page.closes, 1 - page.window);
  const bands = [page.random, page.outcome].map(band);
  const heights = [...past, ...after, now, ...bands.map(({ edge }) => edge)].flat().map(([, y]) => y);
  const place = placing(heights, 1 - page.window, longest, width, height);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(
    ...axes(place, page, longest, width, height),
    shape("polygon", "fan-random", bands[0].edge, place),
    shape("polygon", "fan-middle", bands[1].edge, place),
    ...past.map((points) => shape("polyline", "fan-past", points, place)),
    ...after.map((points) => shape("polyline", "fan-after", points, place)),
    shape("polyline", "fan-random-median", bands[0].median, place),
    shape("polyline", "fan-median", bands[1].median, place),
    shape("polyline", "fan-now", now, place),
  );
}

function line(logReturns, first) {
  return logReturns.map((value, i) => [first + i, percentOf(value)]);
}

// Begins at the last close; where no window is, there is nothing.
function band(outcomes) {
  const told = outcomes.filter(({ median }) => median !== null);
  const along = (name) => told.map((outcome) => [outcome.horizon, percentOf(outcome[name])]);
  return {
    median: told.length === 0 ? [] : [[0, 0], ...along("median")],
    edge: told.length === 0 ? [] : [[0, 0], ...along("upper_quartile"), ...along("lower_quartile").reverse()],
  };
}

function placing(heights, first, last, width, height) {
  const least = Math.min(0, ...heights);
  const most = Math.max(0, ...heights);
  const range = most - least || 1;
  return {
    least, most,
    x: (step) => MARGIN.left + ((step - first) / (last - first)) * (width - MARGIN.left - MARGIN.right),
    y: (percent) => MARGIN.top + ((most - percent) / range) * (height - MARGIN.top - MARGIN.bottom),
  };
}

function axes(place, page, longest, width, height) {
  const { step, decimals } = steps(place.most - place.least || 1);
  const nodes = [];
  for (let i = Math.ceil(place.least / step); i <= Math.floor(place.most / step); i += 1) {
    const y = place.y(i * step);
    nodes.push(rule(i === 0 ? "fan-zero" : "fan-grid", MARGIN.left, y, width - MARGIN.right, y));
    nodes.push(label(signed(i * step, decimals), MARGIN.left - 6, y + 4, "end"));
  }
  const bottom = height - MARGIN.bottom;
  nodes.push(rule("fan-present", place.x(0), MARGIN.top, place.x(0), bottom));
  nodes.push(label("now, and windows like it", MARGIN.left, 12, "start"));
  nodes.push(label("what followed then", width - MARGIN.right, 12, "end"));
  nodes.push(label(`−${page.window} candles`, MARGIN.left, height - 6, "start"));
  nodes.push(label("now", place.x(0), height - 6, "middle"));
  nodes.push(label(`+${longest}`, width - MARGIN.right, height - 6, "end"));
  return nodes;
}

function steps(range) {
  const rough = range / TICKS;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = magnitude * [1, 2, 5, 10].find((factor) => factor * magnitude >= rough);
  return { step, decimals: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

/** +0.12 %, −0.05 %, 0.00 % */
export function signed(percent, decimals) {
  const digits = Math.abs(percent).toFixed(decimals);
  return `${Number(digits) === 0 ? "" : percent > 0 ? "+" : "−"}${digits}\u00a0%`;
}

function shape(tag, className, points, place) {
  return node(tag, className, { points: points.map(([x, y]) => `${place.x(x).toFixed(1)},${place.y(y).toFixed(1)}`).join(" ") });
}

function rule(className, x1, y1, x2, y2) {
  return node("line", className, { x1, y1, x2, y2 });
}

function label(text, x, y, anchor) {
  const found = node("text", "fan-label", { x, y, "text-anchor": anchor });
  found.textContent = text;
  return found;
}

function node(tag, className, attributes) {
  const found = document.createElementNS(byId("moments-plot").namespaceURI, tag);
  found.setAttribute("class", className);
  for (const [name, value] of Object.entries(attributes)) {
    found.setAttribute(name, value);
  }
  return found;
}
