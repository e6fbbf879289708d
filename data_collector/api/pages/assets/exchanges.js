// What each exchange has told, which of them is shown, and the switch between them, where several are collected.

import { byId, element, resize, setText } from "/assets/text.js";

export class Exchanges {
  #told = new Map();
  #names = [];
  #wanted = new URLSearchParams(location.search).get("exchange")?.toLowerCase() ?? null;
  #onChoose;

  /** `onChoose(name)` is called for the exchange that the reader wants to see. */
  constructor(onChoose) {
    this.#onChoose = onChoose;
  }

  /** The name of the one that is shown; until a service has told what there is, the one of the address. Null for the only one. */
  get shown() {
    if (this.#names.length === 0) {
      return this.#wanted;
    }
    return this.isSeveral ? (this.#names.includes(this.#wanted) ? this.#wanted : this.#names[0]) : null;
  }

  get isSeveral() {
    return this.#names.length > 1;
  }

  /** What the one that is shown has told: its newest `hello`, `state` and `completeness`, each null before it came. */
  get now() {
    return this.of(this.shown);
  }

  /** The same of one by its name. */
  of(name) {
    return this.#told.get(name) ?? { hello: null, state: null, completeness: null };
  }

  /** All of them, the one that is shown first. */
  get names() {
    return this.isSeveral ? [this.shown, ...this.#names.filter((name) => name !== this.shown)] : [null];
  }

  /** Why not the exchange of the address is shown; empty when it is. */
  get note() {
    const there = this.isSeveral ? this.#names : [this.now.hello?.exchange ?? this.#wanted];
    return this.#wanted === null || there.includes(this.#wanted)
      ? "" : `${this.#wanted} is not collected here. This is ${this.shown ?? there[0]}.`;
  }

  /** Takes an event; whether it is of the exchange that is shown. */
  take(name, event) {
    if (name === "hello") {
      this.#names = event.exchanges;
      for (const gone of [...this.#told.keys()].filter((each) => !this.names.includes(each))) {
        this.#told.delete(gone);
      }
    }
    const key = this.isSeveral ? event.exchange : null;
    this.#told.set(key, { ...this.of(key), [name]: event });
    return key === this.shown;
  }

  /** Whether an event is of the one that is shown. */
  isShown({ exchange }) {
    return !this.isSeveral || exchange === this.shown;
  }

  choose(name) {
    this.#wanted = name;
    this.#onChoose();
  }

  /** Writes the switch. `marks`: by name, {tone, text} of what is not well with it. */
  draw(marks) {
    const group = byId("exchanges");
    group.hidden = !this.isSeveral;
    resize(group, this.isSeveral ? this.#names.length : 0, () => this.#makeButton());
    [...group.children].forEach((button, i) => {
      const name = this.#names[i];
      const { tone, text } = marks[name];
      button.value = name;
      button.dataset.tone = tone;
      button.setAttribute("aria-pressed", String(name === this.shown));
      setText(button.children[0], name);
      setText(button.children[1], text === "" ? "" : ` ${text}`);
    });
  }

  #makeButton() {
    const button = element("button");
    button.type = "button";
    button.append(element("span"), element("span", "mark"));
    button.addEventListener("click", () => button.value !== this.shown && this.choose(button.value));
    return button;
  }
}
