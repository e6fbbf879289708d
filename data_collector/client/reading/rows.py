"""Rows of history, as the HTTP side and PostgreSQL write them in CSV, and the records that they are."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from data_collector.client.records import Kline, Trade
from data_collector.model.records import Origin, known_origin
from data_collector.model.wire import KLINE_NAMES, TRADE_NAMES

ORIGIN_NAMES = ("source", "warnings")

KLINE_COLUMNS = (*KLINE_NAMES, *ORIGIN_NAMES)
TRADE_COLUMNS = (*TRADE_NAMES, *ORIGIN_NAMES)
"""In this order, with nothing where there is null."""

_BOOLEANS: Mapping[str, bool | None] = {"true": True, "false": False, "t": True, "f": False, "": None}


def klines_of(text: str) -> list[Kline]:
    """Without a line of names."""
    found = []
    for (
        symbol, timestamp, interval, open_, high, low, close, volume, trades, is_closed, quote, taker_base, taker_quote,
        source, warnings,
    ) in csv.reader(io.StringIO(text, newline="")):  # fmt: skip
        origin = _origin(source, warnings)
        found.append(
            Kline(
                symbol, datetime.fromisoformat(timestamp), interval, Decimal(open_), Decimal(high), Decimal(low),
                Decimal(close), Decimal(volume), int(trades) if trades else None, _BOOLEANS[is_closed] is True,
                _decimal(quote), _decimal(taker_base), _decimal(taker_quote), origin.source, origin.warnings,
            )
        )  # fmt: skip
    return found


def trades_of(text: str, epoch: int) -> list[Trade]:
    """Without a line of names."""
    found = []
    for symbol, timestamp, trade_id, price, quantity, buyer, seller, maker, source, warnings in csv.reader(
        io.StringIO(text, newline="")
    ):
        origin = _origin(source, warnings)
        found.append(
            Trade(
                symbol, datetime.fromisoformat(timestamp), int(trade_id), Decimal(price), Decimal(quantity),
                int(buyer) if buyer else None, int(seller) if seller else None, _BOOLEANS[maker], origin.source,
                origin.warnings, epoch,
            )
        )  # fmt: skip
    return found


@lru_cache
def _origin(source: str, warnings: str) -> Origin:
    """Few differ, and a row in ten thousand has a warning."""
    return known_origin(source, warnings.split(","))


def _decimal(text: str) -> Decimal | None:
    return Decimal(text) if text else None
