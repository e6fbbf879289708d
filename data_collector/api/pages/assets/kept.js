// A choice of the reader that the browser keeps on this machine.

/** What was kept under that name, or `otherwise`. A browser that keeps nothing throws here. */
export function kept(name, otherwise) {
  try {
    return localStorage.getItem(name) ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** Keeps it, or has it hold until the page is closed. */
export function keep(name, choice) {
  try {
    localStorage.setItem(name, choice);
  } catch {
    // Nothing is lost but the next visit's choice.
  }
}
