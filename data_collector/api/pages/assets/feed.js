// The live connection: one EventSource, opened anew when it fails, falls silent, or the chart changes.

/** `state` comes every second: a connection that says nothing for so long is dead, whatever the browser thinks. */
const SILENCE_MS = 4000;
const WATCH_MS = 500;
/** How long an answer that says why there is no feed may take. */
const PATIENCE_MS = 2000;
const RETRY_FIRST_MS = 500;
const RETRY_MOST_MS = 10000;

/** A tab that is hidden for so long gives its place to others. */
const HIDDEN_MS = 60000;

const NO_ANSWER = "The service does not answer.";
const NO_EVENTS = "The service answers, but its live feed says nothing.";

export class Feed {
  #takers;
  #onConnection;
  #source = null;
  #focus = null;
  #heardAt = 0;
  #failures = 0;
  #retry = 0;
  #hidden = 0;

  /** `takers`: of each event by its name, who gets its content. `onConnection({phase, since, reason})` gets each change of phase. */
  constructor(takers, onConnection) {
    this.#takers = takers;
    this.#onConnection = onConnection;
    this.connection = { phase: "connecting", since: Date.now(), reason: "" };
    setInterval(() => this.#watch(), WATCH_MS);
    document.addEventListener("visibilitychange", () => this.#onVisibility());
    addEventListener("pagehide", () => this.#close());
    addEventListener("pageshow", (event) => event.persisted && this.#open());
  }

  /** Opens the feed with this chart ({exchange, symbol, interval}; the exchange may be null), or without one. */
  open(focus) {
    this.#focus = focus;
    this.#open();
  }

  /** The chart that is asked for, or null. */
  get focus() {
    return this.#focus;
  }

  #open() {
    this.#close();
    this.#heardAt = performance.now();
    const source = new EventSource(this.#address());
    this.#source = source;
    for (const name of Object.keys(this.#takers)) {
      source.addEventListener(name, (event) => {
        if (source === this.#source) {
          this.#hear(name, event.data);
        }
      });
    }
    source.addEventListener("error", () => source === this.#source && this.#fail());
  }

  #close() {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = null;
  }

  #address() {
    if (this.#focus === null) {
      return "/live";
    }
    const { exchange, symbol, interval } = this.#focus;
    // The symbol names the exchange, and not a parameter: the connection tells of all.
    return `/live?${new URLSearchParams({ symbol: exchange === null ? symbol : `${exchange}:${symbol}`, interval })}`;
  }

  #hear(name, text) {
    this.#heardAt = performance.now();
    this.#failures = 0;
    this.#become("live", "");
    this.#takers[name](JSON.parse(text));
  }

  #watch() {
    if (this.#source !== null && performance.now() - this.#heardAt > SILENCE_MS) {
      this.#fail();
    }
  }

  // The browser's own retry is not used: it gives up for good when the answer is an error such as 503.
  async #fail() {
    const address = this.#address();
    this.#close();
    this.#failures += 1;
    const most = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** (this.#failures - 1));
    this.#retry = setTimeout(() => this.#open(), most / 2 + (Math.random() * most) / 2);
    if (this.connection.phase !== "lost") {
      this.#become("lost", NO_ANSWER);
    }
    const { status, sentence } = await whyNot(address);
    if (status === 404 && address === this.#address()) {
      // A symbol of a bookmark may be gone: without a chart `hello` comes, which says what there is.
      this.#focus = null;
    }
    if (this.connection.phase === "lost") {
      this.#become("lost", sentence);
    }
  }

  #become(phase, reason) {
    const before = this.connection;
    if (before.phase !== phase || before.reason !== reason) {
      this.connection = { phase, reason, since: before.phase === phase ? before.since : Date.now() };
      this.#onConnection(this.connection);
    }
  }

  #onVisibility() {
    clearTimeout(this.#hidden);
    if (document.hidden) {
      this.#hidden = setTimeout(() => this.#close(), HIDDEN_MS);
    } else if (this.#source === null) {
      this.#failures = 0;
      this.#open();
    }
  }
}

// An EventSource does not say why it failed; a plain question for the same is answered with a sentence.
async function whyNot(address) {
  const enough = new AbortController();
  const patience = setTimeout(() => enough.abort(), PATIENCE_MS);
  try {
    const answer = await fetch(address, { signal: enough.signal });
    return { status: answer.status, sentence: answer.ok ? NO_EVENTS : (await answer.json()).detail };
  } catch {
    return { status: 0, sentence: NO_ANSWER };
  } finally {
    clearTimeout(patience);
    enough.abort();
  }
}
