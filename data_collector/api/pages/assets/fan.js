// Past windows over the present one, and what followed each: lines, and the middle half of the outcomes over that of
// windows drawn at random, which is known at the horizons only and so is drawn as bars, not as a band between them.
// Numbers come as log returns over the last close; they are shown in percent.

import { byId } from "/assets/text.js";

const MARGIN = { top: 22, right: 16, bottom: 22, left: 66 };
const TICKS = 5;
const RANDOM_WIDTH = 9;
const MIDDLE_WIDTH = 15;

/** What a log return is in percent. */
export function percentOf(logReturn) {
  return Math.expm1(logReturn) * 100;
}

/** Draws an answer of /similar into an svg of so many pixels. Where all is within luck, no path of the outcomes is shown. */
export function drawFan(svg, page, width, height, { isLuck, remark, inside, any }) {
  svg.dataset.luck = String(isLuck);
  const longest = Math.max(...page.outcome.map(({ horizon }) => horizon));
  const past = page.hits.map(({ closes }) => line(closes, 1 - page.window));
  const after = page.hits.map(({ followed }) => [[0, 0], ...line(followed, 1)]);
  const now = line(page.closes, 1 - page.window);
  const [random, outcome] = [page.random, page.outcome].map((all) => all.filter(({ median }) => median !== null));
  const shown = isLuck ? outcome.slice(-1) : outcome;
  const edges = [...random, ...shown].flatMap(({ lower_quartile, upper_quartile }) => [lower_quartile, upper_quartile]);
  const heights = [...[...past, ...after, now].flat().map(([, y]) => y), ...edges.map(percentOf)];
  const place = placing(heights, 1 - page.window, longest, width, height);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(
    ...axes(place, page, longest, width, height),
    ...random.map((each) => bar("fan-random", each, RANDOM_WIDTH, place)),
    ...past.map((points) => shape("fan-past", points, place)),
    ...after.map((points) => shape("fan-after", points, place)),
    ...(isLuck ? [] : [shape("fan-path", medians(page.hits), place)]),
    ...shown.flatMap((each) => [bar("fan-middle", each, MIDDLE_WIDTH, place), tick(each, place)]),
    shape("fan-now", now, place),
    ...remarks(place, random.at(-1), shown.at(-1), { remark, inside, any }),
  );
}

function line(logReturns, first) {
  return logReturns.map((value, i) => [first + i, percentOf(value)]);
}

// Of the hits' own paths at each candle. Not joined to the price: it is no continuation of it.
function medians(hits) {
  return line(hits[0].followed.map((_, i) => middle(hits.map(({ followed }) => followed[i]))), 1);
}

function middle(values) {
  const sorted = values.toSorted((one, other) => one - other);
  const half = sorted.length / 2;
  return (sorted[Math.ceil(half) - 1] + sorted[Math.floor(half)]) / 2;
}

function bar(className, { horizon, lower_quartile, upper_quartile }, width, place) {
  const [top, bottom] = [upper_quartile, lower_quartile].map((value) => place.y(percentOf(value)));
  return node("rect", className, { x: place.x(horizon) - width / 2, y: top, width, height: Math.max(1, bottom - top) });
}

function tick({ horizon, median }, place) {
  const [x, y] = [place.x(horizon), place.y(percentOf(median))];
  return rule("fan-tick", x - MIDDLE_WIDTH / 2 - 3, y, x + MIDDLE_WIDTH / 2 + 3, y);
}

// Beside the last bars, one below the other.
function remarks(place, random, outcome, { remark, inside, any }) {
  const nodes = [];
  const right = place.x(outcome.horizon) - MIDDLE_WIDTH / 2 - 6;
  const top = Math.max(MARGIN.top + 30, place.y(percentOf(outcome.upper_quartile)) + 4);
  nodes.push(label(`${inside} ended inside`, right, top, "end"));
  if (random !== undefined) {
    nodes.push(label(any, right, Math.max(top + 14, place.y(percentOf(random.lower_quartile))), "end"));
  }
  const verdict = label(remark, (place.x(0) + place.x(outcome.horizon)) / 2, MARGIN.top + 12, "middle");
  verdict.classList.add("fan-verdict");
  return [...nodes, verdict];
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
  nodes.push(label("% from price now", 0, 12, "start"));
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

function shape(className, points, place) {
  return node("polyline", className, { points: points.map(([x, y]) => `${place.x(x).toFixed(1)},${place.y(y).toFixed(1)}`).join(" ") });
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
