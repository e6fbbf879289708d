// Which trades are big: measured by those that went before, because what is big differs from market to market.

const KEPT = 1000;
/** With fewer nobody knows what is usual. */
const FEW = 40;
const BIG = 0.95;
const HUGE = 0.99;

export class Sizes {
  #values = [];
  #big = Infinity;
  #huge = Infinity;

  /** Takes the sizes of trades that have come. */
  take(values) {
    if (values.length === 0) {
      return;
    }
    this.#values = [...this.#values, ...values].slice(-KEPT);
    if (this.#values.length >= FEW) {
      const sorted = this.#values.toSorted((one, other) => one - other);
      this.#big = sorted[Math.floor(sorted.length * BIG)];
      this.#huge = sorted[Math.floor(sorted.length * HUGE)];
    }
  }

  /** "huge" of the largest hundredth, "big" of the largest twentieth, else nothing. */
  of(value) {
    return value >= this.#huge ? "huge" : value >= this.#big ? "big" : "";
  }
}
