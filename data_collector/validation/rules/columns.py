"""The columns that rules speak of: the same names in the suites, in the gate and in the frames of the audit.

They are the record's own keys (without `timestamp`) and some times and ids beside them. Numbers are 64-bit floats
there, which is enough to compare and nothing else: what is stored keeps the exchange's digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

from data_collector.model.channels import CHANNEL_OF, CHANNELS, CollectedRecord
from data_collector.model.keys import Collected

Kind = Collected
"""Each collected channel has a suite."""

KINDS: Final[tuple[Kind, ...]] = tuple(CHANNELS)

Checked = CollectedRecord
"""Records that have a suite."""

Value = str | int | float | bool | None
"""What a column holds; None is null."""

ColumnType = Literal["text", "decimal", "integer", "flag"]

INTEGER_MAX: Final = 2**53 - 1
"""Beyond it Great Expectations compares rounded numbers, and so would every reader of JSON."""


class Column(Struct, frozen=True):
    """One column of a kind."""

    name: str
    type: ColumnType
    meaning: str
    nullable: bool = False
    """Whether a record that was decoded may lack it. A row that a user sends may lack any."""
    audit_only: bool = False
    """Known only where the messages before it, or the exchange's symbol list, are at hand: in the audit."""


def _text(name: str, meaning: str) -> Column:
    return Column(name, "text", meaning)


def _decimal(name: str, meaning: str, *, nullable: bool = False) -> Column:
    return Column(name, "decimal", meaning, nullable=nullable)


def _integer(name: str, meaning: str, *, nullable: bool = False) -> Column:
    return Column(name, "integer", meaning, nullable=nullable)


def _audit(name: str, column_type: ColumnType, meaning: str) -> Column:
    return Column(name, column_type, meaning, nullable=column_type != "flag", audit_only=True)


_SYMBOL = _text("symbol", "The exchange's own symbol.")
_RECEIVED = _integer(
    "received_ms", "When it reached us, by this machine's clock; null where that is not known.", nullable=True
)
_SENT = (_integer("event_ms", "When the exchange sent it."), _RECEIVED)
_JUDGED = (
    _audit("accepted", "flag", "Whether it was stored."),
    _audit("late", "flag", "Whether it came after its place had been passed."),
)

_KLINE = (
    _SYMBOL,
    _text("interval", "`1m`, `1h`, `1M` …"),
    _decimal("open", "First price."),
    _decimal("high", "Highest price."),
    _decimal("low", "Lowest price."),
    _decimal("close", "Newest price."),
    _decimal("volume", "In base currency."),
    _integer("trades", "How many trades; null, as the three below, where the exchange does not tell.", nullable=True),
    Column("is_closed", "flag", "Whether it is final."),
    _decimal("quote_volume", "In quote currency.", nullable=True),
    _decimal("taker_buy_base_volume", "Bought by takers, in base currency.", nullable=True),
    _decimal("taker_buy_quote_volume", "Bought by takers, in quote currency.", nullable=True),
    _integer("open_ms", "Open time: the record's `timestamp`."),
    _integer("close_ms", "Last millisecond that belongs to it."),
    *_SENT,
    _integer("first_trade_id", "-1 where there is no trade."),
    _integer("last_trade_id", "-1 where there is no trade."),
    *_JUDGED,
    _audit("typical_volume", "decimal", "Median volume of the last closed klines of this symbol and interval."),
    _audit("typical_close", "decimal", "Median close of the last closed klines of this symbol and interval."),
    _audit("previous_open_ms", "integer", "Open time of the accepted update before it, of this symbol and interval."),
    _audit("previous_event_ms", "integer", "Send time of the accepted update before it, of this symbol and interval."),
    _audit("tick_size", "decimal", "Step of this symbol's prices, by the exchange's symbol list."),
)

_TRADE = (
    _SYMBOL,
    _integer("trade_id", "Grows by one per symbol."),
    _decimal("price", "In quote currency."),
    _decimal("quantity", "In base currency."),
    _integer("buyer_order_id", "Null where the exchange does not send it.", nullable=True),
    _integer("seller_order_id", "Null where the exchange does not send it.", nullable=True),
    Column("is_buyer_maker", "flag", "True when the taker sold; null where the exchange does not tell.", nullable=True),
    _integer("time_ms", "When the match took place: the record's `timestamp`."),
    *_SENT,
    *_JUDGED,
    _audit("previous_trade_id", "integer", "Id of the accepted trade before it, of this symbol."),
    _audit("previous_time_ms", "integer", "Time of the accepted trade before it, of this symbol."),
    _audit("typical_price", "decimal", "Median price of the accepted trades before it, of this symbol."),
    _audit("typical_quantity", "decimal", "Median quantity of the accepted trades before it, of this symbol."),
    _audit("tick_size", "decimal", "Step of this symbol's prices, by the exchange's symbol list."),
    _audit("step_size", "decimal", "Step of this symbol's quantities, by the exchange's symbol list."),
)

_TICKER = (
    _SYMBOL,
    _decimal("price_change", "Last minus open price; null, as most here, where it is not told.", nullable=True),
    _decimal("price_change_percent", "The same in percent of the open price.", nullable=True),
    _decimal("weighted_avg_price", "Quote volume by volume.", nullable=True),
    _decimal("prev_close_price", "Price of the last trade before the window.", nullable=True),
    _decimal("last_price", "Newest price.", nullable=True),
    _decimal("last_qty", "Newest quantity.", nullable=True),
    _decimal("bid_price", "Best bid.", nullable=True),
    _decimal("bid_qty", "At the best bid.", nullable=True),
    _decimal("ask_price", "Best ask.", nullable=True),
    _decimal("ask_qty", "At the best ask.", nullable=True),
    _decimal("open_price", "First price of the window.", nullable=True),
    _decimal("high_price", "Highest price of the window.", nullable=True),
    _decimal("low_price", "Lowest price of the window.", nullable=True),
    _decimal("volume", "In base currency."),
    _decimal("quote_volume", "In quote currency.", nullable=True),
    _integer("open_time", "Start of the window, ms.", nullable=True),
    _integer("close_time", "End of the window, ms.", nullable=True),
    _integer("first_id", "First trade id of the window; -1 where there is none.", nullable=True),
    _integer("last_id", "Last trade id of the window; -1 where there is none.", nullable=True),
    _integer("count", "How many trades the window has.", nullable=True),
    *_SENT,
    *_JUDGED,
    _audit("previous_event_ms", "integer", "Send time of the accepted ticker before it, of this symbol."),
    _audit("previous_last_id", "integer", "`last_id` of the accepted ticker before it, of this symbol."),
    _audit("tick_size", "decimal", "Step of this symbol's prices, by the exchange's symbol list."),
)

_QUOTE = (
    _SYMBOL,
    _integer("update_id", "Of the order book: grows with each change, per symbol."),
    _decimal("bid", "Best bid."),
    _decimal("bid_quantity", "At the best bid."),
    _decimal("ask", "Best ask."),
    _decimal("ask_quantity", "At the best ask."),
    _RECEIVED,
    *_JUDGED,
    _audit("previous_update_id", "integer", "`update_id` of the accepted quote before it, of this symbol."),
    _audit("tick_size", "decimal", "Step of this symbol's prices, by the exchange's symbol list."),
    _audit("step_size", "decimal", "Step of this symbol's quantities, by the exchange's symbol list."),
)


def _by_name(columns: tuple[Column, ...]) -> Mapping[str, Column]:
    return {column.name: column for column in columns}


COLUMNS: Final[Mapping[Kind, Mapping[str, Column]]] = {
    "kline": _by_name(_KLINE),
    "trade": _by_name(_TRADE),
    "ticker": _by_name(_TICKER),
    "quote": _by_name(_QUOTE),
}
"""Per kind, in the order of the frames."""

DECIMALS: Final[Mapping[Kind, tuple[str, ...]]] = {
    kind: tuple(column.name for column in columns.values() if column.type == "decimal" and not column.audit_only)
    for kind, columns in COLUMNS.items()
}
"""The columns that a record holds as decimal text."""

GATE_COLUMNS: Final[Mapping[Kind, tuple[str, ...]]] = {
    kind: tuple(column.name for column in columns.values() if not column.audit_only)
    for kind, columns in COLUMNS.items()
}
"""The columns that a single record has."""


def kind_of(record: Checked) -> Kind:
    """Which suite a record is judged by."""
    return CHANNEL_OF[type(record)]
