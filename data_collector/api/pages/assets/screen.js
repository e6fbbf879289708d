// The whole screen for the chart, with the three answers above it: nobody should look at a feed that has stopped.

import { byId } from "/assets/text.js";

const BESIDE = [".top", "#spread", "#moments", ".operation", ".bottom"];

export class Screen {
  #stage = byId("stage");
  #button = byId("full");

  constructor() {
    this.#button.addEventListener("click", () => (this.#isFull ? this.#leave() : this.#enter()));
    document.addEventListener("fullscreenchange", () => this.#draw(document.fullscreenElement !== null));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#isFull) {
        this.#leave();
      }
    });
    const menu = byId("menu");
    menu.addEventListener("click", () => menu.setAttribute("aria-expanded", String(menu.getAttribute("aria-expanded") !== "true")));
  }

  get #isFull() {
    return this.#stage.classList.contains("full");
  }

  // Where the browser gives no screen away, as on some phones, the chart has the whole window.
  async #enter() {
    this.#draw(true);
    try {
      await document.documentElement.requestFullscreen();
    } catch {
      // It has the window.
    }
  }

  async #leave() {
    this.#draw(false);
    if (document.fullscreenElement !== null) {
      await document.exitFullscreen();
    }
  }

  #draw(isFull) {
    this.#stage.classList.toggle("full", isFull);
    this.#button.setAttribute("aria-pressed", String(isFull));
    this.#button.textContent = isFull ? "Leave full screen" : "Full screen";
    for (const selector of BESIDE) {
      document.querySelector(selector).inert = isFull;
    }
  }
}
