// What the rules refused: the counts of each `state`, and the newest refusals, which are asked for when there are more.

import { byId, clock, element, percentDown, resize, setText, span, whole } from "/assets/text.js";

const LIMIT = 20;
const EVERY_MS = 3000;
const NOTHING = "–";

export class ValidationPanel {
  #refused = null;
  #askedAt = -Infinity;
  #isAsking = false;
  /** The newest refusal as {at (ms), sentence}, or null. */
  newest = null;

  /** Takes a `state` event. */
  take({ metrics, audit }) {
    const { messages_validated: passed, validation_errors: refused } = metrics;
    const judged = passed + refused;
    setText(byId("pass-rate"), judged === 0 ? NOTHING : percentDown((passed * 100) / judged, 2));
    setText(byId("passed"), whole(passed));
    setText(byId("refused"), whole(refused));
    byId("refused").dataset.tone = refused > 0 ? "warn" : "";
    setText(byId("audited"), audit.state === "running" ? progressOf(audit) : audit.state);
    byId("audited").dataset.tone = audit.state === "down" ? "bad" : "";
    if (refused !== this.#refused && !this.#isAsking && performance.now() - this.#askedAt > EVERY_MS) {
      this.#ask(refused);
    }
  }

  async #ask(refused) {
    this.#isAsking = true;
    this.#askedAt = performance.now();
    try {
      const answer = await fetch(`/validation/errors?limit=${LIMIT}`, { headers: { Accept: "application/json" } });
      if (answer.ok) {
        // Without a time it is none that a collector has written.
        this.#draw((await answer.json()).errors.filter(({ at }) => !Number.isNaN(Date.parse(at))));
        this.#refused = refused;
      }
    } catch {
      // The next state asks again.
    }
    this.#isAsking = false;
  }

  #draw(errors) {
    const list = byId("refusals");
    byId("no-refusals").hidden = errors.length > 0;
    this.newest = errors.length === 0 ? null : { at: Date.parse(errors[0].at), sentence: sentenceOf(errors[0]) };
    resize(list, errors.length, makeEntry);
    errors.forEach((error, i) => writeEntry(list.children[i], error));
  }
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
  setText(summary, `${error.symbol}, ${clock(Date.parse(error.at))} UTC${rules ? `, ${rules}` : ""}`);
  setText(record, error.record === null ? (error.frame ?? "") : JSON.stringify(error.record, null, 1));
}
