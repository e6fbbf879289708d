"""A page of records as JSON or CSV: the exchange's own digits in either."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from data_collector.history.export_format import Column, text_columns
from data_collector.model.records import Kline, Trade
from data_collector.model.wire import (
    KLINE_NAMES,
    TRADE_NAMES,
    json_text,
    kline_json,
    open_time_text,
    trade_json,
    trade_time_text,
)

_NO_NUMBER = re.compile(r'(?<=":)(?:NaN|-?Infinity)(?=,)')
"""In JSON's place of a number; within a text, quotation marks are escaped, and this cannot stand there."""


class About(Struct):
    """What an answer says beside its records."""

    next: str | int | None
    """What to ask the next page with: `from` of klines, `after` of trades. None when there is none now."""
    reaches_back_to: str | None
    """Nothing older can be had; None when nothing is stored."""
    stores: list[str]
    """Which were read."""
    warnings: list[str]
    """Sentences about what the answer may lack."""


def kline_page_json(symbol: str, interval: str, klines: Sequence[Kline], about: About) -> bytes:
    """The JSON of `/klines`. What is no number in PostgreSQL, where a program may put such rows, is null."""
    records = ",".join(kline_json(kline, json_text(kline.symbol)) for kline in klines)
    if "NaN" in records or "Infinity" in records:
        records = _NO_NUMBER.sub("null", records)
    return _page_json({"symbol": symbol, "interval": interval}, records, len(klines), about)


def trade_page_json(symbol: str, trades: Sequence[Trade], about: About) -> bytes:
    """The JSON of `/trades`."""
    symbol_json = json_text(symbol)
    records = ",".join(trade_json(trade, symbol_json) for trade in trades)
    return _page_json({"symbol": symbol}, records, len(trades), about)


def kline_page_csv(klines: Sequence[Kline]) -> bytes:
    """With a line of names, those of the JSON."""
    return _csv(KLINE_NAMES, text_columns(klines, KLINE_NAMES, [open_time_text(k.open_ms) for k in klines]))


def trade_page_csv(trades: Sequence[Trade]) -> bytes:
    """With a line of names, those of the JSON; order ids that the source does not tell are empty."""
    times = [trade_time_text(t.time_ms, t.sub_ms_us) for t in trades]
    return _csv(TRADE_NAMES, text_columns(trades, TRADE_NAMES, times))


def _page_json(subject: dict[str, str], records: str, count: int, about: About) -> bytes:
    """Records are put in as they are written: a number that is parsed here could lose digits."""
    content: dict[str, object] = {**subject, "count": count, "records": msgspec.Raw(f"[{records}]".encode())}
    return msgspec.json.encode(content | msgspec.structs.asdict(about))


def _csv(names: Sequence[str], columns: Sequence[Column]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([names, *zip(*columns, strict=True)])
    return text.getvalue().encode()
