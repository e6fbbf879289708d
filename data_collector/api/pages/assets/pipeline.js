// Rates, latency, stores, buffers and connections.

import { byId, bytes, counted, element, milliseconds, rate, resize, setText, span, whole } from "/assets/text.js";

const CONNECTIONS_MOST = 50;

/** Writes a `state` event. */
export function drawPipeline({ received_per_second: received, stored_per_second: stored, latency, stores, buffers, connections, silent_seconds: silent }) {
  setText(byId("received-rate"), rate(received));
  setText(byId("stored-rate"), rate(stored));
  setText(byId("latency-p50"), milliseconds(latency.p50_ms));
  setText(byId("latency-p99"), milliseconds(latency.p99_ms));
  drawList(byId("stores"), stores, ({ name, up, detail }) => ({
    name, text: detail, state: up === null ? (silent === undefined ? "not used" : "unknown") : up ? "up" : "down", tone: up === null ? "" : up ? "good" : "bad",
  }));
  drawList(byId("buffers"), buffers, (buffer) => ({
    name: buffer.name, text: "", tone: "",
    state: buffer.bytes === undefined ? counted(buffer.records, "record") : bytes(buffer.bytes),
  }));
  const up = connections.filter(({ state }) => state === "connected").length;
  setText(byId("connections-count"), silent === undefined ? `${whole(up)} of ${whole(connections.length)} up` : "unknown");
  // Those that are not up come first: they are what one looks for.
  const order = [...connections].sort((a, b) => (a.state === "connected") - (b.state === "connected"));
  drawList(byId("connections"), order.slice(0, CONNECTIONS_MOST), (line) => ({
    name: `Line ${line.line}`, state: silent === undefined ? line.state : "unknown", text: lineText(line),
    tone: silent === undefined && line.state === "connected" ? "good" : "warn",
  }));
}

function lineText({ streams, last_message_seconds_ago: ago, reconnects, state, last_error: error }) {
  const parts = [counted(streams, "stream")];
  if (ago !== null && state === "connected") {
    parts.push(`newest ${span(ago)} ago`);
  }
  if (reconnects > 0) {
    parts.push(counted(reconnects, "reconnect"));
  }
  if (state !== "connected" && error) {
    parts.push(error);
  }
  return parts.join(", ");
}

function drawList(list, items, describe) {
  resize(list, items.length, makeItem);
  items.forEach((item, i) => {
    const { name, state, text, tone } = describe(item);
    const entry = list.children[i];
    entry.dataset.tone = tone;
    setText(entry.children[0], name);
    setText(entry.children[1], state);
    setText(entry.children[2], text);
  });
}

function makeItem() {
  const entry = element("li");
  entry.append(element("span", "what"), element("span", "state"), element("span", "muted text"));
  return entry;
}
