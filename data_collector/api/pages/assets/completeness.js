// Completeness per symbol, and the newest gaps.

import { Grid, textColumn } from "/assets/grid.js";
import { byId, clock, counted, element, percentDown, resize, setText, span, whole, zone } from "/assets/text.js";
import { routeOf } from "/assets/routes.js";
import { tally } from "/assets/verdicts.js";

const STATES = { open: "healing", healed: "healed" };
const TONES = { open: "warn", healed: "good" };

export class CompletenessPanel {
  #grid;

  /** `onSelect(symbol)` is called for a row that was chosen. */
  constructor(onSelect) {
    this.#grid = new Grid(byId("completeness"), {
      caption: "Completeness of the trades in the store, per symbol",
      sort: { key: "complete", descending: false },
      onSelect,
      columns: [
        textColumn("symbol", "Symbol", "name", (row) => row.symbol, (row) => row.symbol),
        {
          key: "complete", title: "Complete", className: "number percentage", value: worth,
          write: (cell, row) => {
            setText(cell, percentDown(row.percentage));
            cell.dataset.tone = row.percentage === null ? "" : row.percentage === 100 ? "good" : "warn";
          },
        },
        {
          key: "proven", title: "Proof", className: "proof", value: (row) => (row.percentage === null ? null : row.isProven ? 1 : 0),
          write: (cell, row) => {
            const isNone = row.percentage === null;
            setText(cell, isNone ? "–" : row.isProven ? "proven" : "not proven");
            cell.dataset.tone = isNone ? "" : row.isProven ? "good" : "warn";
          },
        },
        textColumn("held", "Held", "number wide", (row) => whole(row.held), (row) => row.held, { descendsFirst: true }),
        textColumn("gaps", "Healing", "number", (row) => whole(row.gaps), (row) => row.gaps, { descendsFirst: true }),
        textColumn("healed", "Healed", "number wide", (row) => whole(row.healed), (row) => row.healed, { descendsFirst: true }),
        textColumn("lost", "Lost", "number", (row) => whole(row.lost), (row) => row.lost, { descendsFirst: true }),
      ],
    });
  }

  /** Takes the rows of a `completeness` event. */
  take(rows) {
    this.#grid.setRows(rows.map(([symbol, percentage, isProven, held, expected, lost, healed, gaps]) => (
      { symbol, percentage, isProven, held, expected, lost, healed, gaps })));
    const sums = tally(rows);
    setText(byId("held"), sums.percentage === null ? "–" : `${whole(sums.held)} of ${whole(sums.existing)}`);
    setText(byId("healed"), counted(sums.healed, "trade"));
    setText(byId("lost"), counted(sums.lost, "trade"));
    byId("lost").dataset.tone = sums.lost > 0 ? "bad" : "";
  }

  /** Takes the gaps of a `state` event. */
  takeGaps({ open, missing, newest }) {
    setText(byId("healing"), open === 0 ? "no gap" : `${counted(open, "gap")}, ${counted(missing, "record")}`);
    byId("healing").dataset.tone = open > 0 ? "warn" : "";
    byId("no-gaps").hidden = newest.length > 0;
    const list = byId("gaps");
    resize(list, newest.length, makeGap);
    newest.forEach((gap, i) => writeGap(list.children[i], gap));
  }
}

function worth({ percentage, isProven, gaps }) {
  return (percentage ?? 101) - (isProven || percentage === null ? 0 : 1000) - gaps;
}

function makeGap() {
  const entry = element("li");
  entry.append(element("span", "state"), element("a", "what"), element("span", "when muted"));
  return entry;
}

function writeGap(entry, gap) {
  const [state, what, when] = entry.children;
  // What was given up says why: refused, absent, skipped or lost.
  const reasons = Object.keys(gap.given_up);
  setText(state, STATES[gap.state] ?? (reasons.join(", ") || gap.state));
  entry.dataset.tone = TONES[gap.state] ?? (reasons.includes("lost") ? "bad" : "warn");
  const noun = gap.channel === "kline" ? `${gap.interval} candle` : "trade";
  setText(what, `${gap.symbol}: ${counted(gap.count, noun)}`);
  what.href = routeOf(`/gaps/${encodeURIComponent(gap.id)}`);
  setText(when, whenOf(gap));
}

function whenOf({ opened_at: opened, closed_at: closed, recorded_at: recorded }) {
  const begin = Date.parse(opened ?? recorded ?? "");
  if (Number.isNaN(begin)) {
    return "";
  }
  const at = `${clock(begin)} ${zone(begin)}`;
  return closed && opened ? `${at}, for ${span((Date.parse(closed) - begin) / 1000)}` : at;
}
