// Stops and starts collecting, where this page may; of several exchanges the one that is shown. A token is kept in this
// module's memory and nowhere else.

import { byId, setText } from "/assets/text.js";

const WORDS = {
  stop: { button: "Stop collecting", act: "Stop", consequence: "What the exchange sends meanwhile is fetched after a start, as far back as CATCH_UP_SECONDS allows." },
  start: { button: "Start collecting", act: "Start", consequence: "Collecting goes on where the store ends." },
};

export class Control {
  #leave = "closed";
  #action = null;
  #exchange = null;
  #asked = null;
  #token = "";

  constructor() {
    byId("control").addEventListener("click", () => this.#ask());
    byId("control-cancel").addEventListener("click", () => byId("control-dialog").close());
    byId("control-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#act();
    });
    byId("control-dialog").addEventListener("close", () => {
      byId("control-token").value = "";
    });
  }

  /** Takes `control` of `hello`: "open", "token" or "closed". */
  setLeave(leave) {
    this.#leave = leave;
    byId("control-closed").hidden = leave !== "closed";
    this.#draw();
  }

  /** Takes the exchange that is shown; null where there is one only. */
  setExchange(name) {
    this.#exchange = name;
    this.#action = null;
    this.#draw();
  }

  /** Says whether it is collecting. */
  setRunning(isRunning) {
    this.#action = isRunning ? "stop" : "start";
    this.#draw();
  }

  #draw() {
    const button = byId("control");
    button.hidden = this.#leave === "closed" || this.#action === null;
    if (this.#action !== null) {
      setText(button, `${this.#words(this.#action)}…`);
    }
  }

  #words(action) {
    return this.#exchange === null ? WORDS[action].button : `${WORDS[action].button} ${this.#exchange}`;
  }

  #ask() {
    this.#asked = this.#exchange === null ? { action: this.#action } : { action: this.#action, exchange: this.#exchange };
    const words = WORDS[this.#action];
    setText(byId("control-question"), `${this.#words(this.#action)}?`);
    setText(byId("control-consequence"), words.consequence + (this.#exchange === null ? "" : " The other exchanges go on as they are."));
    setText(byId("control-do"), words.act);
    byId("control-token-row").hidden = this.#leave !== "token" || this.#token !== "";
    byId("control-refusal").hidden = true;
    byId("control-dialog").showModal();
  }

  async #act() {
    const button = byId("control-do");
    const token = this.#token || byId("control-token").value;
    button.disabled = true;
    try {
      const headers = { "Content-Type": "application/json", Accept: "application/json" };
      if (this.#leave === "token") {
        headers.Authorization = `Bearer ${token}`;
      }
      const answer = await fetch("/control", { method: "POST", headers, body: JSON.stringify(this.#asked) });
      if (answer.ok) {
        this.#token = this.#leave === "token" ? token : "";
        byId("control-dialog").close();
      } else {
        this.#token = answer.status === 403 ? "" : this.#token;
        this.#refuse((await answer.json()).detail);
      }
    } catch {
      this.#refuse("The service does not answer, or the token has characters that cannot be sent.");
    }
    button.disabled = false;
  }

  #refuse(sentence) {
    byId("control-token-row").hidden = this.#leave !== "token" || this.#token !== "";
    byId("control-refusal").hidden = false;
    setText(byId("control-refusal"), sentence);
  }
}
