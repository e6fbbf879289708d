"""A page of records as JSON or CSV: the exchange's own digits in either."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from data_collector.model.records import Kline, Trade
from data_collector.model.wire import json_text, kline_json, open_time_text, trade_json, trade_time_text

TRADE_COLUMNS = (
    "symbol", "timestamp", "trade_id", "price", "quantity", "buyer_order_id", "seller_order_id", "is_buyer_maker",
)  # fmt: skip
KLINE_COLUMNS = (
    "symbol", "timestamp", "interval", "open", "high", "low", "close", "volume", "trades", "is_closed",
    "quote_volume", "taker_buy_base_volume", "taker_buy_quote_volume",
)  # fmt: skip

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
    rows = (
        (
            k.symbol, open_time_text(k.open_ms), k.interval, k.open, k.high, k.low, k.close, k.volume, k.trades,
            _word(truth=k.is_closed), k.quote_volume, k.taker_buy_base_volume, k.taker_buy_quote_volume,
        )
        for k in klines
    )  # fmt: skip
    return _csv([KLINE_COLUMNS, *rows])


def trade_page_csv(trades: Sequence[Trade]) -> bytes:
    """With a line of names, those of the JSON; order ids that the source does not tell are empty."""
    rows = (
        (
            t.symbol, trade_time_text(t.time_ms, t.sub_ms_us), t.trade_id, t.price, t.quantity, t.buyer_order_id,
            t.seller_order_id, _word(truth=t.is_buyer_maker),
        )
        for t in trades
    )  # fmt: skip
    return _csv([TRADE_COLUMNS, *rows])


def _page_json(subject: dict[str, str], records: str, count: int, about: About) -> bytes:
    """Records are put in as they are written: a number that is parsed here could lose digits."""
    content: dict[str, object] = {**subject, "count": count, "records": msgspec.Raw(f"[{records}]".encode())}
    return msgspec.json.encode(content | msgspec.structs.asdict(about))


def _csv(rows: Sequence[Sequence[str | int | None]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _word(*, truth: bool) -> str:
    """As JSON writes it."""
    return "true" if truth else "false"
