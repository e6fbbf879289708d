// Words and numbers for people. Text goes into the page through textContent only: it cannot become markup.

const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const COMPACT = new Intl.NumberFormat("en-US", { notation: "compact", minimumFractionDigits: 2, maximumFractionDigits: 2 });

/** The element of that id, which the page has. */
export function byId(id) {
  return document.getElementById(id);
}

/** Writes only what differs, so that a frame without a change costs nothing. */
export function setText(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

/** A new element with that class and text. */
export function element(tag, className = "", text = "") {
  const node = document.createElement(tag);
  if (className) {
    node.className = className;
  }
  if (text) {
    node.textContent = text;
  }
  return node;
}

/** Makes `list` have exactly `count` children, of which `make` builds the missing ones. */
export function resize(list, count, make) {
  while (list.children.length > count) {
    list.lastElementChild.remove();
  }
  while (list.children.length < count) {
    list.append(make());
  }
}

/** 12,345 */
export function whole(number) {
  return WHOLE.format(number);
}

/** 1 gap, 2 gaps */
export function counted(number, noun) {
  return `${whole(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** 1.23M */
export function compact(number) {
  return Math.abs(number) < 1000 ? number.toFixed(2) : COMPACT.format(number);
}

/** How many decimals an exchange's digits need: zeros at the end do not count. */
export function decimalsOf(digits) {
  return digits.split(".")[1]?.replace(/0+$/, "").length ?? 0;
}

/** The exchange's own digits, with so many decimals or as many as they need. */
export function withDecimals(digits, decimals) {
  const [before, after = ""] = digits.split(".");
  const shown = after.replace(/0+$/, "").padEnd(decimals, "0");
  return grouped(shown === "" ? before : `${before}.${shown}`);
}

/** The exchange's own digits with commas between thousands. */
export function grouped(digits) {
  const [before, after] = digits.split(".");
  const parted = before.replace(/\B(?=(\d{3})+$)/g, ",");
  return after === undefined ? parted : `${parted}.${after}`;
}

/** Rounded down, as a proof must be: 100 % is said only of all. */
export function percentDown(percentage, decimals = 4) {
  if (percentage === null) {
    return "–";
  }
  const scale = 10 ** decimals;
  // The product of a number such as 99.9961 lies a hair below the whole one.
  return `${Math.min(percentage, Math.floor(percentage * scale + 1e-6) / scale)} %`;
}

/** +2.31 % */
export function change(percent) {
  if (percent === null) {
    return "–";
  }
  const digits = Math.abs(percent).toFixed(2);
  return digits === "0.00" ? "0.00 %" : `${percent > 0 ? "+" : "−"}${digits} %`;
}

/** Of what `change` says of it, up, down or none: what reads 0.00 % has no direction. */
export function directionOf(percent) {
  return percent === null || Number(percent.toFixed(2)) === 0 ? "" : percent > 0 ? "up" : "down";
}

/** 0.3 s, 12 s, 5 min, 3 h, 2 d */
export function span(seconds) {
  const s = Math.max(0, seconds);
  if (s < 10) {
    return `${s.toFixed(1)} s`;
  }
  if (s < 120) {
    return `${Math.round(s)} s`;
  }
  if (s < 7200) {
    return `${Math.round(s / 60)} min`;
  }
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`;
}

/** 0.42 ms, 12 ms, 1.2 s */
export function milliseconds(ms) {
  if (ms === null || ms === undefined) {
    return "–";
  }
  if (ms >= 1000) {
    return `${(ms / 1000).toFixed(1)} s`;
  }
  return ms < 10 ? `${ms.toFixed(2)} ms` : `${Math.round(ms)} ms`;
}

/** 4.2/s, 1,234 messages/s */
export function rate(perSecond, noun = "") {
  if (perSecond === null) {
    return "–";
  }
  return `${perSecond < 10 ? perSecond.toFixed(1) : whole(perSecond)}${noun}/s`;
}

/** 12.3 MiB */
export function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let step = 0;
  let rest = number;
  while (rest >= 1024 && step < units.length - 1) {
    rest /= 1024;
    step += 1;
  }
  return `${step === 0 ? rest : rest.toFixed(1)} ${units[step]}`;
}

let isLocal = false;

/** Times are told in UTC, or in the zone of this device. */
export function setLocal(wanted) {
  isLocal = wanted;
}

/** The zone in which a time is told: UTC, UTC+2, UTC+5:30 */
export function zone(ms) {
  const minutes = offsetOf(ms);
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return minutes === 0 ? "UTC" : `UTC${minutes > 0 ? "+" : "−"}${hours}${rest === 0 ? "" : `:${String(rest).padStart(2, "0")}`}`;
}

/** 12:03:09 */
export function clock(ms) {
  return shifted(ms).slice(11, 19);
}

/** 2024-01-01 12:03 */
export function minute(ms) {
  return shifted(ms).slice(0, 16).replace("T", " ");
}

// The clock of the zone, as if it were UTC's. It may differ within a day.
function shifted(ms) {
  return new Date(ms + offsetOf(ms) * 60000).toISOString();
}

function offsetOf(ms) {
  return isLocal ? -new Date(ms).getTimezoneOffset() : 0;
}
