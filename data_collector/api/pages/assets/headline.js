// The bar of three answers, and what an operator must know below it; of several exchanges of all of them.

import { byId, element, resize, setText } from "/assets/text.js";
import { completeVerdict, liveVerdict, markOf, tally, unheard, unlessSilent, validVerdict, worstOf, worstToneOf } from "/assets/verdicts.js";

const PHASES = { connecting: "Connecting…", live: "Connected", lost: "Connection lost" };
const QUESTIONS = ["live", "complete", "valid"];

export class Headline {
  #told = {};
  #isOpen = false;

  constructor() {
    byId("more").addEventListener("click", () => {
      this.#isOpen = !this.#isOpen;
      this.#form();
    });
  }

  /**
   * Writes all of it. `exchanges`: of each, the one that is shown first, {name, state, completeness, newest}: the
   * newest events or null, and the newest refusal ({at, sentence}) or null. `now`: by the service's clock. Returns by name
   * what is not well with each.
   */
  draw(connection, exchanges, note, now) {
    document.body.dataset.connection = connection.phase;
    setText(byId("connection"), PHASES[connection.phase]);
    const isLost = connection.phase === "lost";
    const each = exchanges.map(({ name, state, completeness, newest }) => [name, {
      // The age of a lost connection is told by this device's clock, for nobody tells the service's.
      live: liveVerdict(connection, state, Date.now()),
      complete: unlessSilent(state, completeVerdict(state, completeness === null ? null : tally(completeness.rows))),
      valid: unlessSilent(state, validVerdict(state, newest, now)),
    }]);
    const answers = isLost ? this.#unheard(each[0][1].live) : answersOf(each);
    this.#told = isLost ? this.#told : answers;
    for (const [id, verdict] of Object.entries(answers)) {
      show(byId(id), verdict);
    }
    // What is drawn below is of the exchange that is shown.
    document.body.dataset.live = each[0][1].live.tone;
    document.body.dataset.worst = worstToneOf(Object.values(answers));
    this.#form();
    // A screen reader is told the words, and only when one of them has changed: figures change each second.
    setText(byId("spoken"), QUESTIONS.map((id) => `${begun(id)}: ${answers[id].answer}${placed(answers[id])}.`).join(" "));
    document.title = `${isLost ? "Not live" : titleOf(answers)} · Data Collector`;
    drawReasons(isLost ? [] : [...(note === "" ? [] : [note]), ...exchanges.flatMap(reasonsOf)]);
    return Object.fromEntries(each.map(([name, verdicts]) => [name, isLost ? { tone: "unknown", text: "" } : markOf(verdicts)]));
  }

  // One line while no answer is a "no", unless the reader wants the sentences.
  #form() {
    const tone = document.body.dataset.worst;
    const headline = byId("headline");
    headline.dataset.tone = tone;
    headline.dataset.form = tone === "bad" || this.#isOpen ? "cards" : "line";
    byId("more").hidden = tone === "bad";
    byId("more").setAttribute("aria-expanded", String(this.#isOpen));
    setText(byId("more"), this.#isOpen ? "One line" : "Details");
  }

  #unheard(live) {
    const before = (id) => unheard(this.#told[id] ?? { answer: "…" });
    return { live, complete: before("complete"), valid: before("valid") };
  }
}

function answersOf(each) {
  return Object.fromEntries(QUESTIONS.map((id) => [id, worstOf(each.map(([name, verdicts]) => [name, verdicts[id]]))]));
}

function reasonsOf({ name, state }) {
  const reasons = state?.health.reasons ?? [];
  return name === null ? reasons : reasons.map((reason) => `${name}: ${reason}`);
}

function drawReasons(reasons) {
  const list = byId("reasons");
  list.hidden = reasons.length === 0;
  resize(list, reasons.length, () => element("li"));
  reasons.forEach((reason, i) => setText(list.children[i], reason));
}

function show(card, { answer, tone, figure, reason }) {
  card.dataset.tone = tone;
  setText(card.querySelector(".answer"), answer);
  setText(card.querySelector(".figure"), figure);
  setText(card.querySelector(".reason"), reason);
}

function begun(word) {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

// Of which of several exchanges a word that is no good one is.
function placed({ exchange, tone }) {
  return exchange === undefined || tone === "good" ? "" : `, ${exchange}`;
}

function titleOf({ live, complete, valid }) {
  const tones = [live.tone, complete.tone, valid.tone];
  if (live.tone === "bad") {
    return live.exchange === undefined ? "Not live" : `${live.exchange} not live`;
  }
  return tones.includes("bad") ? "Live, with faults" : live.answer === "…" ? "Connecting" : "Live";
}
