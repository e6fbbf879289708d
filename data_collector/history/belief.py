"""Which rows of the exchange's REST side are believed. The live feed has its gate, a backfill and an audit this."""

from __future__ import annotations

import re
from collections.abc import Sequence

from data_collector.model.calendar import LATEST_MS
from data_collector.model.errors import VenueUnreachable
from data_collector.model.records import Kline, Trade

_NUMBER = re.compile(r"[0-9]{1,40}(?:\.[0-9]{1,40})?")

LARGEST_INTEGER = 2**63 - 1
"""That PostgreSQL holds."""


def believed_klines(klines: Sequence[Kline]) -> Sequence[Kline]:
    """The klines themselves. Raises `VenueUnreachable` for a text that is no number: the next answer may be better."""
    for k in klines:
        texts = (
            k.open, k.high, k.low, k.close, k.volume, k.quote_volume, k.taker_buy_base_volume,
            k.taker_buy_quote_volume,
        )  # fmt: skip
        _check(f"the candle of {k.symbol} {k.interval} that opens at {k.open_ms}", texts)
        if not 0 <= k.trades <= LARGEST_INTEGER:
            raise VenueUnreachable(f"the candle of {k.symbol} {k.interval} at {k.open_ms} came with {k.trades} trades")
    return klines


def believed_trades(trades: Sequence[Trade]) -> Sequence[Trade]:
    """The trades themselves. Raises `VenueUnreachable` for a text that is no number, or a time that is none."""
    for trade in trades:
        _check(f"trade {trade.trade_id} of {trade.symbol}", (trade.price, trade.quantity))
        if not 0 <= trade.time_ms <= LATEST_MS:
            raise VenueUnreachable(f"trade {trade.trade_id} of {trade.symbol} came with the time {trade.time_ms}")
    return trades


def _check(name: str, texts: Sequence[str]) -> None:
    for text in texts:
        if _NUMBER.fullmatch(text) is None:
            raise VenueUnreachable(f"{name} came with {text[:40]!r}, which is no number")
