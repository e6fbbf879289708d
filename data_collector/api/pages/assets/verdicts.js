// The three plain answers, made of what the feed told. Pure: no page, no clock.
// An answer is {answer, tone: "good" | "warn" | "bad" | "unknown", figure, reason}.

import { counted, percentDown, rate, span, whole } from "/assets/text.js";

/** A feed that has said nothing for so long is not called live without a word about it. */
const QUIET_S = 10;
/** A refusal that is younger is news. */
const RECENT_MS = 10 * 60 * 1000;
/** Below this share something is wrong with the feed or with a rule, not with a record. */
const FAILING_PERCENT = 99;
const NAMES_MOST = 3;

/** The worst comes last. */
const TONES = ["good", "unknown", "warn", "bad"];

const WAITING = { answer: "…", tone: "unknown", figure: "", reason: "Waiting for the service." };

/** Whether messages come. */
export function liveVerdict(connection, state, now) {
  if (connection.phase === "lost") {
    const figure = `for ${span((now - connection.since) / 1000)}`;
    return { answer: "No", tone: "bad", figure, reason: `${connection.reason} Trying again.` };
  }
  if (state === null) {
    return WAITING;
  }
  const { health, metrics, connections } = state;
  const ago = metrics.last_message_seconds_ago;
  const figure = state.received_per_second === null ? "" : rate(state.received_per_second, " messages");
  if (!health.collector_running || health.status === "unhealthy") {
    return { answer: "No", tone: "bad", figure, reason: sentence(health.reasons[0] ?? "nothing is being collected") };
  }
  const up = connections.filter((line) => line.state === "connected").length;
  if (connections.length > 0 && up === 0) {
    const error = connections.find((line) => line.last_error)?.last_error;
    const reason = error ?? "no connection to the exchange is up";
    // Where nothing has come yet, nothing has been lost.
    return ago === null
      ? { answer: "Not yet", tone: "bad", figure, reason: sentence(`running, but not connected yet: ${reason}`) }
      : { answer: "No", tone: "bad", figure, reason: sentence(reason) };
  }
  if (ago === null) {
    return { answer: "Not yet", tone: "warn", figure, reason: "No message has come yet." };
  }
  if (ago > QUIET_S) {
    return { answer: "Quiet", tone: "warn", figure, reason: `The newest message is ${span(ago)} old.` };
  }
  const isWhole = up === connections.length;
  const lines = isWhole ? counted(up, "connection") : `${up} of ${counted(connections.length, "connection")}`;
  const when = ago < 1 ? "less than a second" : span(ago);
  return { answer: "Yes", tone: isWhole ? "good" : "warn", figure, reason: `The newest came ${when} ago, over ${lines}.` };
}

/** Sums of the `completeness` rows. */
export function tally(rows) {
  const sum = { symbols: rows.length, held: 0, existing: 0, lost: 0, healed: 0, gaps: 0, unproven: [], losers: [] };
  for (const [symbol, percentage, isProven, held, expected, lost, healed, gaps] of rows) {
    sum.held += held;
    // The percentage is of what the exchange has, which leaves out ids that it never gave away.
    sum.existing += percentage > 0 ? Math.round((held * 100) / percentage) : expected;
    sum.lost += lost;
    sum.healed += healed;
    sum.gaps += gaps;
    if (!isProven && percentage !== null) {
      sum.unproven.push(symbol);
    }
    if (lost > 0) {
      sum.losers.push(symbol);
    }
  }
  sum.isWhole = rows.every(([, percentage]) => percentage === null || percentage === 100);
  sum.percentage = sum.existing === 0 ? null : sum.isWhole ? 100 : (sum.held * 100) / sum.existing;
  return sum;
}

/** Whether every trade is stored. */
export function completeVerdict(state, sums) {
  if (state === null || sums === null) {
    return WAITING;
  }
  const { gaps } = state;
  const figure = sums.percentage === null ? "" : percentDown(sums.percentage);
  if (gaps.open > 0) {
    const reason = `${counted(gaps.missing, "record")} of ${counted(gaps.open, "gap")} on the way, the oldest missing for ${span(gaps.oldest_open_seconds)}.`;
    return { answer: "Repairing", tone: "warn", figure, reason };
  }
  if (sums.lost > 0) {
    return { answer: "No", tone: "bad", figure, reason: `${counted(sums.lost, "trade")} lost: ${named(sums.losers)}.` };
  }
  if (sums.unproven.length > 0) {
    return { answer: "Not proven", tone: "warn", figure, reason: `The store's own counts do not add up: ${named(sums.unproven)}.` };
  }
  if (sums.existing === 0) {
    return { answer: "Not yet", tone: "unknown", figure: "", reason: "Nothing is stored yet." };
  }
  if (!sums.isWhole) {
    const reason = `${counted(sums.existing - sums.held, "trade")} not held, each declared: refused by a rule, or older than a start goes back.`;
    return { answer: "Not fully", tone: "warn", figure, reason };
  }
  const reason = `All ${counted(sums.held, "trade")} of ${counted(sums.symbols, "symbol")} held, proven by their ids.`;
  return { answer: "Yes", tone: "good", figure, reason };
}

/** Whether what comes passes the rules. `newest`: {at (ms), sentence}, or null. */
export function validVerdict(state, newest, now) {
  if (state === null) {
    return WAITING;
  }
  const { messages_validated: passed, validation_errors: refused } = state.metrics;
  const judged = passed + refused;
  if (judged === 0) {
    return { answer: "Not yet", tone: "unknown", figure: "", reason: "No message has been judged yet." };
  }
  const percentage = (passed * 100) / judged;
  const figure = percentDown(percentage, 2);
  const isDown = state.audit.state === "down";
  if (refused === 0) {
    const audit = isDown ? "The audit by Great Expectations is down." : audited(state.audit);
    return { answer: "Yes", tone: isDown ? "warn" : "good", figure, reason: `All ${whole(judged)} messages pass every rule. ${audit}` };
  }
  const isRecent = newest === null || now - newest.at < RECENT_MS;
  const when = newest === null ? "." : `, the newest ${span((now - newest.at) / 1000)} ago: ${newest.sentence}`;
  const reason = `${whole(refused)} of ${whole(judged)} messages refused${when}`;
  if (percentage < FAILING_PERCENT) {
    return { answer: "No", tone: "bad", figure, reason };
  }
  return isRecent ? { answer: "Not all", tone: "warn", figure, reason } : { answer: "Yes", tone: isDown ? "warn" : "good", figure, reason };
}

/** As `completeVerdict` and `validVerdict`, but of a collector that does not answer, whose last word they would repeat. */
export function unlessSilent(state, verdict) {
  return state?.silent_seconds === undefined ? verdict : unheard(verdict);
}

/** What is said of complete and valid while nobody tells: the last answer is no answer. */
export function unheard(before) {
  const reason = before.answer === "…" ? "" : `When last heard of: ${before.answer.toLowerCase()}${before.figure ? `, ${before.figure}` : ""}.`;
  return { answer: "Unknown", tone: "unknown", figure: "", reason };
}

/**
 * Of several exchanges the worst, behind it what is said of the others: nothing is green above a "no" of one of them.
 * `verdicts`: [name, verdict] of each, the one that is shown first; the name of the only one is null.
 */
export function worstOf(verdicts) {
  if (verdicts.length === 1) {
    return verdicts[0][1];
  }
  const [exchange, worst] = verdicts.reduce((one, other) => (isWorse(other[1], one[1]) ? other : one));
  const others = verdicts.filter(([name]) => name !== exchange).map(([name, { answer }]) => ` ${name}: ${inWords(answer)}.`);
  return { ...worst, exchange, reason: `${exchange}: ${worst.reason}${others.join("")}` };
}

/** What is not well with an exchange, in a word or two, and its tone; the text is empty where all is well. */
export function markOf(verdicts) {
  const [question, worst] = Object.entries(verdicts).reduce((one, other) => (isWorse(other[1], one[1]) ? other : one));
  const text = worst.tone === "good" ? "" : worst.tone === "bad" ? `not ${question}` : inWords(worst.answer);
  return { tone: worst.tone, text };
}

/** Of some answers the tone of the worst. */
export function worstToneOf(verdicts) {
  return verdicts.reduce((one, other) => (isWorse(other, one) ? other : one)).tone;
}

function isWorse(one, other) {
  return TONES.indexOf(one.tone) > TONES.indexOf(other.tone);
}

function inWords(answer) {
  return answer === "…" ? "not told yet" : answer.toLowerCase();
}

function audited(audit) {
  if (audit.state !== "running") {
    return "";
  }
  const next = audit.next_seconds > 0 ? `, and looks at the rest in ${span(audit.next_seconds)}` : "";
  return `Great Expectations has checked ${percentDown(audit.coverage * 100, 1)} of them again${next}.`;
}

function named(symbols) {
  const rest = symbols.length - NAMES_MOST;
  return symbols.slice(0, NAMES_MOST).join(", ") + (rest > 0 ? ` and ${whole(rest)} more` : "");
}

function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
