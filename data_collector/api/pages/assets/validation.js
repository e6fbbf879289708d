// What the rules refused: the counts of each `state`, and the newest refusals, which are asked for when there are more.

import { routeOf } from "/assets/routes.js";
import { byId, clock, element, percentDown, resize, setText, span, whole, zone } from "/assets/text.js";

const LIMIT = 20;
const EVERY_MS = 3000;
const NOTHING = "–";

export class ValidationPanel {
  #kept = new Map();
  #shown = null;

  /** Shows another exchange, by its name; null is the only one. */
  show(exchange) {
    this.#shown = exchange;
    this.#draw(this.#of(exchange).errors);
  }

  /** Writes the times anew. */
  retime() {
    this.#draw(this.#of(this.#shown).errors);
  }

  /** The newest refusal of an exchange as {at (ms), sentence}, or null. */
  newestOf(exchange) {
    const [newest] = this.#of(exchange).errors;
    return newest === undefined ? null : { at: Date.parse(newest.at), sentence: sentenceOf(newest) };
  }

  /** Takes a `state` event of an exchange, whether it is shown or not. */
  take(exchange, state) {
    if (exchange === this.#shown) {
      drawCounts(state);
    }
    const kept = this.#of(exchange);
    const refused = state.metrics.validation_errors;
    if (refused !== kept.refused && !kept.isAsking && performance.now() - kept.askedAt > EVERY_MS) {
      this.#ask(exchange, refused);
    }
  }

  #of(exchange) {
    if (!this.#kept.has(exchange)) {
      this.#kept.set(exchange, { refused: null, errors: [], askedAt: -Infinity, isAsking: false });
    }
    return this.#kept.get(exchange);
  }

  async #ask(exchange, refused) {
    const kept = this.#of(exchange);
    kept.isAsking = true;
    kept.askedAt = performance.now();
    try {
      const answer = await fetch(routeOf("/validation/errors", { limit: LIMIT }, exchange), { headers: { Accept: "application/json" } });
      if (answer.ok) {
        // Without a time it is none that a collector has written.
        kept.errors = (await answer.json()).errors.filter(({ at }) => !Number.isNaN(Date.parse(at)));
        kept.refused = refused;
        if (exchange === this.#shown) {
          this.#draw(kept.errors);
        }
      }
    } catch {
      // The next state asks again.
    }
    kept.isAsking = false;
  }

  #draw(errors) {
    const list = byId("refusals");
    byId("no-refusals").hidden = errors.length > 0;
    resize(list, errors.length, makeEntry);
    errors.forEach((error, i) => writeEntry(list.children[i], error));
  }
}

function drawCounts({ metrics, audit }) {
  const { messages_validated: passed, validation_errors: refused } = metrics;
  const judged = passed + refused;
  setText(byId("pass-rate"), judged === 0 ? NOTHING : percentDown((passed * 100) / judged, 2));
  setText(byId("passed"), whole(passed));
  setText(byId("refused"), whole(refused));
  byId("refused").dataset.tone = refused > 0 ? "warn" : "";
  setText(byId("audited"), audit.state === "running" ? progressOf(audit) : audit.state);
  byId("audited").dataset.tone = audit.state === "down" ? "bad" : "";
}

/** Nothing is audited before the first rhythm is over: then not 0 % is the news, but when. */
function progressOf({ coverage, next_seconds: next }) {
  return coverage === 0 && next > 0 ? `in ${span(next)}` : percentDown(coverage * 100, 1);
}

function sentenceOf({ reasons, symbol }) {
  return `${reasons.map(({ message }) => message).join(" ") || "No reason is kept."} (${symbol})`;
}

function makeEntry() {
  const entry = element("li");
  const record = element("details");
  record.append(element("summary"), element("pre"));
  entry.append(element("span", "what"), record);
  return entry;
}

function writeEntry(entry, error) {
  setText(entry.children[0], error.reasons.map(({ message }) => message).join(" ") || "No reason is kept.");
  const [summary, record] = entry.children[1].children;
  const rules = error.reasons.map(({ rule }) => rule).join(", ");
  setText(summary, `${error.symbol}, ${clock(Date.parse(error.at))} ${zone(Date.parse(error.at))}${rules ? `, ${rules}` : ""}`);
  setText(record, error.record === null ? (error.frame ?? "") : JSON.stringify(error.record, null, 1));
}
