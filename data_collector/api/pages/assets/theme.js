// Loaded before anything is drawn, so that a chosen theme does not flash. Choices are kept on this machine.
"use strict";

(() => {
  const KEY = "theme";

  function apply(theme) {
    if (theme === "light" || theme === "dark") {
      document.documentElement.dataset.theme = theme;
    } else {
      delete document.documentElement.dataset.theme;
    }
    document.dispatchEvent(new Event("themechange"));
  }

  // A browser that keeps nothing throws here; the page then follows the system.
  function kept() {
    try {
      return localStorage.getItem(KEY) ?? "system";
    } catch {
      return "system";
    }
  }

  function keep(theme) {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // The choice holds until the page is closed.
    }
  }

  apply(kept());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("themechange")));
  addEventListener("DOMContentLoaded", () => {
    const select = document.getElementById("theme");
    select.value = kept();
    select.addEventListener("change", () => {
      keep(select.value);
      apply(select.value);
    });
  });
})();
