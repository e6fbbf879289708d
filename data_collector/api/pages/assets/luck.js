// Whether what followed similar windows differs from what followed random ones by more than luck, all horizons together.

/** Fewer independent outcomes than this tell nothing, whatever they say. */
export const FEW = 10;
/** One look in twenty differs so by luck alone; the horizons share it. */
const CHANCE = 0.05;

/** The horizons at which more hits lie on one side of the random median than luck puts there, the surest first. */
export function beyondLuck({ hits, outcome, random }) {
  return outcome
    .map((found, i) => sides(hits, found, random[i].median))
    .filter(({ chance }) => chance * outcome.length < CHANCE)
    .sort((one, other) => one.chance - other.chance);
}

function sides(hits, { horizon, effective_n }, middle) {
  const count = (sign) => hits.filter(({ after }) => Math.sign(after[horizon] - middle) === sign).length;
  const [above, below] = [count(1), count(-1)];
  const isTold = middle !== null && effective_n >= FEW;
  // What lies on the middle counts half on each side.
  const share = Math.min(above, below) + (hits.length - above - below) / 2;
  const trials = Math.round(effective_n);
  return { horizon, above, below, chance: isTold ? signTest(Math.round((share / hits.length) * trials), trials) : 1 };
}

// How often a fair coin of so many throws shows one of its sides as rarely as this.
function signTest(fewer, trials) {
  let [term, sum] = [0.5 ** trials, 0];
  for (let i = 0; i <= fewer; i += 1) {
    sum += term;
    term *= (trials - i) / (i + 1);
  }
  return Math.min(1, 2 * sum);
}
