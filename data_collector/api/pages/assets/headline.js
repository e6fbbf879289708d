// The bar of three answers, and what an operator must know below it.

import { byId, element, resize, setText } from "/assets/text.js";
import { completeVerdict, liveVerdict, tally, unheard, validVerdict } from "/assets/verdicts.js";

const PHASES = { connecting: "Connecting…", live: "Connected", lost: "Connection lost" };

export class Headline {
  #told = {};
  #sums = null;

  /** Takes the rows of a `completeness` event. */
  takeCompleteness(rows) {
    this.#sums = tally(rows);
  }

  /** Writes all of it. `newest`: the newest refusal ({at, sentence}), or null; `now`: by the service's clock. */
  draw(connection, state, newest, now) {
    document.body.dataset.connection = connection.phase;
    setText(byId("connection"), PHASES[connection.phase]);
    const isLost = connection.phase === "lost";
    if (!isLost) {
      this.#told = { complete: completeVerdict(state, this.#sums), valid: validVerdict(state, newest, now) };
    }
    // The age of a lost connection is told by this device's clock, for nobody tells the service's.
    const answers = {
      live: liveVerdict(connection, state, Date.now()),
      complete: isLost ? unheard(this.#told.complete ?? { answer: "…" }) : this.#told.complete,
      valid: isLost ? unheard(this.#told.valid ?? { answer: "…" }) : this.#told.valid,
    };
    for (const [id, verdict] of Object.entries(answers)) {
      show(byId(id), verdict);
    }
    // A screen reader is told the words, and only when one of them has changed: figures change each second.
    setText(byId("spoken"), `Live: ${answers.live.answer}. Complete: ${answers.complete.answer}. Valid: ${answers.valid.answer}.`);
    document.title = `${isLost ? "Not live" : titleOf(answers)} · Data Collector`;
    this.#drawReasons(isLost ? [] : (state?.health.reasons ?? []));
  }

  #drawReasons(reasons) {
    const list = byId("reasons");
    list.hidden = reasons.length === 0;
    resize(list, reasons.length, () => element("li"));
    reasons.forEach((reason, i) => setText(list.children[i], reason));
  }
}

function show(card, { answer, tone, figure, reason }) {
  card.dataset.tone = tone;
  setText(card.querySelector(".answer"), answer);
  setText(card.querySelector(".figure"), figure);
  setText(card.querySelector(".reason"), reason);
}

function titleOf({ live, complete, valid }) {
  const tones = [live.tone, complete.tone, valid.tone];
  if (live.tone === "bad") {
    return "Not live";
  }
  return tones.includes("bad") ? "Live, with faults" : live.answer === "…" ? "Connecting" : "Live";
}
