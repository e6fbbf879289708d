"""What is answered with records: in which format, and the JSON, with the exchange's own digits."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from data_collector.history.export_format import ORIGIN_NAMES, Rows
from data_collector.model.records import Kline, Origin, Source, Sourced, Trade
from data_collector.model.wire import json_text, kline_json, trade_json
from data_collector.web.answers import Answer

Format = Literal["json", "csv", "arrow"]

ARROW_STREAM = "application/vnd.apache.arrow.stream"
CSV = "text/csv"

MEDIA_TYPES: dict[Format, str] = {"json": "application/json", "csv": CSV, "arrow": ARROW_STREAM}

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


class AboutTrades(About):
    """What an answer of trades says too."""

    epoch: int = 0
    """Trade ids are unique within one."""
    epochs: list[int] = []
    """All that can be read."""


class KlineRecord(Answer):
    """A kline as it stands in Redis. Numbers carry the exchange's own digits: read them as decimals."""

    symbol: str
    timestamp: str
    """Open time."""
    interval: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int | None
    """Null, as the fields below, where the exchange does not tell it."""
    is_closed: bool
    quote_volume: float | None
    taker_buy_base_volume: float | None
    taker_buy_quote_volume: float | None
    source: Source | UnsetType | None = UNSET
    """With `meta=1` only: where it is from; null where that is not known."""
    warnings: list[str] | UnsetType = UNSET
    """With `meta=1` only: rules that it is marked with."""


class TradeRecord(Answer):
    """A trade as it stands in Redis. Numbers carry the exchange's own digits: read them as decimals."""

    symbol: str
    timestamp: str
    trade_id: int
    price: float
    quantity: float
    buyer_order_id: int | None
    seller_order_id: int | None
    is_buyer_maker: bool | None
    source: Source | UnsetType | None = UNSET
    """With `meta=1` only: where it is from; null where that is not known."""
    warnings: list[str] | UnsetType = UNSET
    """With `meta=1` only: rules that it is marked with."""


class RecordsPage(Answer):
    """What every page of records says of itself, for the OpenAPI page: pages are written digit by digit."""

    count: int
    reaches_back_to: str | None
    """Nothing older is held; null when nothing is."""
    stores: list[str]
    """Which were read: `postgresql`, `redis`."""
    warnings: list[str]
    """What the page may lack, because a store is away; else empty."""


class KlinePage(RecordsPage):
    """Klines of one symbol and interval, by open time."""

    example: ClassVar[Mapping[str, object]] = {
        "symbol": "BTCUSDT",
        "interval": "1m",
        "count": 1,
        "records": [
            {
                "symbol": "BTCUSDT",
                "timestamp": "2024-01-01T12:00:00+00:00",
                "interval": "1m",
                "open": 45123.45,
                "high": 45200.0,
                "low": 45100.0,
                "close": 45180.5,
                "volume": 123.456,
                "trades": 1234,
                "is_closed": True,
                "quote_volume": 5567890.12,
                "taker_buy_base_volume": 61.728,
                "taker_buy_quote_volume": 2783945.06,
            }
        ],
        "next": "2024-01-01T12:00:01+00:00",
        "reaches_back_to": "2024-01-01T12:00:00+00:00",
        "stores": ["postgresql", "redis"],
        "warnings": [],
    }

    symbol: str
    interval: str
    records: list[KlineRecord]
    next: str | None
    """`from` of the next page; null when nothing follows now."""


class TradePage(RecordsPage):
    """Trades of one symbol, by trade id."""

    symbol: str
    records: list[TradeRecord]
    next: int | None
    """`after` of the next page; null when nothing follows now."""
    epoch: int
    """In which these ids are unique; to be named when the next page is asked for."""
    epochs: list[int]
    """All of which there is something; the last one is the default of `epoch`."""


def format_of(word: Format | None, accept: str) -> Format:
    """`format=` decides; else the Accept header does where it asks for one of ours by name; else JSON."""
    if word is not None:
        return word
    wanted = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    for media_type in wanted:
        if media_type == CSV:
            return "csv"
        if media_type == ARROW_STREAM:
            return "arrow"
    return "json"


def kline_page_json(
    symbol: str, interval: str, rows: Sequence[Sourced[Kline]], about: About, *, meta: bool
) -> bytes:  # fmt: skip
    """The JSON of `/klines`. What is no number in PostgreSQL, where a program may put such rows, is null."""
    texts = [kline_json(row.record, json_text(row.record.symbol)) for row in rows]
    records = ",".join(_with_origins(texts, rows) if meta else texts)
    if "NaN" in records or "Infinity" in records:
        records = _NO_NUMBER.sub("null", records)
    return _page_json({"symbol": symbol, "interval": interval}, records, len(rows), about)


def trade_page_json(symbol: str, rows: Sequence[Sourced[Trade]], about: AboutTrades, *, meta: bool) -> bytes:
    """The JSON of `/trades`."""
    symbol_json = json_text(symbol)
    texts = [trade_json(row.record, symbol_json) for row in rows]
    return _page_json({"symbol": symbol}, ",".join(_with_origins(texts, rows) if meta else texts), len(rows), about)


def names_of(names: Sequence[str], *, meta: bool) -> Sequence[str]:
    """The columns of a table of records."""
    return (*names, *ORIGIN_NAMES) if meta else names


def _with_origins(texts: Sequence[str], rows: Rows) -> list[str]:
    origins: list[Origin] = [row.origin for row in rows]
    return [
        f'{text[:-1]},"source":{json.dumps(origin.source)},"warnings":{json.dumps(origin.warnings)}}}'
        for text, origin in zip(texts, origins, strict=True)
    ]


def _page_json(subject: dict[str, str], records: str, count: int, about: About) -> bytes:
    """Records are put in as they are written: a number that is parsed here could lose digits."""
    content: dict[str, object] = {**subject, "count": count, "records": msgspec.Raw(f"[{records}]".encode())}
    return msgspec.json.encode(content | msgspec.structs.asdict(about))
