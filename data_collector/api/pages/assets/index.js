// Text from outside goes into the page through textContent only: it cannot become markup.
"use strict";

const EVERY_MS = 1000;

function show(id, value) {
  const text = Array.isArray(value) ? value.join(", ") : value;
  document.getElementById(id).textContent = text === null ? "none yet" : String(text);
}

function showReasons(reasons) {
  const items = reasons.map((reason) => {
    const item = document.createElement("li");
    item.textContent = reason;
    return item;
  });
  document.getElementById("reasons").replaceChildren(...items);
}

async function refresh() {
  try {
    const [health, metrics] = await Promise.all(
      ["/health", "/metrics"].map(async (path) => (await fetch(path, { headers: { Accept: "application/json" } })).json()),
    );
    show("status", health.status);
    showReasons(health.reasons);
    for (const name of ["messages_received", "messages_validated", "validation_errors",
      "last_message_seconds_ago", "symbols", "intervals"]) {
      show(name, metrics[name]);
    }
  } catch {
    show("status", "the service does not answer");
  }
  // The next question waits for this answer, so a slow service is not asked twice at a time.
  setTimeout(refresh, EVERY_MS);
}

refresh();
