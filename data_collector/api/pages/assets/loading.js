// A page of which a file did not come would stay as it is for ever: it is loaded again once the service answers.
"use strict";

(() => {
  const RETRY_MS = 2000;
  let isTrying = false;

  async function tryAgain() {
    try {
      await fetch("/health/live", { cache: "no-store" });
      location.reload();
    } catch {
      setTimeout(tryAgain, RETRY_MS);
    }
  }

  // Failures to load do not rise to the window; they can only be seen on their way down.
  addEventListener("error", ({ target }) => {
    if (target instanceof HTMLScriptElement && !isTrying) {
      isTrying = true;
      document.getElementById("connection")?.replaceChildren("This page did not come as a whole. Trying again.");
      setTimeout(tryAgain, RETRY_MS);
    }
  }, true);
})();
