// Base and quote of a symbol.

const SIGN = /[-_/]/;
/** What symbols without a sign between base and quote end with, besides the quotes of those that have one. */
const QUOTES = ["USDT", "USDC", "FDUSD", "TUSD", "USD", "EUR", "GBP", "JPY", "TRY", "BRL", "BTC", "ETH", "BNB"];

/** What may be counted as one quote, when the reader wants it so. */
export const DOLLARS = ["USD", "USDT"];

/** {base, quote}, or null where that cannot be seen. `known`: symbols of all exchanges, which say what a joined one is made of. */
export function pairOf(symbol, known) {
  const parts = symbol.split(SIGN);
  if (parts.length > 1) {
    return parts.length === 2 ? { base: parts[0], quote: parts[1] } : null;
  }
  const pairs = known.map((each) => each.split(SIGN)).filter(({ length }) => length === 2);
  const same = pairs.find((pair) => pair.join("") === symbol);
  if (same) {
    return { base: same[0], quote: same[1] };
  }
  const bases = new Set(pairs.map(([base]) => base));
  const baseOf = (quote) => symbol.slice(0, -quote.length);
  const quotes = [...new Set([...QUOTES, ...pairs.map(([, quote]) => quote)])]
    .filter((quote) => symbol.endsWith(quote) && baseOf(quote) !== "")
    .sort((one, other) => other.length - one.length);
  const quote = quotes.find((each) => bases.has(baseOf(each))) ?? quotes[0];
  return quote === undefined ? null : { base: baseOf(quote), quote };
}

/** Whether two symbols are the same base in dollars of either kind. */
export function isSameInDollars(one, other, known) {
  const [pair, like] = [pairOf(one, known), pairOf(other, known)];
  return pair !== null && pair.base === like?.base && DOLLARS.includes(pair.quote) && DOLLARS.includes(like.quote);
}

/** Whether two symbols are the same base and quote, however each exchange writes them. */
export function isSameMarket(one, other) {
  return one.split(SIGN).join("") === other.split(SIGN).join("");
}
