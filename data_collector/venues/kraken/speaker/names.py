"""What the exchange calls a pair: `BTC/USD` on the streams, and three older names by REST."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from data_collector.simulator.listing import Listing

OLD_ASSETS = {"BTC": "XBT", "DOGE": "XDG"}
"""What REST calls them."""

X_ASSETS = frozenset({"XBT", "ETH", "XRP", "LTC", "XDG", "ETC", "XLM", "XMR", "ZEC", "REP", "MLN"})
Z_ASSETS = frozenset({"USD", "EUR", "GBP", "JPY", "CAD", "AUD"})
"""Of the first years; internally they have a letter in front."""


class Pair(Struct, frozen=True):
    """One pair and its names; prices have `decimals` of them."""

    market: str
    """What the simulated market calls it."""
    name: str
    altname: str
    wsname: str
    key: str
    base: str
    quote: str
    decimals: int


def pair_of(listing: Listing) -> Pair:
    """The names of what the market lists."""
    base, quote = (OLD_ASSETS.get(asset, asset) for asset in (listing.base, listing.quote))
    inner_base, inner_quote = _inner(base), _inner(quote)
    is_old = inner_base != base and inner_quote != quote
    return Pair(
        market=listing.symbol,
        name=f"{listing.base}/{listing.quote}",
        altname=base + quote,
        wsname=f"{base}/{quote}",
        key=inner_base + inner_quote if is_old else base + quote,
        base=inner_base,
        quote=inner_quote,
        decimals=listing.decimals,
    )


def _inner(asset: str) -> str:
    return f"X{asset}" if asset in X_ASSETS else f"Z{asset}" if asset in Z_ASSETS else asset


def pairs_of(listings: Mapping[str, Listing]) -> dict[str, Pair]:
    """By each name that REST takes for a pair."""
    pairs = [pair_of(listing) for listing in listings.values()]
    names = ((name, pair) for pair in pairs for name in (pair.market, pair.wsname, pair.name, pair.altname, pair.key))
    return dict(names)


def market_symbol(name: str) -> str:
    """The market's name for a symbol."""
    return name.replace("/", "")
