"""Base and quote of symbols, which programs name their files by."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from data_collector.model.errors import Misconfigured

_ASSET = r"((?:[^\W_]|\.){1,32})"
_SEPARATED = re.compile(rf"{_ASSET}[/-]{_ASSET}")


class Pair(Struct, frozen=True):
    """What is traded, and what it is paid in."""

    base: str
    quote: str


def named_pairs(text: str | None, read_symbol: Callable[[str], str | None]) -> dict[str, Pair]:
    """`BTCUSDT=BTC/USDT,ETHUSDT=ETH/USDT` of a command line, by symbol. Raises `Misconfigured`."""
    pairs = {}
    for word in (word.strip() for word in (text or "").split(",")):
        if not word:
            continue
        written, _, named = word.partition("=")
        symbol, pair = read_symbol(written.strip()), pair_in(named.strip())
        if symbol is None or pair is None:
            raise Misconfigured(f"--pairs {word!r} names no pair; write BTCUSDT=BTC/USDT,ETHUSDT=ETH/USDT.")
        pairs[symbol] = pair
    return pairs


def pair_in(text: str) -> Pair | None:
    """Of a text that has both, separated."""
    found = _SEPARATED.fullmatch(text)
    return None if found is None else Pair(found[1], found[2])


def pairs_of(symbols: Sequence[str], named: Mapping[str, Pair], listed: Mapping[str, Pair]) -> dict[str, Pair]:
    """As they are named, else as the symbols themselves tell, else as the exchange lists them.

    Raises `Misconfigured` for a symbol that none of these know, and for two that are the same pair.
    """
    pairs: dict[str, Pair] = {}
    for symbol in dict.fromkeys(symbols):
        pair = named.get(symbol) or pair_in(symbol) or listed.get(symbol)
        if pair is None or pair_in(f"{pair.base}/{pair.quote}") is None:
            raise Misconfigured(f"Nobody tells base and quote of {symbol}: name them, --pairs {symbol}=BASE/QUOTE.")
        pairs[symbol] = pair
    for symbol, pair in pairs.items():
        same = [other for other, its in pairs.items() if its == pair]
        if same != [symbol]:
            raise Misconfigured(f"{' and '.join(same)} are both {pair.base}/{pair.quote}: export them apart.")
    return pairs
